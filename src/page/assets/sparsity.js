"use strict";
// The page of a sparsity analysis: zeros, histograms, patterns, and what they are worth.

const { layers, total, takes, pruned, thresholds } = results;
const names = layers.map((layer) => layer.name);
const OPERANDS = ["weights", "bias", "activations"];
const zeros = (counts) => share(counts.zeros, counts.words);
const zeroBits = (counts) => share(counts.bits - counts.ones, counts.bits);
const fraction = (value) => percent(value, 1);
const variants = [["as it is", takes], ["pruned", pruned?.takes], ["thresholds", thresholds?.takes]].filter((one) => one[1]);

function zerosSection() {
  const columns = ["weights", "biases", "activations", "bits of weights", "bits of activations"];
  const row = (own) => [zeros(own.weights), zeros(own.bias), zeros(own.activations), zeroBits(own.weights), zeroBits(own.activations)];
  const map = heat({
    title: "Fractions of zero words and of zero bits",
    about: "Activations are the words that the layer reads; bits are those of two's complement.",
    summary: `Fractions of zeros of ${layers.length} layers; in total ${fraction(zeros(total.weights))} of the weights and ${fraction(zeros(total.activations))} of the activations are zero.`,
    names: [...names, "total"],
    columns,
    values: [...layers, total].map(row),
    shown: fraction,
    most: 1,
    axis: "zeros",
  });
  const both = bars({
    title: "Zero words by layer",
    summary: `Bars of the fractions of zero weights and activations of ${layers.length} layers.`,
    names,
    series: ["weights", "activations"].map((name) => ({ name, values: layers.map((layer) => zeros(layer[name])) })),
    percentages: true,
    stacked: false,
    axis: "zero words",
  });
  const counts = OPERANDS.flatMap((name) => [
    { title: `${name}`, unit: "words", value: (own) => own[name].words, text: grouped },
    { title: `zero ${name}`, unit: "words", value: (own) => own[name].zeros, text: grouped },
  ]);
  const all = table({ caption: "Words and zeros by layer; activations over all images", columns: [{ title: "layer", value: (own) => own.name }, ...counts], rows: layers, last: { ...total, name: "total" } });
  section("Zeros", map.element, both.element, all.element);
}

/** Columns over places: bars upright, the places and values of what is chosen. */
function columnChart({ title, about, summary, places, values, across, up, shown, of, log = false }) {
  const build = (theme, width) => {
    const [at, all] = [places(), values()];
    if (all.length === 0 || largest(all) === 0) return null;
    const option = {
      grid: { left: 80, right: 12, top: 12, bottom: 46, outerBoundsMode: "none" },
      tooltip: tooltip(theme, "axis", ([first]) => tip(at[first.dataIndex], [[of, shown(all[first.dataIndex])]])),
      xAxis: { type: "category", data: at, axisLabel: { hideOverlap: true }, axisTick: { show: false }, ...named(across, 28) },
      yAxis: { type: log ? "log" : "value", min: log ? 0.5 : 0, axisLabel: { formatter: (value) => (value < 1 && log ? "" : short(value)) }, ...named(up, 60) },
      series: [{ type: "bar", barMaxWidth: 60, barCategoryGap: at.length > 60 ? "0%" : "20%", data: all.map((value) => (log ? value || null : 100 * value)) }],
    };
    return { height: width < 500 ? 240 : 280, option };
  };
  const columns = [
    { title: across, value: (row) => places()[row] },
    { title: of, value: (row) => values()[row], text: shown },
  ];
  return chart({ title, about, summary, build, data: { caption: title, columns, rows: places().map((_, row) => row) } });
}

/** A picture of zeros by row and column of a kernel or feature map. */
function picture({ title, about, summary, size, values }) {
  const build = (theme, width) => {
    const [[high, wide], all] = [size(), values()];
    if (all.length === 0 || high * wide === 0) return null;
    const step = Math.max(1, Math.min(40, Math.floor((Math.min(width, 460) - 70) / Math.max(wide, 1)), Math.floor(360 / high) || 1));
    const side = (length, name, gap) => ({ type: "category", data: Array.from({ length }, (_, index) => String(index)), axisTick: { show: false }, axisLabel: { interval: Math.ceil(22 / step) - 1 }, ...named(name, gap) });
    const option = {
      grid: { left: 50, top: 10, width: step * wide, height: step * high, outerBoundsMode: "none" },
      tooltip: tooltip(theme, "item", ({ value: [x, y, value] }) => tip(`row ${y}, column ${x}`, [["zeros", fraction(value)]])),
      xAxis: side(wide, "column", 26),
      yAxis: { ...side(high, "row", 32), inverse: true },
      visualMap: { type: "continuous", min: 0, max: 1, dimension: 2, orient: "horizontal", left: 40, bottom: 2, itemWidth: 12, itemHeight: 110, text: ["zeros 100 %", "0 %"], inRange: { color: theme.heat } },
      series: [{ type: "heatmap", progressive: 0, data: all.map((value, index) => [index % wide, Math.floor(index / wide), value]) }],
    };
    return { height: step * high + 100, option };
  };
  const columns = [
    { title: "row", value: (index) => Math.floor(index / size()[1]), text: String },
    { title: "column", value: (index) => index % size()[1], text: String },
    { title: "zeros", value: (index) => values()[index], text: fraction },
  ];
  return chart({ title, about, summary, build, data: { caption: title, columns, rows: values().map((_, index) => index) } });
}

function histogramSection() {
  if (layers.length === 0) return;
  const options = [...layers, { ...total, name: "all layers" }];
  const state = { at: options.length - 1, operand: "weights" };
  const counts = () => options[state.at][state.operand].histogram;
  const magnitude = (length) => (length === 0 ? "0" : length === 1 ? "1" : `${2 ** (length - 1)} to ${2 ** length - 1}`);
  const content = columnChart({
    title: "Words by magnitude",
    about: "By the bit length of the magnitude of the raw word; the axis of words is logarithmic. Activations over all images.",
    summary: () => `Histogram of the ${state.operand} of ${options[state.at].name} by magnitude; ${fraction(zeros(options[state.at][state.operand]))} are zero.`,
    places: () => counts().map((_, length) => magnitude(length)),
    values: counts,
    across: "magnitude of the word",
    up: "words",
    of: "words",
    shown: grouped,
    log: true,
  });
  const redraw = () => content.redraw(counts().map((_, row) => row));
  const controls = el("div", { class: "controls" },
    choice("layer", options.map((one, index) => [String(index), one.name]), String(state.at), (chosen) => {
      state.at = Number(chosen);
      redraw();
    }),
    choice("operand", OPERANDS.map((one) => [one, one]), state.operand, (chosen) => {
      state.operand = chosen;
      redraw();
    }));
  section("Histograms", controls, content.element);
}

function patternSection() {
  if (layers.length === 0) return;
  let at = 0;
  const own = () => layers[at];
  const kernel = () => {
    const side = Math.round(Math.sqrt(own().weight_zeros_by_position.length));
    return side * side === own().weight_zeros_by_position.length ? [side, side] : [1, own().weight_zeros_by_position.length];
  };
  const channels = (title, key, of) => columnChart({
    title,
    summary: () => `Fractions of zero ${of} of ${own().name} by channel, ${own()[key].length} channels.`,
    places: () => own()[key].map((_, index) => String(index)),
    values: () => own()[key],
    across: "channel",
    up: "zeros, %",
    of: "zeros",
    shown: fraction,
  });
  const drawn = [
    [channels("Zero weights by output channel", "weight_zeros_by_channel", "weights"), "weight_zeros_by_channel"],
    [channels("Zero activations by channel", "activation_zeros_by_channel", "activations"), "activation_zeros_by_channel"],
    [picture({ title: "Zero weights by kernel position", summary: () => `Fractions of zero weights of ${own().name} by kernel position.`, size: kernel, values: () => own().weight_zeros_by_position }), "weight_zeros_by_position"],
    [picture({ title: "Zero activations by pixel", summary: () => `Fractions of zero activations by pixel of the map of ${own().map.join("×")} that ${own().name} reads.`, size: () => own().map, values: () => own().activation_zeros_by_position }), "activation_zeros_by_position"],
  ];
  const select = choice("layer", names.map((name, index) => [String(index), name]), "0", (chosen) => {
    at = Number(chosen);
    drawn.forEach(([one, key]) => one.redraw(own()[key].map((_, index) => index)));
  });
  section("Patterns", el("div", { class: "controls" }, select), el("div", { class: "pair" }, drawn.map(([one]) => one.element)));
}

function savingsSection() {
  const about = `Per image, on ${results.hardware}.`;
  const list = variants.map(([name]) => name);
  const cycles = bars({
    title: "Cycles",
    about,
    summary: `Cycles with and without zero-skipping: ${variants.map(([name, one]) => `${name} ${grouped(one.cycles)} of ${grouped(one.dense_cycles)}`).join("; ")}.`,
    names: list,
    series: [
      { name: "with zero-skipping", values: variants.map(([, one]) => one.cycles) },
      { name: "without", muted: true, values: variants.map(([, one]) => one.dense_cycles) },
    ],
    stacked: false,
    unit: "cycles",
    axis: "cycles an image",
    of: "network",
  });
  const energy = bars({
    title: "Energy",
    about,
    summary: `Energy: ${variants.map(([name, one]) => `${name} ${quantity(one.energy_pj, "J", 1e-12)}`).join("; ")}.`,
    names: list,
    series: [{ name: "energy", values: variants.map(([, one]) => one.energy_pj) }],
    unit: "J",
    base: 1e-12,
    axis: "energy an image",
    of: "network",
  });
  const columns = [
    { title: "network", value: ([name]) => name },
    { title: "accuracy", value: ([, one]) => one.accuracy, text: (value) => percent(value) },
    { title: "cycles", value: ([, one]) => one.cycles, text: grouped },
    { title: "without skipping", unit: "cycles", value: ([, one]) => one.dense_cycles, text: grouped },
    { title: "energy", unit: "pJ", value: ([, one]) => one.energy_pj },
    { title: "DRAM", unit: "bytes", value: ([, one]) => one.dram_bytes, text: grouped },
    { title: "buffers", unit: "bytes", value: ([, one]) => one.buffer_bytes, text: grouped },
  ];
  const pruning = pruned ? note(`Pruned: ${percent(pruned.target)} of each layer's weights were set to zero; ${percent(pruned.weights)} of all weights are zero.`) : "";
  section("Savings", el("div", { class: "pair" }, cycles.element, energy.element), table({ caption: "What the network takes, per image", columns, rows: variants }).element, pruning);
}

function thresholdSection() {
  if (!thresholds) return;
  const columns = [
    { title: "layer", value: (row) => row.layer },
    { title: "threshold", unit: "word", value: (row) => row.word },
    { title: "threshold", unit: "value", value: (row) => row.value },
    { title: "accuracy alone", value: (row) => row.score.rate, text: (value) => percent(value) },
    { title: "from", value: (row) => row.score.ci95[0], text: (value) => percent(value) },
    { title: "to", value: (row) => row.score.ci95[1], text: (value) => percent(value) },
  ];
  const rows = [["without", thresholds.tuning], ["all together", thresholds.together]];
  const content = accuracies({
    title: `Accuracy on ${grouped(thresholds.tuning.images)} tuning images`,
    about: `Each layer alone may lose ${percent(thresholds.loss)} of them.`,
    rows: rows.map(([name, score]) => ({ name, rate: score.rate, ci95: score.ci95 })),
  });
  section("Thresholds", content.element, table({ caption: "The largest threshold of each layer: outputs below it become zero", columns, rows: thresholds.layers }).element);
}

function page() {
  subtitle(`plan ${results.plan}`, `hardware ${results.hardware}`, `${counted(results.images, "image")} of ${results.dataset}`);
  section("Overview", facts(
    ["zero weights", percent(zeros(total.weights)), `of ${grouped(total.weights.words)}`],
    ["zero activations", total.activations.words ? percent(zeros(total.activations)) : null, "that multiply-accumulate layers read"],
    ["zero bits of weights", percent(zeroBits(total.weights)), "two's complement"],
    ["zero bits of activations", total.activations.words ? percent(zeroBits(total.activations)) : null, "two's complement"],
    ["accuracy", takes.accuracy == null ? null : percent(takes.accuracy)],
    ["cycles", grouped(takes.cycles), `${grouped(takes.dense_cycles)} without zero-skipping`],
    ["energy", quantity(takes.energy_pj, "J", 1e-12)],
  ));
  savingsSection();
  zerosSection();
  histogramSection();
  patternSection();
  thresholdSection();
  drawAll();
}

page();
