"use strict";
// Tables that sort, a page of rows at a time.

const ROWS = 50;

/**
 * A table under a caption.
 *
 * `columns`: { title, unit, value: row => number | string | null, text: value => string, words }; a
 * column is of text if `left` is set or it is the first. `rows` are of any kind; `last` is a row that
 * stays below all others, `marked` tells the rows of the front. The result has the element, and
 * `show(rows)`.
 */
function table({ caption, columns, rows, last, marked, sortable = true }) {
  const state = { rows, order: null, down: false, page: 0 };
  const headers = columns.map((column, index) => {
    const unit = column.unit ? el("span", { class: "unit" }, column.unit) : null;
    const sort = () => {
      state.down = state.order === index ? !state.down : false;
      Object.assign(state, { order: index, page: 0 });
      fill();
    };
    const title = sortable ? el("button", { type: "button", click: sort }, column.title) : column.title;
    return el("th", { scope: "col", class: isText(index) ? "text" : null }, title, unit);
  });
  const body = el("tbody");
  const grid = el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, headers)), body);
  const position = el("span", { role: "status" });
  const turn = (by) => () => {
    state.page += by;
    fill();
  };
  const previous = el("button", { type: "button", click: turn(-1) }, "Previous");
  const next = el("button", { type: "button", click: turn(1) }, "Next");
  const pager = el("div", { class: "pager" }, previous, next, position);
  const scroll = el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption }, grid);

  function isText(index) {
    return index === 0 || Boolean(columns[index].left);
  }

  function line(row, kind) {
    const cells = columns.map((column, index) => {
      const value = column.value(row);
      const text = value == null ? "–" : (column.text ?? (typeof value === "number" ? short : String))(value);
      const look = [isText(index) ? "text" : null, column.words ? "words" : null].filter(Boolean).join(" ") || null;
      return index === 0 ? el("th", { scope: "row", class: look }, text) : el("td", { class: look }, text);
    });
    return el("tr", { class: kind ?? (marked?.(row) ? "front" : null) }, cells);
  }

  function fill() {
    const sorted = state.order == null ? state.rows : inOrder(state.rows, columns[state.order].value, state.down);
    const pages = Math.max(1, Math.ceil(sorted.length / ROWS));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const from = state.page * ROWS;
    const shown = sorted.slice(from, from + ROWS);
    body.replaceChildren(...shown.map((row) => line(row)), ...(last ? [line(last, "total")] : []));
    headers.forEach((header, index) => {
      if (state.order === index) header.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    });
    previous.disabled = state.page === 0;
    next.disabled = state.page === pages - 1;
    position.textContent = `rows ${shown.length ? from + 1 : 0} to ${from + shown.length} of ${grouped(sorted.length)}`;
    pager.hidden = pages === 1;
    pager.style.display = pages === 1 ? "none" : "";
  }

  fill();
  const show = (changed) => {
    Object.assign(state, { rows: changed, page: 0 });
    fill();
  };
  return { element: el("div", { class: "table" }, scroll, pager), show };
}

/** The rows by a value; those without one come last, equal ones stay in their order. */
function inOrder(rows, value, down) {
  const keyed = rows.map((row) => [value(row), row]);
  const sign = down ? -1 : 1;
  keyed.sort(([a], [b]) => {
    if (a == null || b == null) return (a == null) - (b == null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    const [x, y] = [String(a), String(b)];
    return sign * (x < y ? -1 : x > y ? 1 : 0);
  });
  return keyed.map(([, row]) => row);
}
