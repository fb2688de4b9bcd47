"use strict";
// The page of a sweep: a scatter of any two columns, and a table, both of the rows that a filter leaves.

const { columns, rows, axes, pareto = [], refused } = results;
const value = (row, column) => row.values[column];
const place = (name) => columns.findIndex((column) => column.name === name);
const goal = (column) => pareto.find((one) => one.column === columns[column].name)?.goal ?? columns[column].goal ?? "min";
/** Values by column, and those columns that can be an axis of the scatter. */
const distinct = columns.map((_, column) => new Set(rows.map((row) => value(row, column)).filter((one) => one != null)));
const numeric = columns.map((_, column) => column).filter((column) => distinct[column].size > 0 && [...distinct[column]].every(isNumber));
/** Columns that tell rows apart, and those of the first interest. */
const MAIN = ["accuracy", "cycles", "energy_pj", "dram_bytes", "utilization", "dsp", "bram36", "luts"];
const varied = columns.map((_, column) => column).filter((column) => column < axes || distinct[column].size > 1);
const main = columns.map((_, column) => column).filter((column) => column < axes || pareto.some((one) => one.column === columns[column].name) || (MAIN.includes(columns[column].name) && distinct[column].size > 0));

/** Units whose values an axis may show in a larger one, as `scale` takes them. */
const SCALED = { pJ: ["J", 1e-12], bytes: ["B", 1], bits: ["bit", 1], s: ["s", 1], cycles: ["cycles", 1] };

const label = (column) => (columns[column].unit ? `${columns[column].name}, ${columns[column].unit}` : columns[column].name);
const text = (one) => (one == null ? "–" : typeof one === "number" ? short(one) : String(one));
const better = (column) => (goal(column) === "max" ? "more is better" : "less is better");

const view = { x: null, y: null, colour: "", front: "", logX: false, logY: false, shown: rows, marked: new Set() };

/**
 * The points [x, y] that no other beats: none is at least as good in both and better in one. Equal
 * ones are all kept. `explore::front` is the same for the front that was asked for.
 */
function front(points, goals) {
  const costs = points.map((point) => point.map((one, axis) => (goals[axis] === "max" ? -one : one)));
  const order = costs.map((_, index) => index).sort((a, b) => costs[a][0] - costs[b][0] || costs[a][1] - costs[b][1]);
  const found = [];
  let [best, group] = [Infinity, null];
  for (const index of order) {
    const [x, y] = costs[index];
    const equal = group && x === group[0] && y === group[1];
    if (equal || y < best) {
      found.push(index);
      [best, group] = [y, [x, y]];
    }
  }
  return found;
}

/** The rows of the front that is chosen. */
function markedRows() {
  if (view.front === "asked") return new Set(view.shown.filter((row) => row.front));
  const among = (view.front === "all" ? rows : view.shown).filter(inPlot);
  const points = among.map((row) => [value(row, view.x), value(row, view.y)]);
  const best = front(points, [goal(view.x), goal(view.y)]).map((index) => among[index]);
  const left = new Set(view.shown);
  return new Set(best.filter((row) => left.has(row)));
}

function inPlot(row) {
  const [x, y] = [value(row, view.x), value(row, view.y)];
  return isNumber(x) && isNumber(y) && (!view.logX || x > 0) && (!view.logY || y > 0);
}

const OPERATORS = {
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "!=": (a, b) => a !== b,
  "=": (a, b) => a === b,
};

/** A test of rows from words of text and comparisons such as `energy_pj<=2e7`; throws what is wrong. */
function filter(written) {
  const terms = written.trim().replace(/\s*(<=|>=|!=|=|<|>)\s*/g, "$1").split(/\s+/).filter(Boolean);
  const tests = terms.map((term) => {
    const match = term.match(/^(.+?)(<=|>=|!=|=|<|>)(.+)$/);
    if (!match) {
      const word = term.toLowerCase();
      return (row) => row.values.slice(0, axes).some((one) => String(one).toLowerCase().includes(word));
    }
    const [, name, operator, bound] = match;
    const candidates = columns.map((_, index) => index).filter((index) => columns[index].name.includes(name));
    const column = place(name) >= 0 ? place(name) : candidates.length === 1 ? candidates[0] : null;
    if (name !== "point" && column == null) throw new Error(candidates.length ? `“${name}” may be ${candidates.map((index) => columns[index].name).join(" or ")}` : `there is no column “${name}”`);
    const number = Number(bound);
    return (row) => {
      const one = name === "point" ? row.point : value(row, column);
      if (typeof one === "number" && !Number.isNaN(number)) return OPERATORS[operator](one, number);
      if (one == null || !["=", "!="].includes(operator)) return false;
      return OPERATORS[operator](String(one), bound);
    };
  });
  return (row) => tests.every((test) => test(row));
}

/** What a hover shows: the point's parameters, then its main results. */
function parameters(row) {
  const also = [...new Set([view.x, view.y, ...main.filter((column) => column >= axes)])].filter((column) => column >= axes);
  const entry = (column) => [columns[column].name, columns[column].unit && value(row, column) != null ? `${text(value(row, column))} ${columns[column].unit}` : text(value(row, column))];
  const own = Array.from({ length: axes }, (_, column) => entry(column));
  return tip(`point ${row.point}${view.marked.has(row) ? " · on the front" : ""}`, [...own, ...also.map(entry)]);
}

/** Series of points by the column of their colour. */
function coloured(theme, points, size) {
  const column = view.colour === "" ? null : Number(view.colour);
  const item = (row) => ({ value: [value(row, view.x), value(row, view.y), column == null ? 0 : value(row, column)], row });
  const plain = { type: "scatter", symbolSize: size, progressive: 0 };
  if (column == null) return { series: [{ ...plain, itemStyle: { color: theme.series[0], opacity: 0.75 }, data: points.map(item) }] };
  const kinds = [...distinct[column]];
  if (kinds.length > 8 && kinds.every(isNumber)) {
    const visualMap = {
      type: "continuous",
      dimension: 2,
      min: Math.min(...kinds),
      max: Math.max(...kinds),
      inRange: { color: [theme.series[0], theme.series[4], theme.series[5]] },
      orient: "horizontal",
      left: "center",
      top: 0,
      itemWidth: 12,
      itemHeight: 160,
      text: [`${label(column)} ${short(Math.max(...kinds))}`, short(Math.min(...kinds))],
      seriesIndex: 0,
    };
    return { visualMap, series: [{ ...plain, itemStyle: { opacity: 0.85 }, data: points.map(item) }] };
  }
  const series = kinds.map((kind, index) => ({
    ...plain,
    name: text(kind),
    itemStyle: { color: theme.series[index % theme.series.length], opacity: 0.8 },
    data: points.filter((row) => value(row, column) === kind).map(item),
  }));
  return { legend: legend(theme, series.map((one) => one.name)), series };
}

function build(theme, width) {
  const points = view.x == null ? [] : view.shown.filter(inPlot);
  if (points.length === 0) return null;
  const { series, ...guides } = coloured(theme, points, points.length > 2000 ? 4 : 7);
  const best = points.filter((row) => view.marked.has(row));
  const line = view.front === "asked" && pareto.length > 2 ? [] : [...best].sort((a, b) => value(a, view.x) - value(b, view.x));
  const axis = (log, column, gap) => {
    const all = points.map((row) => value(row, column));
    const [unit, base] = SCALED[columns[column].unit] ?? [];
    const to = unit ? scale(unit, largest(all), base) : { unit: columns[column].unit, of: (one) => one };
    const [low, high] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
    const range = columns[column].unit === "fraction" && !log ? ends(low, high, 0, 1) : { scale: true };
    const name = to.unit ? `${columns[column].name}, ${to.unit}` : columns[column].name;
    return { type: log ? "log" : "value", ...range, axisLabel: { formatter: (one) => short(to.of(one)), hideOverlap: true }, ...named(name, gap) };
  };
  const option = {
    grid: { left: 72, right: 24, top: 36, bottom: 48, outerBoundsMode: "none" },
    tooltip: tooltip(theme, "item", ({ data }) => (data?.row ? parameters(data.row) : "")),
    ...guides,
    xAxis: { ...axis(view.logX, view.x, 28), splitNumber: width < 500 ? 3 : 7 },
    yAxis: axis(view.logY, view.y, 50),
    series: [
      ...series,
      { type: "line", symbol: "none", silent: true, lineStyle: { width: 1.5, color: theme.ink }, data: line.map((row) => [value(row, view.x), value(row, view.y)]) },
      {
        type: "scatter",
        symbol: "diamond",
        symbolSize: 13,
        progressive: 0,
        itemStyle: { color: theme.ground, borderColor: theme.ink, borderWidth: 2 },
        data: best.map((row) => ({ value: [value(row, view.x), value(row, view.y)], row })),
      },
    ],
  };
  return { height: width < 500 ? 340 : 460, option };
}

function summary() {
  if (view.x == null) return "No two columns have numbers to draw.";
  return `Scatter of ${columns[view.y].name} against ${columns[view.x].name}, ${view.shown.filter(inPlot).length} points, ${view.marked.size} of them on the Pareto front. The table below has the points.`;
}

const byColumn = (column) => ({
  // Long keys may break after a dot or an underscore.
  title: columns[column].name.replace(column < axes ? /[._]/g : /\./g, "$&\u200b"),
  unit: columns[column].unit,
  left: column < axes && ![...distinct[column]].every(isNumber),
  value: (row) => value(row, column),
  text,
});

function start() {
  const names = new Map(numeric.map((column) => [columns[column].name, column]));
  const [first, second] = pareto.map((one) => names.get(one.column));
  const preferred = (list, other) => list.map((name) => names.get(name)).find((column) => column != null && column !== other && distinct[column].size > 1);
  view.y = first ?? preferred(["accuracy", "utilization", "cycles"], null) ?? numeric[0] ?? null;
  view.x = second ?? preferred(["energy_pj", "cycles", "dram_bytes"], view.y) ?? numeric.find((column) => column !== view.y) ?? view.y;
  view.front = pareto.length ? "asked" : "all";
}

function page() {
  start();
  subtitle(counted(rows.length, "point"), results.constraints.length ? `constraints: ${results.constraints.join(", ")}` : "no constraints");
  section("Overview", facts(
    ["points", grouped(rows.length), "finished"],
    ["refused", grouped(refused.length), "no design, or does not fit its hardware"],
    ["left out", grouped(results.left_out), "by constraints"],
    ["front", pareto.length ? grouped(rows.filter((row) => row.front).length) : null, pareto.map((one) => `${one.goal}:${one.column}`).join(", ")],
  ));
  const update = () => {
    view.marked = view.x == null ? new Set() : markedRows();
    scatter.redraw();
    points.show(view.shown);
    full?.show(view.shown);
  };
  const status = el("p", { class: "note", role: "status" });
  const input = el("input", { type: "search", id: "filter", "aria-describedby": "filter-help", placeholder: axes && rows.length ? `${columns[0].name}=${text([...distinct[0]][0])}` : "", input: () => filtered() });
  function filtered() {
    try {
      view.shown = rows.filter(filter(input.value));
      const without = view.x == null ? 0 : view.shown.filter((row) => !inPlot(row)).length;
      status.textContent = `${grouped(view.shown.length)} of ${grouped(rows.length)} points${without ? `, ${grouped(without)} of them without a place in the scatter` : ""}`;
      input.removeAttribute("aria-invalid");
      update();
    } catch (error) {
      status.textContent = `Not filtered: ${error.message}.`;
      input.setAttribute("aria-invalid", "true");
    }
  }
  const options = numeric.map((column) => [String(column), `${label(column)} (${better(column)})`]);
  const pick = (axis) => (chosen) => {
    view[axis] = Number(chosen);
    if (pareto.length === 0 || view.front === "asked") setFront("all");
    filtered();
  };
  const fronts = [["all", "of the two columns, all points"], ["shown", "of the two columns, points shown"]];
  if (pareto.length) fronts.unshift(["asked", `as asked for: ${pareto.map((one) => `${one.goal}:${one.column}`).join(", ")}`]);
  const frontChoice = choice("front", fronts, view.front, (chosen) => {
    view.front = chosen;
    filtered();
  });
  const setFront = (chosen) => {
    view.front = chosen;
    frontChoice.querySelector("select").value = chosen;
  };
  const tick = (name, key) => {
    const box = el("input", { type: "checkbox", change: () => {
      view[key] = box.checked;
      filtered();
    } });
    return el("label", { class: "tick" }, box, name);
  };
  const colours = [["", "none"], ...varied.map((column) => [String(column), label(column)])];
  const controls = el("div", { class: "controls" },
    el("div", {}, choice("across", options, String(view.x), pick("x")), tick("logarithmic across", "logX")),
    el("div", {}, choice("up", options, String(view.y), pick("y")), tick("logarithmic up", "logY")),
    choice("colour", colours, "", (chosen) => {
      view.colour = chosen;
      filtered();
    }),
    frontChoice,
    el("label", { class: "wide" }, "filter", input));
  const help = el("p", { class: "note", id: "filter-help" }, "A filter is words that the axes' values contain, and comparisons of columns such as energy_pj<=2e7 or plan=int4; all must hold. A part of a column's name will do.");
  const scatter = chart({ title: "Pareto scatter", about: "Diamonds are on the front: no other point is at least as good in each objective and better in one; equal points are all on it.", summary, build, renderer: rows.length > 2000 ? "canvas" : "svg" });
  section("Scatter", controls, help, status, scatter.element);
  const point = { title: "point", value: (row) => row.point, text: String };
  const points = table({ caption: "Points, main columns; ◆ marks the front", columns: [point, ...main.map(byColumn)], rows, marked: (row) => view.marked.has(row) });
  const others = columns.map((_, column) => column).filter((column) => !main.includes(column) && distinct[column].size > 0);
  const full = others.length ? table({ caption: "Points, other results", columns: [point, ...others.map(byColumn)], rows, marked: (row) => view.marked.has(row) }) : null;
  section("Points", points.element, full ? el("details", {}, el("summary", {}, "Other results"), full.element) : "");
  if (refused.length) {
    const reasons = [{ title: "point", value: (row) => row.point, text: String }, { title: "reason", left: true, words: true, value: (row) => row.reason }];
    section("Refused", table({ caption: "Points without results", columns: reasons, rows: refused }).element);
  }
  drawAll();
  filtered();
}

page();
