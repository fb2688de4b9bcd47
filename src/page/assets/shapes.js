"use strict";
// The shapes of charts that several pages use.

/** Width of a label of so many characters at the font size of the axes, in pixels. */
const CHARACTER = 6.6;

/** How category labels of these names are shortened, and the room they take. */
function labels(names, width) {
  const length = Math.max(6, Math.floor((width * (width < 500 ? 0.4 : 0.3)) / CHARACTER));
  const longest = names.reduce((max, name) => Math.max(max, name.length), 0);
  return { room: Math.min(longest, length) * CHARACTER + 14, text: (name) => shortened(name, length) };
}

/** A category axis of names down the side; `category` is a row's place, so that names may repeat. */
function down(names, width, extra = {}) {
  const fitting = labels(names, width);
  const axis = {
    type: "category",
    inverse: true,
    data: names.map((_, index) => String(index)),
    axisTick: { show: false },
    axisLabel: { formatter: (index) => fitting.text(names[index]), interval: 0, ...extra },
  };
  return { axis, room: fitting.room };
}

/**
 * Horizontal bars, a row a name: `series` are { name, values }; stacked or side by side. `unit` and
 * `base` are those of the values, as `scale` takes them; `percentages` for fractions.
 */
function bars({ title, about, summary, names, series, unit, base = 1, stacked = true, percentages = false, axis, controls, of = "layer" }) {
  const current = () => (typeof series === "function" ? series() : series);
  const sums = (all) => names.map((_, row) => all.reduce((sum, one) => sum + (one.values[row] ?? 0), 0));
  const range = (all) => (stacked ? largest(sums(all)) : largest(all.flatMap((one) => one.values)));
  const shown = (value) => (percentages ? percent(value) : quantity(value, unit, base));
  const build = (theme, width) => {
    const all = current();
    if (names.length === 0) return null;
    const to = percentages ? { unit: "%", of: (value) => 100 * value } : scale(unit, range(all), base);
    const step = (names.length > 40 ? 15 : 22) * (stacked ? 1 : Math.max(1, all.length * 0.7));
    const side = down(names, width);
    const option = {
      grid: { left: side.room, right: 18, top: all.length > 1 ? 30 : 8, bottom: 44, outerBoundsMode: "none" },
      legend: all.length > 1 ? legend(theme, all.map((one) => one.name)) : { show: false },
      tooltip: tooltip(theme, "axis", ([first]) => {
        const row = first.dataIndex;
        return tip(names[row], all.map((one) => [one.name, one.values[row] == null ? null : shown(one.values[row])]));
      }),
      xAxis: { type: "value", min: 0, max: percentages ? 100 : undefined, interval: percentages ? (width < 500 ? 25 : 20) : undefined, splitNumber: width < 500 ? 3 : 6, axisLabel: { formatter: short }, ...named(`${axis}, ${to.unit}`, 26) },
      yAxis: side.axis,
      series: all.map((one, index) => ({
        name: one.name,
        type: "bar",
        stack: stacked ? "sum" : undefined,
        barMaxWidth: 18,
        barCategoryGap: "25%",
        barGap: "10%",
        itemStyle: one.muted ? { color: theme.muted } : { color: theme.series[(one.colour ?? index) % theme.series.length] },
        data: one.values.map((value) => (value == null ? null : to.of(value))),
      })),
    };
    return { height: Math.round(names.length * step) + (all.length > 1 ? 30 : 8) + 48, option };
  };
  const column = (one, index) => ({
    title: one.name,
    unit: percentages ? null : base === 1e-12 ? `p${unit}` : unit,
    value: (row) => current()[index].values[row],
    text: percentages ? (value) => percent(value) : undefined,
  });
  const data = {
    caption: title,
    columns: [{ title: of, value: (row) => names[row] }, ...current().map(column)],
    rows: names.map((_, row) => row),
  };
  return chart({ title, about, summary, build, data, controls });
}

/**
 * A heat map: `values[row][column]`, null for none. `shown` makes text of a value; `most` is the value
 * of the darkest colour.
 */
function heat({ title, about, summary, names, columns, values, shown, most, across, controls, of = "layer", axis }) {
  const current = () => (typeof values === "function" ? values() : values);
  const build = (theme, width) => {
    const all = current();
    if (names.length === 0 || columns.length === 0) return null;
    const top = Math.max(typeof most === "function" ? most() : most, 1e-12);
    const side = down(names, width);
    const step = names.length > 40 ? 17 : 24;
    const cellWidth = Math.min(140, (width - side.room - 12) / columns.length);
    const wide = cellWidth > 46;
    const tilted = columns.some((name) => name.length * CHARACTER > cellWidth);
    const head = tilted ? 90 : 40;
    const cell = (value, column, row) => ({
      value: [column, row, value],
      label: { color: theme.onHeat[value > 0.5 * top ? 1 : 0] },
    });
    const present = all.flatMap((line, row) => line.map((value, column) => (value == null ? null : cell(value, column, row))));
    const option = {
      grid: { left: side.room, width: cellWidth * columns.length, top: head, bottom: 56, outerBoundsMode: "none" },
      tooltip: tooltip(theme, "item", ({ value: [column, row, value] }) => tip(names[row], [[columns[column], shown(value)]])),
      xAxis: { type: "category", data: columns, position: "top", axisTick: { show: false }, axisLabel: { interval: 0, rotate: tilted ? 40 : 0 }, ...named(across ?? "", tilted ? 74 : 22) },
      yAxis: side.axis,
      visualMap: {
        type: "continuous",
        min: 0,
        max: top,
        dimension: 2,
        orient: "horizontal",
        left: side.room,
        bottom: 4,
        itemWidth: 12,
        itemHeight: Math.min(140, width * 0.3),
        text: [`${axis} ${shown(top)}`, shown(0)],
        inRange: { color: theme.heat },
        outOfRange: { color: theme.heat[0] },
      },
      series: [
        {
          type: "heatmap",
          data: present.filter((one) => one != null),
          label: { show: wide, fontSize: 10.5, formatter: ({ value }) => shown(value[2]) },
          itemStyle: { borderColor: theme.ground, borderWidth: 1 },
        },
      ],
    };
    return { height: names.length * step + head + 60, option };
  };
  const column = (name, index) => ({ title: name, value: (row) => current()[row][index], text: shown });
  const data = {
    caption: title,
    columns: [{ title: of, value: (row) => names[row] }, ...columns.map(column)],
    rows: names.map((_, row) => row),
  };
  return chart({ title, about, summary, build, data, controls });
}

/** Accuracies with their 95 % intervals: `rows` are { name, rate, ci95 }, the interval may be absent. */
function accuracies({ title, about, rows }) {
  const names = rows.map((row) => row.name);
  const all = rows.flatMap((row) => [row.rate, ...(row.ci95 ?? [])]).map((rate) => 100 * rate);
  const text = (row) => `${row.name} ${percent(row.rate)}${row.ci95 ? `, ${interval(row.ci95)}` : ""}`;
  const build = (theme, width) => {
    if (rows.length === 0) return null;
    const side = down(names, width);
    const whiskers = (_, api) => {
      const row = rows[api.value(0)];
      const [left, y] = api.coord([100 * row.ci95[0], api.value(0)]);
      const [right] = api.coord([100 * row.ci95[1], api.value(0)]);
      const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: theme.accent, lineWidth: 2 } });
      return { type: "group", children: [line(left, y, right, y), line(left, y - 6, left, y + 6), line(right, y - 6, right, y + 6)] };
    };
    const option = {
      grid: { left: side.room, right: 24, top: 8, bottom: 44, outerBoundsMode: "none" },
      tooltip: tooltip(theme, "item", ({ value }) => {
        const row = rows[Array.isArray(value) ? value.at(-1) : value];
        return tip(row.name, [["accuracy", percent(row.rate)], ["95 % interval", row.ci95 ? row.ci95.map((end) => percent(end)).join(" to ") : null]]);
      }),
      xAxis: {
        type: "value",
        ...ends(Math.min(...all), Math.max(...all), 0, 100),
        axisLabel: { formatter: short, hideOverlap: true },
        ...named("accuracy, % of images", 26),
      },
      yAxis: { ...side.axis, splitLine: { show: true, lineStyle: { color: theme.line } } },
      series: [
        { type: "custom", renderItem: whiskers, data: rows.flatMap((row, index) => (row.ci95 ? [[index, index]] : [])), encode: { y: 0 }, clip: true },
        { type: "scatter", symbolSize: 11, itemStyle: { color: theme.series[1] }, data: rows.map((row, index) => [100 * row.rate, index, index]) },
      ],
    };
    return { height: rows.length * 34 + 56, option };
  };
  const end = (index) => (row) => row.ci95?.[index];
  const data = {
    caption: title,
    columns: [
      { title: "network", value: (row) => row.name },
      { title: "accuracy", value: (row) => row.rate, text: (value) => percent(value) },
      { title: "from", value: end(0), text: (value) => percent(value) },
      { title: "to", value: end(1), text: (value) => percent(value) },
    ],
    rows,
  };
  return chart({ title, about, summary: `${title}: ${rows.map(text).join("; ")}.`, build, data });
}

/** Lines over shared places on the x axis: `series` are { name, values, strong }. */
function lines({ title, about, summary, places, series, across, axis, shown, of }) {
  const build = (theme, width) => {
    if (places.length === 0) return null;
    const few = series.length <= 12;
    const option = {
      grid: { left: 58, right: 16, top: few ? 34 : 12, bottom: 44, outerBoundsMode: "none" },
      legend: few ? legend(theme, series.map((one) => one.name)) : { show: false },
      tooltip: tooltip(theme, "item", ({ seriesIndex, dataIndex }) => tip(series[seriesIndex].name, [[places[dataIndex], shown(series[seriesIndex].values[dataIndex])]])),
      xAxis: { type: "category", data: places, boundaryGap: false, ...named(across, 26) },
      yAxis: { type: "value", axisLabel: { formatter: short }, ...named(axis, 42) },
      series: series.map((one, index) => ({
        name: one.name,
        type: "line",
        symbolSize: one.strong ? 8 : 6,
        lineStyle: { width: one.strong ? 3 : 1.5, type: one.strong ? "dashed" : "solid" },
        itemStyle: { color: one.strong ? theme.ink : theme.series[index % theme.series.length] },
        emphasis: { focus: few ? "none" : "series" },
        z: one.strong ? 5 : 2,
        data: one.values.map((value) => (value == null ? null : 100 * value)),
      })),
    };
    return { height: width < 500 ? 280 : 340, option };
  };
  const column = (place, index) => ({ title: place, value: (one) => one.values[index], text: shown });
  const data = {
    caption: title,
    columns: [{ title: of, value: (one) => one.name }, ...places.map(column)],
    rows: series,
  };
  return chart({ title, about, summary, build, data });
}
