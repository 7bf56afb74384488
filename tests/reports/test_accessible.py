"""A page for every reader: by mouse and keyboard, aloud, in the dark, without a script, on paper; in a real Chromium.

Whatever they do, no tab asks anybody for anything.
"""

import io
import json
import re
import shutil
import unicodedata

import numpy as np
import pandas as pd
import pytest
from recorded import record, training

from study import page
from study.records.saved import with_study

MARKUP = '</script><script>document.title = 1</script><img src=x onerror="document.title = 2"><b class=markup>'
DRAWN = "[...document.querySelectorAll('figure.alive .chart')].every(one => one.querySelector('svg[aria-hidden]'))"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of six arms, enough for a field that filters rows."""
    rng, made, folder = np.random.default_rng(0), [], tmp_path_factory.mktemp("page")
    for arm, width in zip(("aa", "bb", "cc", "dd", "ee", "ff"), (3.0, 0.3, 2.5, 1.0, 2.0, 1.5), strict=True):
        for k in range(12):
            rate = 10 ** rng.uniform(-4, 0)
            best = max(0.98 - (np.log10(rate) + 2) ** 2 / (4 * width), 0.1)
            about = {"scheme.lr": rate, "lr": rate, "target": 0.8, "seconds": [width, 2 * width]}
            made.append(training([best - 0.1, best], arm=arm, k=k, **about))
    record(*made).to_parquet(folder / "six.parquet")
    return page(folder / "six.parquet", folder, baseline="bb")


@pytest.fixture(scope="module")
def chromium():
    """A Chromium that is installed here; none is downloaded."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("needs Chromium, which is not here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running, running.chromium.launch(executable_path=found, args=["--disable-gpu"]) as one:
        yield one


@pytest.fixture
def opened(chromium, written):
    """Open a page; by default at a width where all figures stand below each other."""
    tabs, asked = [], []

    def open_page(width=760, path=written.path, **options):
        tabs.append(chromium.new_page(viewport={"width": width, "height": 800}, **options))
        tabs[-1].on("request", lambda request: asked.append(request.url))
        tabs[-1].goto(path.as_uri())
        if options.get("java_script_enabled", True):
            for _ in range(100):
                if tabs[-1].evaluate(DRAWN):
                    break
                tabs[-1].wait_for_timeout(100)
        return tabs[-1]

    yield open_page
    for tab in tabs:
        tab.close()
    assert [url for url in asked if not url.startswith("data:") and not url.endswith(".html")] == []
    assert len([url for url in asked if url.endswith(".html")]) == len(tabs)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_violation_where_all_is_open_and_a_scheme_is_chosen(opened, colours):
    from axe_playwright_python.sync_playwright import Axe

    tab = opened(color_scheme=colours)
    tab.locator("button[data-scheme=aa]").click()
    assert tab.locator("tr.faded").count() > 0
    tab.locator("details:not([open]) summary").evaluate_all("all => all.forEach(one => one.click())")
    rules = {} if colours == "light" else {"runOnly": ["color-contrast"]}  # all others see no colour
    found = Axe().run(tab, options={"resultTypes": ["violations"], **rules})
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found.response["violations"]] == []


def test_a_chart_is_one_image_that_is_told_by_its_sentence(opened, written):
    tab = opened()
    charts = tab.locator("figure.alive .chart")
    told = charts.evaluate_all("all => all.map(one => [one.getAttribute('role'), one.getAttribute('aria-label')])")
    assert len(told) == 7
    assert {role for role, _ in told} == {"img"}
    assert all(words.endswith(".") for _, words in told)
    assert told[0][1] == written.sentences[0]
    tab.locator("input[name=unit][value=seconds]").check()
    (task,) = json.loads((written.path.parent / "report.json").read_text())["tasks"]
    in_seconds = task["in_units"]["seconds"]["sentence"]
    assert in_seconds != written.sentences[0]
    tab.locator(f"figure.alive .chart[aria-label={json.dumps(in_seconds)}]").first.wait_for(timeout=5000)


STOPS = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const {left, bottom} = one.getBoundingClientRect(), ring = getComputedStyle(one);
  return [one.localName, one.name || one.className || one.textContent, left, bottom + scrollY, ring.outlineStyle];
}"""


def test_tab_goes_through_every_control_in_reading_order_and_shows_where_it_is(opened):
    tab, stops = opened(), []
    for _ in range(200):
        tab.keyboard.press("Tab")
        stop = tab.evaluate(STOPS)
        if stop is None:
            break
        stops.append(stop)
    names = [(kind, name) for kind, name, *_ in stops]
    assert names[:2] == [("input", "unit"), ("input", "axes")]
    for place in range(1, len(stops)):  # one that lies higher stands to the right, in the same line
        (*_, left, bottom, _), (*_, left_next, bottom_next, _) = stops[place - 1], stops[place]
        assert bottom_next > bottom - 1 or left_next > left, (names[place - 1], names[place])
    assert {ring for *_, ring in stops} == {"auto"}
    count = tab.evaluate("""[...document.querySelectorAll("a[href], button, summary, input:not([type=radio])")]
      .filter(one => one.checkVisibility()).length""")
    assert len(stops) == count + 2  # a group of radio buttons is one stop, and arrows choose in it


def test_enter_and_arrows_do_what_a_mouse_does(opened):
    tab = opened()
    tab.locator("button[data-scheme=bb]").focus()
    tab.keyboard.press("Enter")
    assert tab.locator("button[data-scheme=bb]").get_attribute("aria-pressed") == "true"
    button = tab.locator("thead button:visible", has_text=re.compile("^hits$")).last
    button.focus()
    tab.keyboard.press("Enter")
    assert button.evaluate("one => one.parentElement.ariaSort") == "ascending"
    summary = tab.locator("summary").first
    summary.focus()
    tab.keyboard.press("Enter")
    assert summary.evaluate("one => one.parentElement.open")
    tab.locator("input[name=unit]").first.focus()
    tab.keyboard.press("ArrowRight")
    chosen = tab.locator("input[name=unit]:checked").get_attribute("value")
    assert chosen != "passes"
    assert tab.locator(f"[data-unit={chosen}] table").first.is_visible()


def test_without_a_script_tables_and_three_still_charts_are_there(opened, written):
    tab = opened(java_script_enabled=False)
    assert tab.locator("table:visible").count() >= 4
    images = tab.locator("noscript img")
    assert images.count() == 3
    sizes = images.evaluate_all("all => all.map(one => one.naturalWidth * one.complete)")
    assert min(sizes) > 100
    assert images.first.get_attribute("alt") == written.sentences[0]
    shown = tab.locator("button, input, select").evaluate_all("all => all.filter(one => one.checkVisibility()).length")
    assert shown == tab.locator(".legend button").count()


def test_on_paper_there_are_sentence_tables_and_notes_and_no_controls(opened, written):
    from pypdf import PdfReader

    tab = opened(color_scheme="dark")
    tab.emulate_media(media="print")
    for kind in ("input", "select", "a.data", "button.data", ".told", "details:not(.notes)"):
        assert tab.locator(f"{kind}:visible").count() == 0, kind
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("""getComputedStyle(document.querySelector("figure.alive .chart svg text")).fill""") in (
        "rgb(28, 30, 33)", "rgb(100, 106, 115)"
    )  # fmt: skip
    tab.evaluate("document.querySelectorAll('.chart').forEach(one => one.remove())")  # thousands of strokes to read
    pages = [one.extract_text() for one in PdfReader(io.BytesIO(tab.pdf(format="A4"))).pages]
    text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", " ".join(pages)))  # without ligatures
    headings = "What the target costs", "trials to the target", "Notes on"
    for words in (*written.sentences, *written.said.advice, *headings):
        assert re.sub(r"\s+", "", words) in text
    assert "filter" not in text


def test_a_mouse_on_a_dot_shows_the_trial_whose_rate_is_the_dots_place(opened, written):
    """From left to right dots lie as rates do, whatever the page's script knows of them."""
    tab = opened()
    figure = tab.locator("[id^=score_against_rate]")
    figure.scroll_into_view_if_needed()
    boxes = figure.locator(".chart .mark-symbol path").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => [box.x + box.width / 2, box.y + box.height / 2])"
    )
    drawn = pd.read_csv(written.path.parent / "figures" / "score_against_rate-t.csv")
    trials = sorted(zip(drawn["lr"], drawn["scheme"], drawn["score"], strict=True))
    assert len(boxes) == len(trials) == 72
    for place in (0, 1, -1):
        tab.mouse.move(*sorted(boxes)[place])
        _, scheme, score = trials[place]
        told = figure.locator(".told").text_content()
        assert told.startswith(f"scheme {scheme} · trial ")
        assert f"score {float(f'{score:.5g}')}" in told


def test_markup_in_a_study_file_and_in_errors_stays_text(opened, tmp_path):
    """Question, source of published numbers, and the error of a failed training; without the page's own policy."""
    published = {"source": MARKUP, "within": 0.1, "finals": {"sgd": {"valid_score": 0.5}}}
    file = {"question": MARKUP, "published": published, "arms": {"sgd": {"task": "quadratic"}}}
    made = [training([0.4, 0.5], arm="sgd", k=k, error="") for k in range(8)]
    made.append(training([0.4], "failed", arm="sgd", k=8, error=MARKUP))
    with_study(record(*made), json.dumps(file), {"sgd": {}}).to_parquet(tmp_path / "odd.parquet")
    path = page(tmp_path / "odd.parquet", tmp_path).path
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text), encoding="utf-8")
    tab = opened(path=path)
    assert tab.locator("body").inner_text().count(MARKUP) >= 3
    assert tab.locator("img, b.markup").count() == 0
    assert tab.locator("script:not([type])").count() == 1
    assert tab.title() == "s · LR Study"
