"use strict";
// The results, the document, and numbers as text.

const results = JSON.parse(document.getElementById("results").textContent);

/** An element. Strings become text, never markup; null children are left out. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** Appends a section with a heading, and a link to it. */
function section(title, ...content) {
  const id = title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const link = el("a", { href: `#${id}` }, title);
  document.getElementById("sections").append(el("li", {}, link));
  const heading = el("h2", { id: `${id}-heading` }, title);
  const body = el("section", { id, "aria-labelledby": heading.id }, heading, ...content);
  document.getElementById("main").append(body);
  return body;
}

function subtitle(...parts) {
  document.getElementById("subtitle").textContent = parts.filter((part) => part != null).join(" · ");
}

function note(text) {
  return el("p", { class: "note" }, text);
}

/** Named figures: [name, value, what stands below it], without those that have no value. */
function facts(...rows) {
  const box = ([name, value, below]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value, below ? el("small", {}, below) : null));
  return el("dl", { class: "facts" }, rows.filter((row) => row[1] != null).map(box));
}

/** A labelled choice; `options` are [value, text]. */
function choice(label, options, chosen, changed) {
  const select = el("select", { change: () => changed(select.value) });
  for (const [value, text] of options) {
    select.append(el("option", { value, selected: value === chosen }, text));
  }
  return el("label", {}, label, select);
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** The digits in groups of three, rounded to `decimals`. */
function grouped(value, decimals = 0) {
  const [whole, part] = Math.abs(value).toFixed(decimals).split(".");
  const digits = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return `${value < 0 ? "−" : ""}${digits}${part ? `.${part}` : ""}`;
}

/** About four significant digits; "–" for what is no number. */
function short(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e15 || size < 1e-4) return value.toExponential(3).replace("-", "−").replace("e+", "e");
  if (Number.isInteger(value) || size >= 1000) return grouped(value);
  return grouped(value, Math.max(0, 3 - Math.floor(Math.log10(size)))).replace(/\.?0+$/, "");
}

/** A count with its noun. */
function counted(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A fraction in percent. */
function percent(fraction, decimals = 2) {
  return isNumber(fraction) ? `${grouped(100 * fraction, decimals)}\u00a0%` : "–";
}

/** `part` of `whole`, which may be nothing. */
function share(part, whole) {
  return whole > 0 ? part / whole : null;
}

/** The 95 % interval of an accuracy. */
function interval([low, high]) {
  return `95 % interval ${percent(low)} to ${percent(high)}`;
}

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"], [1e-12, "p"]];
/** Units that take prefixes. */
const SYMBOLS = ["J", "B", "s", "bit"];
const POWERS = { T: "10¹² ", G: "10⁹ ", M: "10⁶ ", k: "10³ " };

/**
 * The scale in which `largest` has one to four digits: its unit, and a function from values to it.
 * Symbols of units take prefixes, words (cycles) powers of ten. `base` is the unit of the values:
 * 1e-12 for pJ.
 */
function scale(unit, largest, base = 1) {
  const symbol = SYMBOLS.includes(unit);
  const least = symbol ? 1e-12 : 1;
  const size = Math.max(Math.abs(largest) * base || base, least);
  const [factor, prefix] = PREFIXES.find(([at]) => size >= at * (1 - 1e-9));
  return { unit: symbol ? `${prefix}${unit}` : `${POWERS[prefix] ?? ""}${unit}`, of: (value) => (value * base) / factor };
}

/** Round ends and interval of an axis from `low` to `high`, within `least` and `greatest`. */
function ends(low, high, least, greatest) {
  const wanted = (high - low || Math.abs(high) / 10 || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const interval = [1, 2, 5, 10].find((one) => one * power >= wanted) * power;
  const min = Math.max(least, Math.floor(low / interval - 0.25) * interval);
  const max = Math.min(greatest, Math.ceil(high / interval + 0.25) * interval);
  return { min, max, interval };
}

/** A value with its unit. */
function quantity(value, unit, base = 1) {
  if (!isNumber(value)) return null;
  const to = scale(unit, value, base);
  return `${short(to.of(value))}\u00a0${to.unit}`;
}

/** A long name with its middle left out. */
function shortened(name, length) {
  if (name.length <= length) return name;
  const head = Math.floor((length - 1) / 2);
  return `${name.slice(0, head)}…${name.slice(name.length - (length - 1 - head))}`;
}

function largest(values) {
  return values.reduce((max, value) => (isNumber(value) && value > max ? value : max), 0);
}
