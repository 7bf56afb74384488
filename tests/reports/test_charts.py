"""The charts of a page: they hold the table's numbers, and in a real browser they draw, answer and stay text."""

import io
import json
import math
import re
import shutil
import subprocess
from html import unescape
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from recorded import record, training
from simulated import bowl, simulate

from study import page, tracking
from study.plan.parse import parse
from study.records import saved

TEXT = "{question: %s, common: {task: digits_mlp, epochs: 2, trials: 8}, arms: {sgd: {}, adam: {direction: adam}}}"
NAME = "<script>alert(1)</script>"
QUESTION = "<img src=x onerror=\"document.title='owned'\"> & <b>bold</b>"
LAW = {"sgd": bowl(-1, 0.7), "adam": bowl(-2.5, 1.2)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    simulate(parse(TEXT % json.dumps(QUESTION), "markup"), uri, lambda arm, *rest: LAW[arm](*rest))
    client = MlflowClient(uri)
    client.rename_experiment(client.get_experiment_by_name("markup").experiment_id, NAME)
    return uri


@pytest.fixture(scope="module")
def written(store, tmp_path_factory):
    return page(NAME, tmp_path_factory.mktemp("page"), tracking_uri=store, target={"": 0.9})


def charts(written):
    """Name → what is embedded, in the first unit."""
    text = written.path.read_text(encoding="utf-8")
    first = r'<figure class="alive[^>]* id="(\w+)-.*?<script type="application/json"[^>]*>(.*?)</script>'
    return {name: json.loads(one) for name, one in re.findall(first, text, re.DOTALL)}


def table_of(written):
    """The trials of the page's first task, as it holds them for its charts and for a reader."""
    (link, *_) = re.findall(
        r'<a class="data trials"[^>]* href="data:text/csv[^,]*,(.*?)"', written.path.read_text("utf-8")
    )
    return pd.read_csv(io.StringIO(unquote(link)))


def test_a_chart_holds_the_shares_of_the_json_and_every_trial_of_the_record(store, written):
    shares, scores = (charts(written)[name] for name in ("share", "score_against_rate"))
    (task,) = json.loads((written.path.parent / "report.json").read_text())["tasks"]
    told = {arm["scheme"]: arm["share_to_target"]["estimate"] for arm in task["arms"]}
    assert dict(zip(shares["columns"]["scheme"], shares["columns"]["share"], strict=True)) == pytest.approx(told)
    read = tracking.read(NAME, store).drop_duplicates("run_id").set_index("run_id")
    columns = table_of(written).iloc[scores["columns"]["row"]]
    assert set(columns["run_id"]) == set(read.index)
    for run, rate, words in zip(columns["run_id"], columns["lr"], columns["configuration"], strict=True):
        assert rate == pytest.approx(read["scheme.lr"][run], rel=1e-5)
        assert words == f"scheme.lr = {rate:.6g}, seed = {read['seed'][run]}"


def test_the_ranked_chart_belongs_to_the_answer_and_the_others_to_the_body(written):
    header, _, body = written.path.read_text(encoding="utf-8").partition("</header>")
    figures = [re.findall(r'<figure class="alive[^"]*" id="(\w+)-', part) for part in (header, body)]
    body = ["cost_to_target", "expected_best", "score_against_rate", "learning_curves", "rates", "over_time"]
    assert figures == [["share"], body]
    assert header.index('id="share-') < header.index("What to do")


def test_a_still_chart_is_the_same_in_every_writing_and_names_its_schemes(store, written, tmp_path):
    again = page(NAME, tmp_path, tracking_uri=store, target={"": 0.9})
    names = "figures/share-digits_mlp.svg", "figures/score_against_rate-digits_mlp.svg"
    for name in names:
        text = (written.path.parent / name).read_text()
        assert (again.path.parent / name).read_text() == text
        assert {"sgd", "adam"} <= set(re.findall(r">(\w+)</text>", text))
        assert "var(" not in text


@pytest.fixture(scope="module")
def dom(tmp_path_factory):
    """A page's address → its document, after a real browser has run it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("needs Chromium, which is not here")
    profile = tmp_path_factory.mktemp("profile")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000",
             f"--user-data-dir={profile}"]  # fmt: skip

    def dump(path):
        done = subprocess.run(
            [found, *flags, "--dump-dom", path.as_uri()], capture_output=True, text=True, check=True, timeout=90
        )
        return done.stdout

    return dump


def test_charts_are_drawn_under_the_pages_own_policy(dom, written):
    text = dom(written.path)
    assert len(re.findall(r"<svg[^>]* class=\"marks\"", text)) == 7
    (sentence,) = written.sentences
    assert f'aria-label="{sentence}"' in unescape(text)


POINTING = """<script>
setTimeout(() => {
  const dot = document.querySelector('[id^=score] path[aria-roledescription="point"]');
  dot.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
  document.querySelector('button[data-scheme="adam"]').click();
}, 2000);
</script></body></html>"""


def test_pointing_shows_the_trial_and_a_name_stays_a_name(dom, written, tmp_path):
    """Opened without the page's own policy, so that it is the escaping that is tried."""
    bare = tmp_path / "bare.html"
    text = re.sub(r"<meta http-equiv[^>]*>", "", written.path.read_text(encoding="utf-8"))
    bare.write_text(text.replace("</body>\n</html>", POINTING), encoding="utf-8")
    found = dom(bare)
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt; · LR Study</title>" in found
    assert "&lt;img src=x onerror=" in found
    assert not re.findall(r"<script>alert|<img src=x|<b>bold", found)
    shown = r'class="told"[^>]*>(scheme \w+ · trial.*?)<a href="[^"]*/runs/(\w+)">its run</a>'
    ((told, run),) = re.findall(shown, found)
    trial = table_of(written).set_index("run_id").loc[run]
    assert trial["configuration"] in told
    assert f"scheme {trial['scheme']} " in told
    assert re.findall(r'data-scheme="(\w+)" aria-pressed="true"', found) == ["adam"]
    assert set(re.findall(r'<tr data-scheme="(\w+)"[^>]*class="[^"]*faded', found)) == {"sgd"}


SORTING = """<script>
setTimeout(() => {
  const table = [...document.querySelectorAll("table")].find(one => one.textContent.includes("trials to the target"));
  const button = [...table.querySelectorAll("button")].find(one => one.textContent === "hits");
  const names = () => [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.dataset.scheme).join();
  const seen = [names()];
  for (const _ of [1, 2]) { button.click(); seen.push(names()); }
  const field = table.previousElementSibling;
  field.value = "b"; field.dispatchEvent(new Event("input"));
  document.title = [...seen, names(), button.parentElement.ariaSort].join(" ");
}, 2000);
</script></body></html>"""


@pytest.fixture(scope="module")
def six(store, tmp_path_factory):
    """The page of six arms: bowls of rates, of which the wide ones are cheap."""
    widths = dict(zip("abcdef", (3.0, 0.3, 2.5, 1.0, 2.0, 1.5), strict=True))
    arms = ", ".join(f"{name}{name}: {{}}" for name in widths)
    text = f"{{question: which, baseline: bb, common: {{task: digits_mlp, epochs: 2, trials: 12}}, arms: {{{arms}}}}}"
    simulate(parse(text, "six"), store, lambda arm, *rest: bowl(-2, widths[arm[0]])(*rest))
    return page("six", tmp_path_factory.mktemp("six"), tracking_uri=store, target={"": 0.8})


def titled(dom, written, script, tmp_path):
    """The title that a script gives to the page, opened without its own policy, so that the script may run."""
    bare = tmp_path / "bare.html"
    text = re.sub(r"<meta http-equiv[^>]*>", "", written.path.read_text(encoding="utf-8"))
    bare.write_text(text.replace("</body>\n</html>", script), encoding="utf-8")
    return unescape(re.search(r"<title>(.*?)</title>", dom(bare)).group(1))


def test_tables_come_cheapest_first_and_sort_and_filter(dom, six, tmp_path):
    (task,) = json.loads((six.path.parent / "report.json").read_text())["tasks"]
    first, rising, falling, filtered, sense = titled(dom, six, SORTING, tmp_path).split(" ")
    costs = {arm["scheme"]: (arm["censored"], arm["expected_cost"]["estimate"]) for arm in task["arms"]}
    hits = {arm["scheme"]: arm["hits"] for arm in task["arms"]}
    assert first.split(",") == sorted(costs, key=lambda name: costs[name])
    assert [hits[name] for name in rising.split(",")] == sorted(hits.values())
    assert [hits[name] for name in falling.split(",")] == sorted(hits.values(), reverse=True)
    assert (filtered, sense) == ("bb", "descending")


def test_a_column_that_says_the_same_as_another_is_not_shown(written):
    text = written.path.read_text(encoding="utf-8")
    heads = re.findall(r'<th scope="col">(.*?)</th>', text)
    assert "passes" in heads
    assert not {"steps", "untuned"} & set(heads)  # a pass a step; nobody ran the default
    assert "as many steps" in text


MARKUP = '</script><script>alert(1)</script><img src=x onerror="document.title=1">&lt;b'
LOOKING = """<script>
setTimeout(() => {
  for (const one of document.querySelectorAll("button, input, summary")) one.click();
  const marks = document.querySelectorAll(".chart path");
  for (const mark of marks) mark.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
}, 1500);
setTimeout(() => document.title = JSON.stringify({
  loaded: performance.getEntriesByType("resource").map(one => one.name).filter(name => !name.startsWith("data:")),
  images: document.querySelectorAll("img").length, charts: document.querySelectorAll(".chart svg").length,
  scripts: document.querySelectorAll("script:not([type])").length, title: document.title}), 4000);
</script></body></html>"""


def test_markup_in_every_field_stays_text_and_no_request_leaves_the_page(dom, tmp_path):
    """Opened without the page's own policy: names of study, task, arms, searcher, metric, parameters and quantities."""
    names = {"study": MARKUP, "task": f"t{MARKUP}", "searcher": "random", "metric": f"m{MARKUP}", "target": 0.8}
    rng, made = np.random.default_rng(0), []
    for arm in ("a", "b"):
        for k in range(12):
            rate, top = 10 ** rng.uniform(-3, 0), 0.7 + 0.2 * rng.uniform()
            beside = {f"extra{MARKUP}": 0.5, f"scheme.{MARKUP}": f"<b>{k}", "scheme.lr": rate, "status": "finished"}
            made.append(training([top - 0.1, top], arm=f"{arm}{MARKUP}", k=k, **names, **beside))
    record(*made).to_parquet(tmp_path / "markup.parquet")
    written = page(tmp_path / "markup.parquet", tmp_path / "page")
    found = json.loads(titled(dom, written, LOOKING, tmp_path))
    assert found["title"] == f"{MARKUP} · LR Study"
    assert found["charts"] >= 5
    assert found["scripts"] == 2  # the page's own, and this test's
    assert found["images"] == 0
    assert found["loaded"] == []


SWITCHING = """<script>
const shown = one => [...one.childNodes].filter(each => !each.hidden).map(each => each.textContent).join("");
setTimeout(() => document.querySelector("input[name=unit][value=seconds]").click(), 1500);
setTimeout(() => {
  const table = [...document.querySelectorAll("div[data-unit] table")].filter(one => !one.parentElement.hidden)
    .find(one => one.textContent.includes("trials to the target"));
  const place = [...table.tHead.rows[0].cells].findIndex(head => head.textContent === "seconds");
  const cells = Object.fromEntries([...table.tBodies[0].rows].map(row =>
    [row.dataset.scheme, [row.cells[1], row.cells[place]].map(cell => cell.firstChild.textContent.trim())]));
  const dots = {};
  for (const dot of document.querySelectorAll('[id^=share] path[aria-roledescription="point"]')) {
    dot.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
    const told = document.querySelector("[id^=share] .told").textContent;
    const [, scheme, share] = /scheme (\\w+) · share ([\\d.e-]+)/.exec(told);
    dots[scheme] = +share;
  }
  document.title = JSON.stringify({sentence: shown(document.querySelector(".answers .answer")), cells, dots});
}, 3500);
</script></body></html>"""


def test_the_unit_switch_changes_numbers_to_those_of_the_json(dom, six, tmp_path):
    """The sentence, the table's shares and costs, and the dots of the ranked chart."""
    found = json.loads(titled(dom, six, SWITCHING, tmp_path))
    (task,) = json.loads((six.path.parent / "report.json").read_text())["tasks"]
    paid = {arm["scheme"]: arm["paid"] for arm in task["arms"]}
    assert found["sentence"] == task["in_units"]["seconds"]["sentence"] != task["sentence"]
    assert found["dots"] == pytest.approx(
        {name: one["seconds"]["share"]["estimate"] for name, one in paid.items()}, rel=1e-4
    )
    for name, one in paid.items():
        assert float(found["cells"][name][1]) == pytest.approx(one["seconds"]["cost"]["estimate"], rel=0.05)
        if name != task["baseline"]:
            assert found["cells"][name][0] == f"{one['seconds']['share']['estimate']:.2f}"


DRAGGING = """<script>
setTimeout(() => {
  const figure = document.querySelector("[id^=score_against_rate]"), svg = figure.querySelector(".chart svg");
  figure.scrollIntoView();
  const {left, top} = svg.getBoundingClientRect();
  const send = (type, x, where) => where.dispatchEvent(new PointerEvent(type,
    {clientX: left + x, clientY: top + 100, bubbles: true, button: 0, buttons: 1, view: window}));
  send("pointerdown", 120, document.elementFromPoint(left + 120, top + 100));
  for (let x = 130; x <= 300; x += 10) send("pointermove", x, window);
  send("pointerup", 300, window);
  setTimeout(() => {
    const cells = row => [...row.cells].map(cell => cell.textContent);
    const rows = () => [...document.querySelectorAll("table.trials tbody tr")].map(cells);
    const curves = [...document.querySelectorAll("[id^=learning_curves] .layer_0_marks path")];
    const first = rows();
    document.querySelector("button.more").click();
    const all = rows();
    document.querySelector(`button[data-scheme="${first.at(-1)[0]}"]`).click();
    document.querySelectorAll("table.trials thead button")[2].click();
    document.title = JSON.stringify({told: figure.querySelector(".told").textContent, first, all, chosen: rows(),
      lead: document.querySelector("table.trials").previousElementSibling.textContent,
      calm: curves.filter(one => one.getAttribute("opacity") > 0.1).length});
  }, 800);
}, 2500);
</script></body></html>"""


def test_dragging_across_rates_counts_the_trials_between_them_and_the_table_and_curves_keep_to_them(dom, six, tmp_path):
    found = json.loads(titled(dom, six, DRAGGING, tmp_path))
    told = found["told"]
    low, high, number, lost, schemes = re.fullmatch(
        r"rates ([\d.e-]+) to ([\d.e-]+): (\d+) trials, (\d+) lost · (.*)", told
    ).groups()
    columns = table_of(six)
    least, most = (
        sum(float(low) * (1 + by) <= rate <= float(high) * (1 - by) for rate in columns["lr"]) for by in (0.05, -0.05)
    )
    assert 0 < least <= int(number) <= most < len(columns["lr"])
    assert sum(int(each.split(" ")[1]) for each in schemes.split(", ")) == int(number)
    assert int(lost) <= (columns["status"] == "diverged").sum()
    shown = [(row[0], int(row[1])) for row in found["all"]]
    inside = columns.set_index(["scheme", "trial"]).loc[shown]
    assert len(shown) == len(set(shown)) == found["calm"] == int(number)
    assert inside["lr"].between(float(low) * 0.95, float(high) * 1.05).all()
    assert inside["score"].is_monotonic_decreasing
    assert [float(row[3]) for row in found["all"]] == pytest.approx(inside["score"].tolist(), rel=1e-4)
    assert found["first"] == found["all"][:10]
    mine = columns.set_index(["scheme", "trial"]).loc[[(row[0], int(row[1])) for row in found["chosen"]]]
    (chosen,) = {row[0] for row in found["chosen"]}
    assert len(mine) == len(inside.loc[[chosen]])
    assert mine["lr"].is_monotonic_increasing
    assert found["lead"].startswith(f"{len(mine)} of 72 trials · {chosen} · rates {low} to {high}.")


CURVES = """<script>
setTimeout(() => {
  const figure = document.querySelector("[id^=learning_curves]"), svg = figure.querySelector(".chart svg");
  const lines = [...svg.querySelectorAll(".layer_0_marks path")], box = svg.getBoundingClientRect();
  const seen = lines.map(line => {
    const ends = line.getAttribute("d").match(/-?[\\d.]+/g).map(Number), on = line.getScreenCTM();
    const [x, y] = ends.slice(-2);
    svg.dispatchEvent(new PointerEvent("mousemove",  // a MouseEvent has whole pixels
      {bubbles: true, clientX: on.a * x + on.e, clientY: on.d * y + on.f}));
    const link = figure.querySelector(".told a");
    return [figure.querySelector(".told").textContent, link && link.href.split("/").at(-1), y];
  });
  const count = () => [0, 1, 2].map(at => svg.querySelectorAll(`.layer_${at}_marks path`).length);
  const calm = count();
  document.querySelector('button[data-scheme="bb"]').click();
  setTimeout(() => {
    const chosen = count();
    document.querySelector("input[name=unit][value=seconds]").click();
    setTimeout(() => {
      const now = figure.querySelector(".chart svg"), last = one => +one.getAttribute("d").match(/-?[\\d.]+/g).at(-2);
      const places = [...now.querySelectorAll(".layer_0_marks path")].map(last);
      document.title = JSON.stringify({seen, calm, chosen, title: /passes|seconds/.exec(now.textContent)[0], places});
    }, 800);
  }, 800);
}, 2000);
</script></body></html>"""


def test_pointing_at_a_learning_curve_shows_its_trial_and_a_chosen_scheme_has_all_its_curves_in_colour(
    dom, six, tmp_path
):
    found = json.loads(titled(dom, six, CURVES, tmp_path))
    table = table_of(six).set_index("run_id")
    (points,) = [one["columns"] for name, one in charts(six).items() if name == "learning_curves"]
    assert len(found["seen"]) == len(points["row"]) == 72
    lasts, heights = [], []
    for told, run, height in found["seen"]:
        assert f"scheme {table['scheme'][run]} · trial {table['trial'][run]} · " in told
        assert f"configuration {table['configuration'][run]} · its run" in told
        place = points["row"].index(table.index.get_loc(run))
        lasts.append(points["score_then"][place][-1])
        heights.append(height)
    assert len({run for _, run, _ in found["seen"]}) >= len(set(heights)) > 50  # some end in the same point
    assert np.corrcoef(lasts, heights)[0, 1] == pytest.approx(-1, abs=1e-3)
    assert found["calm"] == [72, 0, 6]
    assert found["chosen"] == [72, 12, 1]
    assert found["title"] == "seconds"  # each curve ends where the table has its seconds
    assert np.corrcoef(found["places"], table_of(six)["seconds"])[0, 1] == pytest.approx(1, abs=1e-4)


SEARCHED = {
    "plain": {"scheme.lr": {"log_uniform": [1e-3, 1.0]}, "direction.momentum": {"uniform": [0.0, 0.99]}},
    "wide": {"scheme.lr": {"log_uniform": [1e-4, 1.0]}, "direction.momentum": {"choice": [0.5, 0.9]}},
}
LINES = """<script>
setTimeout(() => {
  const figure = document.querySelector("[id^=parallel]"), chart = () => figure.querySelector(".chart svg");
  const at = ([x, y]) => {
    const on = chart().querySelector(".layer_0_marks path").getScreenCTM();
    chart().dispatchEvent(new PointerEvent("mousemove",
      {bubbles: true, clientX: on.a * x + on.e, clientY: on.d * y + on.f}));
    return figure.querySelector(".told").textContent;
  };
  const endsOf = line => line.getAttribute("d").match(/-?[\\d.]+/g).map(Number);
  const point = line => [endsOf(line), at(endsOf(line))];
  const lines = which => [...chart().querySelectorAll(`.layer_${which}_marks path`)];
  const bars = () => [...document.querySelectorAll("[id^=importance] .role-mark text")].map(one => one.textContent);
  const seen = () => ({all: lines(0).map(point), best: lines(1).length, bars: bars(),
    title: chart().querySelector(".role-title-text text").textContent});
  const first = seen(), other = first.title === "wide" ? "plain" : "wide";
  document.querySelector(`button[data-scheme="${other}"]`).click();
  setTimeout(() => {
    const second = seen();
    document.title = JSON.stringify([first, {...second, there: first.all.map(([ends]) => at(ends))}]);
  }, 800);
}, 2000);
</script></body></html>"""


def test_parallel_lines_and_importances_are_those_of_the_cheapest_and_then_of_the_scheme_that_is_chosen(dom, tmp_path):
    rng, made = np.random.default_rng(0), []
    for arm in SEARCHED:
        for k in range(24):
            rate = float(10 ** rng.uniform(-3, 0))
            top = 0.97 - 0.1 * abs(math.log10(rate) + 1)
            values = {"scheme.lr": rate, "lr": rate, "direction.momentum": float(rng.choice([0.5, 0.9]))}
            made.append(training([top - 0.1, top], arm=arm, k=k, task="digits_mlp", target=0.93, **values))
    text = "{question: which, common: {task: digits_mlp}, arms: {plain: {}, wide: {}}}"
    saved.with_study(record(*made), text, SEARCHED).to_parquet(tmp_path / "searched.parquet")
    written = page(tmp_path / "searched.parquet", tmp_path)
    (task,) = json.loads((tmp_path / "report.json").read_text())["tasks"]
    found = json.loads(titled(dom, written, LINES, tmp_path))
    costs = {arm["scheme"]: (arm["censored"], arm["expected_cost"]["estimate"]) for arm in task["arms"]}
    shares = {one["scheme"]: one["shares"] for one in task["importances"]}
    table = table_of(written).set_index(["scheme", "trial"])
    assert [one["title"] for one in found] == sorted(costs, key=lambda scheme: costs[scheme])
    for one in found:
        trials = table.loc[one["title"]]
        told = {int(re.match(f"scheme {one['title']} · trial (\\d+) ", text).group(1)): text for _, text in one["all"]}
        assert sorted(told) == list(range(24))
        assert one["best"] == 5
        assert all(text.startswith(f"scheme {one['title']} ") for text in one.get("there", []))  # others are not seen
        assert all(trials["configuration"][trial] in text for trial, text in told.items())
        heights = [ends[1] for ends, _ in one["all"]]
        assert np.corrcoef(np.log(trials["lr"][list(told)]), heights)[0, 1] == pytest.approx(-1, abs=1e-4)
        assert sorted(one["bars"]) == sorted(f"{share:.2f}" for share in shares[one["title"]].values())
