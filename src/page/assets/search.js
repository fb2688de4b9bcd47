"use strict";
// The page of a search: what was chosen, what it loses, and the front.

const { eight_bits: eight, chosen, sites, float } = results;
const DESIGNS = [["8 bits", eight], ["chosen", chosen]];
const COSTS = {
  bits: { unit: "bit", base: 1, name: "bits of weights and feature maps", title: "bit" },
  energy: { unit: "J", base: 1e-12, name: "energy an image", title: "pJ" },
  cycles: { unit: "cycles", base: 1, name: "cycles an image", title: "cycles" },
};
const thresholds = chosen.thresholds ?? [];

function accuracySection() {
  const part = (name, key, index) => {
    const images = chosen[key].images;
    const rows = [
      { name: "float", rate: float[index] },
      ...DESIGNS.map(([design, candidate]) => ({ name: design, rate: candidate[key].rate, ci95: candidate[key].ci95 })),
    ];
    return accuracies({ title: `Accuracy on ${grouped(images)} ${name} images`, rows }).element;
  };
  section(
    "Accuracy",
    note("Formats were chosen on the tuning images; the search did not see the held-out ones. The bars are 95 % Wilson intervals."),
    el("div", { class: "pair" }, part("tuning", "tuning", 0), part("held-out", "held_out", 1)),
  );
}

function costSection() {
  const bits = bars({
    title: "Bits stored",
    about: "Of all weights, and of the feature maps of an image.",
    summary: `Bits of weights and feature maps: ${DESIGNS.map(([name, one]) => `${name} ${grouped(one.weight_bits)} and ${grouped(one.activation_bits)}`).join("; ")}.`,
    names: DESIGNS.map(([name]) => name),
    series: [
      { name: "weights", values: DESIGNS.map(([, one]) => one.weight_bits) },
      { name: "feature maps", values: DESIGNS.map(([, one]) => one.activation_bits) },
    ],
    unit: "bit",
    axis: "size",
    of: "design",
  });
  const energy = bars({
    title: "Energy an image",
    about: `On ${results.hardware}.`,
    summary: `Energy: ${DESIGNS.map(([name, one]) => `${name} ${quantity(one.energy_pj, "J", 1e-12)}`).join("; ")}.`,
    names: DESIGNS.map(([name]) => name),
    series: [{ name: "energy", values: DESIGNS.map(([, one]) => one.energy_pj) }],
    unit: "J",
    base: 1e-12,
    axis: "energy an image",
    of: "design",
  });
  const cycles = bars({
    title: "Cycles an image",
    about: `On ${results.hardware}.`,
    summary: `Cycles: ${DESIGNS.map(([name, one]) => `${name} ${grouped(one.cycles)}`).join("; ")}.`,
    names: DESIGNS.map(([name]) => name),
    series: [{ name: "cycles", values: DESIGNS.map(([, one]) => one.cycles) }],
    unit: "cycles",
    axis: "cycles an image",
    of: "design",
  });
  section("Cost", el("div", { class: "pair" }, bits.element, energy.element, cycles.element));
}

function formatsSection() {
  const layers = [...new Set(sites.map((site) => site.layer))];
  const kinds = [...new Set(sites.map((site) => site.site))];
  const width = (layer, kind) => {
    const index = sites.findIndex((site) => site.layer === layer && site.site === kind);
    return index < 0 ? null : chosen.widths[index];
  };
  const widths = bars({
    title: "Chosen widths by layer",
    summary: `Chosen widths in bits of ${sites.length} sites of ${layers.length} layers; the narrowest has ${Math.min(...chosen.widths)} bits, the widest ${Math.max(...chosen.widths)}.`,
    names: layers,
    series: kinds.map((kind) => ({ name: kind, values: layers.map((layer) => width(layer, kind)) })),
    unit: "bits",
    axis: "width",
    stacked: false,
  });
  const outputs = sites.map((_, index) => index).filter((index) => sites[index].site === "output");
  const zeroed = thresholds.length === 0 ? null : bars({
    title: "Chosen thresholds by layer",
    about: "Output words below this fraction of the largest one become zero.",
    summary: `Chosen thresholds of ${outputs.length} outputs; the largest is ${percent(largest(thresholds))} of the largest word.`,
    names: outputs.map((index) => sites[index].layer),
    series: [{ name: "threshold", values: outputs.map((index) => 100 * thresholds[index]) }],
    unit: "% of the largest word",
    axis: "threshold",
  });
  const columns = [
    { title: "layer", value: (row) => row.layer },
    { title: "site", left: true, value: (row) => row.site },
    { title: "format", left: true, value: (row) => row.format },
    { title: "width", unit: "bits", value: (row) => chosen.widths[sites.indexOf(row)] },
    { title: "safe accumulator", unit: "bits", value: (row) => row.accumulator_bits },
    ...(thresholds.length === 0 ? [] : [{ title: "zero below", value: (row) => row.threshold }]),
  ];
  const plan = el("details", {}, el("summary", {}, "The plan"), el("pre", { tabindex: "0", role: "region", "aria-label": "The chosen design as a plan file" }, results.plan));
  section("Formats", widths.element, zeroed?.element, table({ caption: "Chosen formats by site, and the narrowest accumulators that are proven safe", columns, rows: sites }).element, plan);
}

function frontSection() {
  const points = results.front;
  if (points.length === 0) return;
  const { unit, base, name, title } = COSTS[results.cost];
  const to = scale(unit, largest(points.map((point) => point.cost)), base);
  const build = (theme, width) => ({
    height: width < 500 ? 300 : 380,
    option: {
      grid: { left: 62, right: 24, top: 16, bottom: 48, outerBoundsMode: "none" },
      tooltip: tooltip(theme, "item", ({ dataIndex }) => {
        const point = points[dataIndex];
        const zero = (index) => (point.thresholds?.[index] ? `, zero below ${percent(point.thresholds[index], 1)}` : "");
        const widths = sites.map((site, index) => [`${site.layer} ${site.site}`, `${point.widths[index]} bits${zero(index)}`]);
        return tip(`loss ${percent(point.loss)}, ${quantity(point.cost, unit, base)}`, widths.length > 24 ? [] : widths);
      }),
      xAxis: { type: "value", scale: true, splitNumber: width < 500 ? 3 : 7, axisLabel: { formatter: short, hideOverlap: true }, ...named(`${name}, ${to.unit}`, 28) },
      yAxis: { type: "value", scale: true, axisLabel: { formatter: short }, ...named("loss, % of images", 46) },
      series: [{ type: "scatter", symbolSize: 10, data: points.map((point) => [to.of(point.cost), 100 * point.loss]) }],
    },
  });
  const columns = [
    { title: "cost", unit: title, value: (row) => row.cost },
    { title: "loss", value: (row) => row.loss, text: (value) => percent(value) },
    ...sites.map((site, index) => ({ title: `${site.layer} ${site.site}`, unit: "bits", value: (row) => row.widths[index] })),
    ...sites.flatMap(({ layer }, index) => (points.some((point) => point.thresholds?.[index]) ? [{ title: `${layer} zero below`, value: (row) => row.thresholds[index], text: (value) => percent(value, 1) }] : [])),
  ];
  const content = chart({
    title: "Front of loss and cost",
    about: "Designs that no other tried one beats, on the tuning images that NSGA-II sees.",
    summary: `Scatter of the loss against the ${name} of ${points.length} designs.`,
    build,
    data: { caption: "Front of loss and cost, with the words of all sites", columns, rows: points },
  });
  section("Front", content.element);
}

function page() {
  subtitle(`hardware ${results.hardware}`, results.dataset, `loss of at most ${percent(results.loss)} of the images`, `least ${results.cost}`);
  section("Overview", facts(
    ["held-out accuracy", percent(chosen.held_out.rate), `${interval(chosen.held_out.ci95)}, ${grouped(chosen.held_out.images)} images`],
    ["with 8 bits", percent(eight.held_out.rate), interval(eight.held_out.ci95)],
    ["float", percent(float[1]), "held-out images"],
    ["weights", quantity(chosen.weight_bits, "bit"), `${quantity(eight.weight_bits, "bit")} with 8 bits`],
    ["feature maps", quantity(chosen.activation_bits, "bit"), `${quantity(eight.activation_bits, "bit")} with 8 bits`],
    ["cycles", grouped(chosen.cycles), `${grouped(eight.cycles)} with 8 bits`],
    ["energy", quantity(chosen.energy_pj, "J", 1e-12), `${quantity(eight.energy_pj, "J", 1e-12)} with 8 bits`],
  ));
  accuracySection();
  costSection();
  formatsSection();
  frontSection();
  drawAll();
}

page();
