"use strict";
// Charts in their frame: caption, drawing with a summary for screen readers, data as a table. They are
// drawn again when the width or the colours change.

const charts = [];
/** Width of a printed page in CSS pixels, A4 without its margins. */
const PRINTED = 690;

/** The colours of the page. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ground: of("ground"),
    panel: of("panel"),
    ink: of("ink"),
    muted: of("muted"),
    line: of("line"),
    accent: of("accent"),
    heat: [of("heat-low"), of("heat-high")],
    onHeat: [of("on-low"), of("on-high")],
    series: of("series").split(" "),
  };
}

function themed(theme) {
  const axis = {
    axisLine: { lineStyle: { color: theme.muted } },
    axisTick: { lineStyle: { color: theme.muted } },
    axisLabel: { color: theme.muted, fontSize: 11 },
    nameTextStyle: { color: theme.muted, fontSize: 11 },
    splitLine: { lineStyle: { color: theme.line } },
    minorSplitLine: { lineStyle: { color: theme.line } },
  };
  return {
    color: theme.series,
    backgroundColor: "transparent",
    textStyle: { color: theme.ink, fontFamily: getComputedStyle(document.body).fontFamily },
    categoryAxis: { ...axis, splitLine: { show: false } },
    valueAxis: axis,
    logAxis: axis,
    legend: { textStyle: { color: theme.ink }, pageTextStyle: { color: theme.ink }, pageIconColor: theme.ink, pageIconInactiveColor: theme.line },
    visualMap: { textStyle: { color: theme.muted } },
  };
}

/**
 * A chart. `build(theme, width)` gives its option and height in pixels: { height, option }, or null
 * where there is nothing to draw. `data` is its table, as `table` takes it; `controls` stand above it.
 * The result is the element, with `redraw()`.
 */
function chart({ title, about, summary, build, data, controls, renderer = "svg" }) {
  const plot = el("div", { class: "plot", role: "img" });
  const tabled = data ? table(data) : null;
  const element = el(
    "figure",
    {},
    el("figcaption", {}, title, about ? el("span", { class: "note" }, about) : null),
    controls ?? null,
    plot,
    tabled ? el("details", {}, el("summary", {}, "Data as a table"), tabled.element) : null,
  );
  let drawn = null;
  function draw(width = plot.clientWidth) {
    drawn?.dispose();
    drawn = null;
    const theme = colours();
    const built = width > 0 ? build(theme, width) : null;
    plot.setAttribute("aria-label", typeof summary === "function" ? summary() : summary);
    if (!built) {
      plot.replaceChildren(note("There is nothing to draw."));
      plot.style.height = "";
      return;
    }
    plot.replaceChildren();
    plot.style.height = `${built.height}px`;
    element.classList.toggle("short", built.height < 700);
    drawn = echarts.init(plot, themed(theme), { renderer, width, height: built.height });
    drawn.setOption({ animation: false, ...built.option });
  }
  charts.push({ draw, plot, width: () => drawn?.getWidth() });
  const redraw = (changed) => {
    if (changed) tabled?.show(changed);
    draw();
  };
  return { element, redraw, instance: () => drawn };
}

/** Draws all charts, once the document has them. */
function drawAll() {
  charts.forEach((one) => one.draw());
  let waiting = null;
  const resized = () => {
    waiting = null;
    charts.filter((one) => one.plot.clientWidth !== one.width()).forEach((one) => one.draw());
  };
  addEventListener("resize", () => (waiting ??= requestAnimationFrame(resized)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((one) => one.draw()));
  const printing = (on) => {
    document.documentElement.toggleAttribute("data-print", on);
    charts.forEach((one) => one.draw(on ? Math.min(PRINTED, one.plot.clientWidth || PRINTED) : undefined));
  };
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
}

/** What a tooltip shows: a heading and names with values, as text. */
function tip(heading, rows) {
  const entries = rows.filter((row) => row[1] != null).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
  return el("div", { class: "tip" }, el("b", {}, heading), el("dl", {}, entries));
}

function tooltip(theme, trigger, formatter) {
  return {
    trigger,
    confine: true,
    backgroundColor: theme.ground,
    borderColor: theme.line,
    transitionDuration: 0,
    axisPointer: trigger === "axis" ? { type: "shadow" } : undefined,
    formatter,
  };
}

/** An axis name in the middle, below or beside it. */
function named(name, gap) {
  return { name, nameLocation: "middle", nameGap: gap };
}

/** A legend above the drawing, on several pages where it is too long. */
function legend(theme, names) {
  return { show: true, type: "scroll", top: 0, left: 0, right: 0, itemWidth: 14, itemHeight: 10, data: names };
}
