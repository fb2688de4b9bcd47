"use strict";
// The page of a run.

const { network, hardware, dataset, accuracy, faults, totals, layers } = results;
const names = layers.map((layer) => layer.name);
const shape = (dimensions) => dimensions.join("×");
const isMac = (layer) => layer.macs.total > 0;
const bytes = (traffic) => (traffic ? traffic.read + traffic.write : null);

function overview() {
  subtitle(`${network.name} under plan ${results.plan}`, `${hardware.name}: ${hardware.description}`, `${counted(dataset.images, "image")} of ${dataset.name}`, `seed ${results.seed}`);
  const score = accuracy?.quantized;
  section(
    "Overview",
    note(dataset.images === 1 ? "Figures of one image." : `Figures are means over the ${grouped(dataset.images)} images.`),
    facts(
      ["accuracy", score && percent(score.top1), score && interval(score.ci95)],
      ["float accuracy", accuracy?.float && percent(accuracy.float.top1), accuracy?.float && interval(accuracy.float.ci95)],
      ["agreement", accuracy?.agreement == null ? null : percent(accuracy.agreement), "same first class as the float network"],
      ["cycles", grouped(totals.cycles), `${grouped(totals.dense_cycles)} without zero-skipping`],
      ["cycles saved", percent(totals.cycles_saved)],
      ["energy", quantity(totals.energy_pj.total, "J", 1e-12), `table ${hardware.energy_table}`],
      ["latency", quantity(totals.latency_s, "s"), `${short(totals.images_per_second)} images/s`],
      ["speed", `${short(totals.gops)} GOP/s`, `${short(totals.gops_per_watt)} GOP/s/W`],
      ["utilization", percent(totals.utilization), `of ${grouped(hardware.macs_per_cycle)} MACs a cycle`],
      ["sparsity", percent(totals.sparsity.activations), `of activations; weights ${percent(totals.sparsity.weights)}`],
      ["network", quantity(network.macs, "MACs"), `${grouped(network.parameters)} parameters, ${counted(network.layers, "layer")}`],
    ),
  );
}

function accuracySection() {
  const rows = [
    ["float", accuracy?.float],
    [faults ? "with faults" : "quantized", accuracy?.quantized],
    ["without faults", faults?.sound],
  ].filter((row) => row[1]);
  if (rows.length === 0) return;
  const content = accuracies({
    title: "Top-1 accuracy",
    about: "The bars are 95 % Wilson intervals.",
    rows: rows.map(([name, score]) => ({ name, rate: score.top1, ci95: score.ci95 })),
  });
  const top5 = rows.map(([name, score]) => `${name} ${percent(score.top5)}`).join(", ");
  section("Accuracy", content.element, note(`Top-5: ${top5}.`));
}

function cyclesSection() {
  const parts = [
    { name: "multiplying", of: (layer) => (layer.imbalance_cycles == null ? 0 : layer.compute_cycles - layer.imbalance_cycles) },
    { name: "imbalance", of: (layer) => layer.imbalance_cycles ?? 0 },
    { name: "vector unit", of: (layer) => (layer.imbalance_cycles == null ? layer.compute_cycles : 0) },
    { name: "stall", of: (layer) => layer.stall_cycles },
  ];
  const content = bars({
    title: "Cycles by layer",
    about: "Multiplying: what the executed multiply-accumulates take with every multiplier at work. Imbalance: multipliers that wait for others or have nothing to do. Stall: waiting for memory.",
    summary: `Stacked bars of the cycles of ${layers.length} layers, ${grouped(totals.cycles)} in all, of which ${grouped(totals.stall_cycles)} are stalls. ${most("cycles", (layer) => layer.cycles)}`,
    names,
    series: parts.map((part) => ({ name: part.name, values: layers.map(part.of) })),
    unit: "cycles",
    axis: "cycles an image",
  });
  section("Cycles", content.element);
}

/** Which layer has the most of something. */
function most(what, of) {
  const top = largest(layers.map(of));
  const layer = layers.find((one) => of(one) === top);
  return layer && top > 0 ? `Layer ${layer.name} has the most ${what}.` : "";
}

function energySection() {
  const components = Object.keys(totals.energy_pj).filter((name) => name !== "total");
  const used = components.filter((name) => totals.energy_pj[name] > 0);
  const content = bars({
    title: "Energy by layer and component",
    summary: `Stacked bars of the energy of ${layers.length} layers, ${quantity(totals.energy_pj.total, "J", 1e-12)} an image in all. ${most("energy", (layer) => layer.energy_pj.total)}`,
    names,
    series: used.map((name) => ({ name, values: layers.map((layer) => layer.energy_pj[name] ?? 0) })),
    unit: "J",
    base: 1e-12,
    axis: "energy an image",
  });
  section("Energy", content.element);
}

function rooflineSection() {
  const points = layers.filter((layer) => layer.operations_per_byte > 0 && layer.gops > 0);
  const [peak, bandwidth] = [hardware.peak_gops, hardware.dram_bytes_per_s / 1e9];
  const build = (theme, width) => {
    if (points.length === 0) return null;
    const intensities = [...points.map((layer) => layer.operations_per_byte), peak / bandwidth];
    const [from, to] = [Math.min(...intensities) / 3, Math.max(...intensities) * 3];
    const roof = [from, peak / bandwidth, to].map((x) => [x, Math.min(peak, bandwidth * x)]);
    const log = (name, gap) => ({ type: "log", axisLabel: { formatter: short, hideOverlap: true, showMinLabel: false, showMaxLabel: false }, ...named(name, gap) });
    const option = {
      grid: { left: 64, right: 20, top: 16, bottom: 48, outerBoundsMode: "none" },
      tooltip: tooltip(theme, "item", ({ seriesIndex, dataIndex }) => {
        if (seriesIndex === 0) return tip("roof", [["peak", `${short(peak)} GOP/s`], ["DRAM", `${short(bandwidth)} GB/s`]]);
        const layer = points[dataIndex];
        return tip(layer.name, [["speed", `${short(layer.gops)} GOP/s`], ["intensity", `${short(layer.operations_per_byte)} operations/byte`], ["utilization", percent(layer.utilization)]]);
      }),
      xAxis: { ...log("operations by byte of DRAM traffic", 28), min: from, max: to },
      yAxis: { ...log("speed, GOP/s", 46), axisLabel: { formatter: short } },
      series: [
        { type: "line", data: roof, symbol: "none", lineStyle: { width: 2, color: theme.muted }, emphasis: { disabled: true } },
        {
          type: "scatter",
          symbolSize: 10,
          data: points.map((layer) => [layer.operations_per_byte, layer.gops]),
          label: { show: points.length <= 12 && width > 500, position: "right", color: theme.ink, fontSize: 11, formatter: ({ dataIndex }) => shortened(points[dataIndex].name, 18) },
          labelLayout: { hideOverlap: true },
        },
      ],
    };
    return { height: width < 500 ? 300 : 380, option };
  };
  const content = chart({
    title: "Roofline",
    about: `The roof is ${short(peak)} GOP/s where the array limits, and ${short(bandwidth)} GB/s of DRAM where that does. Skipped multiply-accumulates count as done, so that a layer of many zeros may stand above the roof.`,
    summary: `Speed against operations by byte of DRAM traffic for ${points.length} layers, on logarithmic axes, under a roof of ${short(peak)} GOP/s and ${short(bandwidth)} GB/s.`,
    build,
    data: {
      caption: "Roofline",
      columns: [
        { title: "layer", value: (layer) => layer.name },
        { title: "intensity", unit: "operations/byte", value: (layer) => layer.operations_per_byte },
        { title: "speed", unit: "GOP/s", value: (layer) => layer.gops },
        { title: "utilization", value: (layer) => layer.utilization, text: (value) => percent(value) },
      ],
      rows: points,
    },
  });
  section("Roofline", content.element);
}

function trafficSection() {
  const levels = Object.keys(totals.traffic_bytes).sort((a, b) => (b === "dram") - (a === "dram"));
  if (levels.length === 0) return;
  const ways = ["read", "write"];
  const total = bars({
    title: "Traffic by memory level",
    summary: `Bytes an image by memory level: ${levels.map((level) => `${level} ${quantity(bytes(totals.traffic_bytes[level]), "B")}`).join(", ")}.`,
    names: levels,
    series: ways.map((way) => ({ name: way, values: levels.map((level) => totals.traffic_bytes[level][way]) })),
    unit: "B",
    axis: "bytes an image",
    of: "level",
  });
  let chosen = levels[0];
  const controls = levels.map((level) => [level, level]);
  const select = choice("memory level", controls, chosen, (level) => {
    chosen = level;
    layered.element.querySelector("figcaption").firstChild.textContent = heading();
    layered.redraw(names.map((_, row) => row));
  });
  const heading = () => `Traffic of ${chosen} by layer`;
  const layered = bars({
    title: heading(),
    summary: () => `Stacked bars of the bytes that each of ${layers.length} layers reads from and writes to ${chosen}, ${quantity(bytes(totals.traffic_bytes[chosen]), "B")} in all.`,
    names,
    series: () => ways.map((way) => ({ name: way, values: layers.map((layer) => layer.traffic_bytes[chosen]?.[way]) })),
    unit: "B",
    axis: "bytes an image",
    controls: el("div", { class: "controls" }, select),
  });
  const columns = levels.flatMap((level) => ways.map((way) => ({ title: `${level} ${way}`, unit: "bytes", value: (row) => row.traffic_bytes[level]?.[way], text: grouped })));
  const all = table({ caption: "Traffic by layer and level", columns: [{ title: "layer", value: (row) => row.name }, ...columns], rows: layers, last: { ...totals, name: "total" } });
  section("Traffic", total.element, layered.element, all.element);
}

function sparsitySection() {
  const macs = layers.filter(isMac);
  const content = heat({
    title: "Fractions of zero operands",
    summary: `Fractions of zero weights and activations of ${macs.length} multiply-accumulate layers; of all, ${percent(totals.sparsity.weights)} of the weights and ${percent(totals.sparsity.activations)} of the activations.`,
    names: macs.map((layer) => layer.name),
    columns: ["weights", "activations"],
    values: macs.map((layer) => [layer.sparsity.weights, layer.sparsity.activations]),
    shown: (value) => percent(value, 1),
    most: 1,
    axis: "zeros",
  });
  section("Sparsity", content.element);
}

function noiseSection() {
  const known = layers.filter((layer) => isNumber(layer.sqnr_db));
  if (known.length === 0) return;
  const content = lineOfNoise(known);
  section("Quantization noise", content.element);
}

function lineOfNoise(known) {
  const title = "Signal to quantization noise by layer";
  return bars({
    title,
    about: "Against the float network, in dB. Where it falls, a layer is quantized badly.",
    summary: `Signal-to-quantization-noise ratio of ${known.length} layers in dB; the least is ${short(Math.min(...known.map((layer) => layer.sqnr_db)))} dB.`,
    names: known.map((layer) => layer.name),
    series: [{ name: "SQNR", values: known.map((layer) => layer.sqnr_db) }],
    unit: "dB",
    axis: "signal to noise",
  });
}

function faultsSection() {
  if (!faults) return;
  const content = bars({
    title: "Words that differ by layer",
    about: `Faults: ${faults.spec}. The first class is the same on ${percent(faults.agreement)} of the images.`,
    summary: `Fraction of the words of each layer that differ from the network without faults.`,
    names: faults.layers.map((layer) => layer.name),
    series: [{ name: "differing", values: faults.layers.map((layer) => layer.differing) }],
    percentages: true,
    axis: "words that differ",
  });
  section("Faults", content.element);
}

function layersSection() {
  const figures = [
    { title: "layer", value: (row) => row.name },
    { title: "operator", left: true, value: (row) => row.op },
    { title: "output", left: true, value: (row) => (row.output_shape ? shape(row.output_shape) : null) },
    { title: "MACs", value: (row) => row.macs.total },
    { title: "effectual", value: (row) => row.macs.effectual },
    { title: "gated", value: (row) => row.macs.gated },
    { title: "skipped", value: (row) => row.macs.skipped },
    { title: "cycles", value: (row) => row.cycles, text: grouped },
    { title: "without skipping", unit: "cycles", value: (row) => row.dense_cycles, text: grouped },
    { title: "saved", value: (row) => row.cycles_saved, text: (value) => percent(value, 1) },
    { title: "stall", unit: "cycles", value: (row) => row.stall_cycles, text: grouped },
    { title: "utilization", value: (row) => (isMac(row) ? row.utilization : null), text: (value) => percent(value, 1) },
    { title: "energy", unit: "pJ", value: (row) => row.energy_pj.total },
    { title: "latency", unit: "s", value: (row) => row.latency_s },
    { title: "speed", unit: "GOP/s", value: (row) => row.gops },
  ];
  const words = [
    { title: "layer", value: (row) => row.name },
    { title: "activations", left: true, value: (row) => row.formats.activations },
    { title: "weights", left: true, value: (row) => row.formats.weights },
    { title: "accumulator", left: true, value: (row) => row.formats.accumulator },
    { title: "output", left: true, value: (row) => row.formats.output },
    { title: "accumulator proven safe", unit: "bits", value: (row) => row.accumulator_bits_needed },
    { title: "seen", unit: "bits", value: (row) => row.accumulator_bits_seen },
    { title: "SQNR", unit: "dB", value: (row) => row.sqnr_db },
    { title: "wrapped", unit: "words", value: (row) => row.overflow.wrapped },
    { title: "saturated", unit: "words", value: (row) => row.overflow.saturated },
    { title: "underflowed", unit: "words", value: (row) => row.overflow.underflowed },
  ];
  section(
    "Layers",
    table({ caption: "Figures by layer, per image", columns: figures, rows: layers, last: { ...totals, name: "total", op: "" } }).element,
    table({ caption: "Formats, accumulators and overflow by layer; words over all images", columns: words, rows: layers }).element,
  );
}

function resourcesSection() {
  if (!results.resources?.length) return;
  const columns = [
    { title: "slices", value: (row) => row.dsp },
    { title: "elements", value: (row) => row.elements },
    { title: "DSP slices", value: (row) => row.dsps },
    { title: "products a slice", value: (row) => row.products_per_dsp },
    { title: "LUTs", value: (row) => row.luts },
    { title: "flip-flops", value: (row) => row.ffs },
    { title: "source", left: true, words: true, value: (row) => row.source },
  ];
  section("FPGA resources", note("A first estimate of the array, by family of DSP slices."), table({ caption: "FPGA resources of the array", columns, rows: results.resources }).element);
}

overview();
accuracySection();
cyclesSection();
energySection();
rooflineSection();
trafficSection();
sparsitySection();
noiseSection();
faultsSection();
layersSection();
resourcesSection();
drawAll();
