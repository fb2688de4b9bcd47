"use strict";
// The page of a sensitivity analysis: what accuracy loses by layer and width, binary point, or threshold.

const { base, experiments } = results;
const ALL = "all layers";
const nameOf = (experiment) => experiment.layer ?? ALL;
const WHAT = {
  extrinsic: "weights and output words",
  weights: "weights",
  output: "output words",
  intrinsic: "accumulators and products, inside the loop",
};

/** Fractional bits more than calibrated, and the one that the charts over widths have. */
const points = [...new Set(experiments.map((one) => one.point).filter((point) => point != null))].sort((a, b) => a - b);
const calibrated = points.reduce((best, point) => (Math.abs(point) < Math.abs(best) ? point : best), points[0]);
const signed = (point) => (point < 0 ? `−${-point}` : point > 0 ? `+${point}` : "0");

/** The experiments that share what was varied, in order: { title, about, across, own }. */
function groups() {
  const found = new Map();
  for (const experiment of experiments) {
    const [kind, rounding] = [experiment.kind, experiment.rounding];
    const key = kind == null ? "threshold" : `${kind} ${rounding}`;
    const title = kind == null ? "Thresholds of outputs" : `${kind[0].toUpperCase()}${kind.slice(1)}, ${rounding}`;
    const about = kind == null ? "Outputs below a fraction of the layer's largest value become zero." : `Narrowed: ${WHAT[kind]}; rounding ${rounding}.`;
    if (!found.has(key)) found.set(key, { title, about, across: kind == null ? ["threshold", "fraction of the largest value"] : ["width", "bits"], own: [] });
    found.get(key).own.push(experiment);
  }
  return [...found.values()];
}

/** A heat map of widths by binary points, of a layer or all. */
function pointMap(title, own) {
  const widths = [...new Set(own.map((one) => one.bits))].sort((a, b) => a - b);
  const names = [...results.layers, ALL].filter((name) => own.some((one) => nameOf(one) === name));
  let chosen = ALL;
  const table = new Map(own.map((one) => [`${nameOf(one)} ${one.bits} ${one.point}`, one]));
  const losses = () => widths.map((bits) => points.map((point) => table.get(`${chosen} ${bits} ${point}`)?.loss ?? null));
  const rows = widths.map((bits) => `${bits} bits`);
  const map = heat({
    title: `Loss by width and binary point: ${title.toLowerCase()}`,
    about: "Fractional bits more than calibrated at that width: further right the steps are finer and the range is smaller.",
    summary: () => {
      const least = losses().map((line) => points[line.indexOf(Math.min(...line))]);
      return `Heat map of the loss of ${chosen} at ${widths.length} widths and ${points.length} binary points. The least is lost at ${rows.map((row, index) => `${signed(least[index])} with ${row}`).join(", ")}.`;
    },
    names: rows,
    columns: points.map(signed),
    values: losses,
    shown: (value) => percent(value, 1),
    most: () => largest(losses().flat()),
    across: "fractional bits more than calibrated",
    axis: "loss",
    of: "width",
    controls: el("div", { class: "controls" }, choice("layer", names.map((name) => [name, name]), chosen, (name) => {
      chosen = name;
      map.redraw(rows.map((_, row) => row));
    })),
  });
  return map.element;
}

function draw({ title, about, across: [what, unit], own: all }) {
  const own = all.filter((one) => one.point == null || one.point === calibrated);
  const across = `${what}, ${unit}`;
  const at = (experiment) => experiment.bits ?? experiment.threshold;
  const places = [...new Set(own.map(at))].sort((a, b) => a - b);
  const names = [...results.layers, ALL].filter((name) => own.some((one) => nameOf(one) === name));
  const table = new Map(own.map((one) => [`${at(one)} ${nameOf(one)}`, one]));
  const losses = names.map((name) => places.map((where) => table.get(`${where} ${name}`)?.loss ?? null));
  const most = largest(losses.flat());
  const worst = own.reduce((a, b) => (b.layer != null && b.loss > (a?.loss ?? -Infinity) ? b : a), null);
  const summary = worst ? `The most that a layer alone loses is ${percent(worst.loss)}, ${worst.layer} at ${short(at(worst))}.` : "";
  const map = heat({
    title: `Loss by layer: ${title.toLowerCase()}`,
    about: `${about}${calibrated ? ` Binary points: ${signed(calibrated)} fractional bits.` : ""} The loss is the fraction of images lost against all words of 12 bits.`,
    summary: `Heat map of the loss of ${names.length} rows at ${places.length} values. ${summary}`,
    names,
    columns: places.map(String),
    values: losses,
    shown: (value) => percent(value, 1),
    most,
    across,
    axis: "loss",
  });
  const curves = lines({
    title: `Loss by ${what}: ${title.toLowerCase()}`,
    summary: `Lines of the loss over the ${what}, one a layer, and one for all layers together. ${summary}`,
    places: places.map(String),
    series: names.map((name, row) => ({ name, values: losses[row], strong: name === ALL })),
    across,
    axis: "loss, % of images",
    shown: (value) => percent(value),
    of: "layer",
  });
  const byPoint = all.length > own.length ? pointMap(title, all) : null;
  section(title, map.element, curves.element, byPoint);
}

function page() {
  subtitle(`datapath of ${results.hardware}`, `${counted(base.images, "image")} of ${results.dataset}`);
  section("Overview", facts(
    ["accuracy at 12 bits", percent(base.rate), interval(base.ci95)],
    ["agreement", percent(base.agreement), "same first class as the float network"],
    ["signal to noise", base.sqnr_db == null ? null : `${short(base.sqnr_db)} dB`, "of the outputs at 12 bits"],
    ["experiments", grouped(experiments.length), `${counted(results.layers.length, "layer")}`],
  ), note("Every experiment departs from the network with all words of 12 bits and narrows one layer, or all."));
  groups().forEach(draw);
  const columns = [
    { title: "layer", value: nameOf },
    { title: "narrowed", left: true, value: (row) => row.kind ?? "threshold" },
    { title: "rounding", left: true, value: (row) => row.rounding },
    { title: "width", unit: "bits", value: (row) => row.bits },
    { title: "binary point", unit: "fractional bits more", value: (row) => row.point, text: signed },
    { title: "threshold", value: (row) => row.threshold },
    { title: "images right", value: (row) => row.score.hits },
    { title: "accuracy", value: (row) => row.score.rate, text: (value) => percent(value) },
    { title: "from", value: (row) => row.score.ci95[0], text: (value) => percent(value) },
    { title: "to", value: (row) => row.score.ci95[1], text: (value) => percent(value) },
    { title: "loss", value: (row) => row.loss, text: (value) => percent(value) },
    { title: "agreement", value: (row) => row.score.agreement, text: (value) => percent(value) },
    { title: "SQNR", unit: "dB", value: (row) => row.score.sqnr_db },
  ];
  section("Experiments", table({ caption: "Experiments; from and to are the 95 % interval of the accuracy", columns, rows: experiments }).element);
  drawAll();
}

page();
