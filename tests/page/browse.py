"""Opens the pages of tests/page.rs in headless Chromium and uses them.

browse.py FOLDER CHROMIUM: in the folder are run.html, sweep.html, sensitivity.html, search.html,
sparsity.html and hostile.html, their JSON beside them, figures.json, the number of charts of each, and
fronts.json, point numbers of the front by pair of columns.
"""

import json
import re
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

KINDS = ["run", "sweep", "sensitivity", "search", "sparsity", "hostile"]
folder = Path(sys.argv[1]).resolve()


class Window:
    """A page, and everything that went wrong in it."""

    def __init__(self, browser, name, **options):
        self.name = name
        self.context = browser.new_context(**options)
        self.context.set_offline(True)
        self.page = self.context.new_page()
        self.wrong = []
        self.page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        self.page.on("dialog", lambda dialog: self.wrong.append("a dialog opened"))
        self.page.on("request", self.request)
        self.page.goto((folder / f"{name}.html").as_uri())

    def request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(f"request of {request.url}")

    def close(self):
        assert not self.wrong, f"{self.name}: {self.wrong}"
        self.context.close()


def drawn(page):
    """What a screen shows of each chart: its caption, summary, shapes and table rows."""
    return page.evaluate(
        """() => [...document.querySelectorAll("figure")].map((figure) => {
          const plot = figure.querySelector(".plot");
          const canvas = plot.querySelector("canvas");
          const inked = canvas && new Uint32Array(
            canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer).filter(Boolean).length;
          return {
            caption: figure.querySelector("figcaption").textContent,
            role: plot.getAttribute("role"),
            summary: plot.getAttribute("aria-label"),
            shapes: plot.querySelectorAll("svg path, svg text").length,
            inked: inked ?? 0,
            rows: figure.querySelectorAll("details tbody tr").length,
            height: plot.clientHeight,
          };
        })"""
    )


def check_charts(browser, name, figures):
    window = Window(browser, name, viewport={"width": 1280, "height": 800})
    page = window.page
    found = drawn(page)
    assert len(found) == figures, f"{name}: {len(found)} charts, {figures} expected"
    for chart in found:
        assert chart["role"] == "img" and len(chart["summary"]) > 20, chart
        assert chart["shapes"] > 5 or chart["inked"] > 500, f"{name}: not drawn: {chart}"
        assert chart["height"] > 40, chart
        assert chart["rows"] > 0 or name == "sweep", f"{name}: no table: {chart}"
    # Every table has a caption, and headers that say whether they sort.
    assert page.evaluate("[...document.querySelectorAll('table')].every((t) => t.caption && t.caption.textContent)")
    assert page.evaluate("[...document.querySelectorAll('input, select')].every((i) => i.labels.length === 1)")
    headings = page.evaluate("[...document.querySelectorAll('h1, h2')].map((h) => h.tagName)")
    assert headings[0] == "H1" and headings.count("H1") == 1 and len(headings) > 2, headings
    assert page.evaluate("document.documentElement.lang") == "en"
    # The JSON within is that of --json.
    within = json.loads(page.evaluate("document.getElementById('results').textContent"))
    expected = json.loads((folder / f"{name}.json").read_text())
    assert within == expected, f"{name}: the page's data is not the report's"
    window.close()


def check_phone(browser, name):
    window = Window(browser, name, viewport={"width": 390, "height": 800}, device_scale_factor=2)
    widths = window.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= 390 and widths[1] == 390, f"{name}: {widths} pixels wide on a phone"
    window.close()


def check_colours_and_print(browser, name):
    window = Window(browser, name, color_scheme="dark", viewport={"width": 1280, "height": 800})
    page = window.page

    def look(scheme):
        page.emulate_media(color_scheme=scheme)
        # Charts are drawn again when the change is announced, with a frame.
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return page.evaluate(
            """() => [getComputedStyle(document.documentElement).backgroundColor,
                      document.querySelector("figure svg text")?.getAttribute("fill")]"""
        )

    dark, light, again = look("dark"), look("light"), look("dark")
    assert light[0] == "rgb(255, 255, 255)" and dark[0] != light[0] and again == dark, (light, dark)
    assert light[1] and light[1] != dark[1], f"{name}: charts have the same ink on light and dark"
    visible = "[...document.querySelectorAll('nav, .controls, .pager')].some((e) => getComputedStyle(e).display !== 'none')"
    assert page.evaluate(visible)
    page.emulate_media(media="print")
    assert not page.evaluate(visible), f"{name}: controls are printed"
    page.emulate_media(media="screen")
    widths = page.evaluate(
        """() => {
          dispatchEvent(new Event("beforeprint"));
          const widths = [...document.querySelectorAll("figure svg, figure canvas")].map((e) => e.getBoundingClientRect().width);
          const ground = getComputedStyle(document.documentElement).backgroundColor;
          dispatchEvent(new Event("afterprint"));
          return [Math.max(...widths), ground];
        }"""
    )
    assert widths[0] <= 700 and widths[1] == "rgb(255, 255, 255)", f"{name}: {widths} in print"
    if name == "run":
        assert len(page.pdf(prefer_css_page_size=True)) > 10_000
    window.close()


def text_of(page, selector):
    return page.evaluate("(selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent)", selector)


def check_sweep(browser):
    window = Window(browser, "sweep", viewport={"width": 1280, "height": 1400})
    page = window.page
    report = json.loads((folder / "sweep.json").read_text())
    names = [column["name"] for column in report["columns"]]
    scatter = "echarts.getInstanceByDom(document.querySelector('#scatter .plot'))"
    points = "#points > .table tbody"
    status = "#scatter p[role=status]"

    def series():
        return page.evaluate(f"{scatter}.getOption().series.map((s) => s.data.map((d) => d.row?.point))")

    def choose(label, name):
        # The text of a label begins with its own; that of the options follows.
        own = page.locator("#scatter label").filter(has_text=re.compile(f"^{label}"))
        own.locator("select").select_option(str(names.index(name)))

    def rows():
        return [int(text) for text in text_of(page, f"{points} th")]

    # The front that was asked for is the report's.
    asked = [row["point"] for row in report["rows"] if row.get("front")]
    assert asked and sorted(series()[-1]) == asked, (series()[-1], asked)

    # A hover over a point of the front shows its parameters.
    row = next(row for row in report["rows"] if row["point"] == asked[0])
    x, y = (row["values"][names.index(one["column"])] for one in reversed(report["pareto"]))
    at = page.evaluate(f"{scatter}.convertToPixel('grid', [{x}, {y}])")
    page.locator("#scatter .plot").scroll_into_view_if_needed()
    box = page.locator("#scatter .plot").bounding_box()
    page.mouse.move(box["x"] + at[0], box["y"] + at[1])
    page.locator("#scatter .tip").wait_for(timeout=5000)
    shown = dict(zip(text_of(page, "#scatter .tip dt"), text_of(page, "#scatter .tip dd")))
    twins = [r for r in report["rows"] if (r["values"][names.index(report["pareto"][1]["column"])], r["values"][names.index(report["pareto"][0]["column"])]) == (x, y)]
    own = [{name: r["values"][i] for i, name in enumerate(names[: report["axes"]])} for r in twins]
    plain = {name: shown[name].replace("\u202f", "") for name in names[: report["axes"]]}
    assert any({k: str(v) for k, v in one.items()} == plain for one in own), (plain, own)

    # A filter changes table and scatter; a wrong one says why and changes nothing.
    plan = names.index("plan")
    expected = [r["point"] for r in report["rows"] if r["values"][plan] == "int4"]
    everything = [r["point"] for r in report["rows"]]
    assert 0 < len(expected) < len(everything) and rows() == everything[:50]
    page.fill("#filter", "plan=int4")
    assert rows() == expected[:50] and sorted(series()[0]) == expected
    assert text_of(page, status)[0].startswith(f"{len(expected)} of {len(everything)}")
    page.fill("#filter", "plan=int4 dsp >= 256 SKIP")
    dsp, zeros = names.index("dsp"), names.index("hw.zeros.activations")
    narrower = [r["point"] for r in report["rows"] if r["point"] in expected and r["values"][dsp] >= 256 and r["values"][zeros] == "skip"]
    assert narrower and rows() == narrower and sorted(series()[0]) == narrower
    page.fill("#filter", "nothing<3")
    assert "there is no column" in text_of(page, status)[0] and rows() == narrower
    assert page.get_attribute("#filter", "aria-invalid") == "true"
    page.fill("#filter", "")
    assert rows() == everything[:50]

    # Sorting, up and down.
    energy = names.index("energy_pj")
    head = page.locator("#points > .table th", has_text="energy_pj").first
    for sort, reverse in [("ascending", False), ("descending", True)]:
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == sort
        ordered = sorted(report["rows"], key=lambda r: r["values"][energy], reverse=reverse)
        by_number = {r["point"]: r["values"][energy] for r in report["rows"]}
        assert [by_number[p] for p in rows()] == [r["values"][energy] for r in ordered[:50]]
    assert rows() != everything[:50]

    # The front of other columns is the one that `sweep --pareto` finds.
    fronts = json.loads((folder / "fronts.json").read_text())
    assert len(fronts) >= 3
    for pair, front in fronts.items():
        up, across = pair.split(",")
        for label, name in [("up", up), ("across", across)]:
            choose(label, name)
        assert sorted(series()[-1]) == front, f"{pair}: {sorted(series()[-1])}, expected {front}"
    # Colour by a column: a series each.
    choose("colour", names[zeros])
    assert len(series()) == 2 + len({r["values"][zeros] for r in report["rows"]})
    window.close()


def check_choices(browser):
    """Charts whose layer, level or operand is chosen change with it."""
    window = Window(browser, "run")
    page = window.page
    before = drawn(page)
    page.select_option("#traffic select", "weight_buffer")
    after = drawn(page)
    changed = [a["caption"] for a, b in zip(after, before) if a != b]
    assert len(changed) == 1 and "weight_buffer" in changed[0], changed
    window.close()
    window = Window(browser, "sensitivity")
    page = window.page
    before = drawn(page)
    page.select_option("#extrinsic-half-even select", "conv1")
    changed = [a["summary"] for a, b in zip(drawn(page), before) if a != b]
    assert len(changed) == 1 and "of conv1 at 2 widths and 3 binary points" in changed[0], changed
    window.close()
    window = Window(browser, "sparsity")
    page = window.page
    before = drawn(page)
    page.select_option("#patterns select", "1")
    assert sum(a["summary"] != b["summary"] for a, b in zip(drawn(page), before)) == 4
    page.select_option("#histograms select >> nth=1", "activations")
    assert sum(a["summary"] != b["summary"] for a, b in zip(drawn(page), before)) == 5
    window.close()


def check_hostile(browser):
    """Names of markup are text."""
    window = Window(browser, "hostile")
    page = window.page
    assert page.evaluate("document.querySelectorAll('main img, main script, main b').length") == 0
    assert any("<img src=x" in text for text in text_of(page, "#layers tbody th"))
    plot = page.locator("#cycles .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50)
    page.locator("#cycles .tip").wait_for(timeout=5000)
    assert "<" in text_of(page, "#cycles .tip b")[0]
    assert page.evaluate("document.querySelectorAll('main .plot img, main .plot script').length") == 0
    window.close()


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[2], args=["--no-sandbox"])
    print("browser", browser.version)
    figures = json.loads((folder / "figures.json").read_text())
    for kind in KINDS:
        check_charts(browser, kind, figures[kind])
        check_phone(browser, kind)
        if kind != "hostile":
            check_colours_and_print(browser, kind)
    check_sweep(browser)
    check_choices(browser)
    check_hostile(browser)
    browser.close()
print("all pages hold")
