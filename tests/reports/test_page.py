"""The page about a study: says what the record says, is the same from the same record, and runs nothing."""

import base64
import hashlib
import io
import json
import math
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from mlflow import MlflowClient
from simulated import bowl, simulate

from study import page, tracking
from study.answers.results import JudgedShare, Result
from study.answers.study import Answers
from study.plan.parse import parse
from study.reports import writing as pages
from study.reports.sentences import sentence, sentence_text
from study.reports.writing import ReportOptions
from trainables.refusal import Refusal
from trainables.tasks.digits_mlp import DigitsMLP

TEXT = "{question: 'Which one?', common: {task: digits_mlp, epochs: 6, trials: %d}, arms: {%s}}"
ARMS = "sgd: {}, adam: {direction: adam, scheme.schedule: cosine}, wide: {scheme: hypergradient, scheme.beta: 0.001}"
LAW = {"sgd": bowl(-1, 0.7), "adam": bowl(-2.5, 1.2), "wide": bowl(-2, 2.5)}
TARGET = {"digits_mlp": 0.93}


def law(arm, trial, rng):
    return LAW[arm](trial, rng)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one study whose searches are complete; other tests add theirs."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    simulate(parse(TEXT % (32, ARMS), "whole"), uri, law)
    return uri


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def aimless(monkeypatch):
    """The task before anybody calibrated it; a record says what it had."""
    monkeypatch.setattr(DigitsMLP, "target", None)


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """What was written about the complete study."""
    return page("whole", tmp_path_factory.mktemp("page"), tracking_uri=store, target=TARGET)


def text_of(written):
    return written.path.read_text(encoding="utf-8")


def test_the_page_of_a_study_without_a_trial_says_so(store):
    tracker = tracking.Tracker(parse(TEXT % (4, ARMS), "empty"), store)
    tracker.searches.open(tracker.study.searches())
    text = text_of(page("empty", tracking_uri=store))
    assert "No trial has ended yet" in text
    assert "Without a trial that ended: sgd, adam, wide." in text


def test_the_page_of_a_half_finished_study_says_how_far_each_search_is(store):
    simulate(parse(TEXT % (8, ARMS), "half"), store, law, most=10)
    written = page("half", tracking_uri=store, target=TARGET)
    text = written.path.with_suffix(".md").read_text()  # the page tells it in every unit
    ended = re.findall(r"(\d) of 8 trials have ended: the search is not finished", text)
    assert sorted(ended) == ["3", "3", "4"]


def test_the_page_of_a_study_that_diverged_says_so(store):
    simulate(parse(TEXT % (4, ARMS), "diverged"), store, lambda *_: [0.2, math.nan])
    for target in (TARGET, None):
        written = page("diverged", tracking_uri=store, target=target)
        (sentence,) = written.sentences
        assert sentence == "On digits_mlp, every trial of every scheme diverged: there is nothing to compare."
        assert text_of(written).count("every trial diverged") == 3  # one a scheme


def test_the_page_says_what_share_of_the_parameters_was_the_first_rules_of_a_split(store):
    simulate(parse(TEXT % (4, "sgd: {}, muon: {rule: split}"), "split"), store, lambda *_: [0.2, 0.5])
    text = text_of(page("split", tracking_uri=store, target=TARGET))
    share = "85% of all numbers in the parameters of digits_mlp"
    assert f"Arm muon moves hidden matrices by a rule of their own: {share}." in text
    assert "Arm sgd moves" not in text


@pytest.mark.usefixtures("aimless")
def test_the_page_of_one_arm_says_that_there_is_nothing_to_compare(store):
    simulate(parse(TEXT % (4, "sgd: {}"), "alone"), store, law)
    (sentence,) = page("alone", tracking_uri=store, target={"": 0.5}).sentences
    assert re.match(r"On digits_mlp, sgd reaches .* passes; there is no other scheme to compare it with\.$", sentence)
    (sentence,) = page("alone", tracking_uri=store).sentences
    assert "which has no target yet, sgd is the only scheme" in sentence


@pytest.mark.usefixtures("aimless")
def test_without_a_target_schemes_are_compared_at_a_budget(store):
    simulate(parse(TEXT % (32, ARMS), "aimless"), store, law)
    written = page("aimless", tracking_uri=store)
    assert "which has no target yet" in written.sentences[0]
    assert "the baseline&#39;s best of 4" in text_of(written) or "baseline's best of 4" in written.sentences[0]
    assert "What the target costs" not in text_of(written)


@pytest.mark.usefixtures("aimless")
def test_too_few_trials_give_estimates_without_a_claim(store):
    simulate(parse(TEXT % (4, ARMS), "few"), store, law)
    (sentence,) = page("few", tracking_uri=store).sentences
    assert "these trials do not tell what any scheme saves (the notes say why)" in sentence
    assert "Estimates without an interval" in sentence


def test_a_study_without_validation_data_selects_nothing(store, tmp_path):
    record = tracking.read("whole", store)
    record["valid_score"] = record["valid_score"].where(record["diverged"] == 1)
    record.to_parquet(tmp_path / "blind.parquet")
    written = page(tmp_path / "blind.parquet")
    assert written.sentences == [
        "On digits_mlp, no trial was validated: nothing may be selected, so nothing is compared."
    ]
    drawn = {path.name.split("-")[0] for path in written.files if path.suffix == ".svg"}
    assert "rates" in drawn
    assert not drawn & {"expected_best", "score_against_rate", "cost_to_target"}
    assert "Without a trial that ended" not in text_of(written)


def test_the_same_record_gives_the_same_bytes(store, tmp_path):
    material = pages.of_study("whole", store)
    for name in ("once", "again"):
        pages.write(material, tmp_path / name, ReportOptions(target=TARGET))
    once, again = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))}
        for name in ("once", "again")
    )
    assert once == again
    assert {path.suffix for path in once} == {".html", ".md", ".json", ".svg", ".csv"}


def test_a_saved_record_gives_the_same_sentence_without_links(store, whole, tmp_path):
    record = tracking.read("whole", store)
    record.to_parquet(tmp_path / "whole.parquet")
    record.to_csv(tmp_path / "whole.csv", index=False)
    for kind in ("parquet", "csv"):
        written = page(tmp_path / f"whole.{kind}", target=TARGET, baseline="sgd")
        assert written.sentences == whole.sentences
        assert 'href="http' not in text_of(written)


def test_the_page_loads_nothing_and_runs_no_script_but_its_own(whole):
    text = text_of(whole)
    allowed = re.search(r"default-src 'none'; script-src '(sha256-[^']+)';", text).group(1)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, flags=re.DOTALL)
    (run,) = [script for kind, script in scripts if kind == ""]
    assert {kind.split(" data-for=")[0] for kind, _ in scripts} == {"", ' type="application/json"'}
    assert "sha256-" + base64.b64encode(hashlib.sha256(run.encode()).digest()).decode() == allowed
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    text = re.sub(r'src="data:image/svg\+xml;base64,[^"]+"', "", text)
    assert not re.findall(r"(?:src|srcset)=|url\((?!#)|@import", text)
    links = set(re.findall(r'href="(\w+):', text))
    assert links == {"http", "data"}


def test_every_figure_carries_its_data(whole):
    text, folder = text_of(whole), whole.path.parent / "figures"
    alive = r'<figure class="alive[^>]* id="([^"]+)">.*?<script type="application/json"[^>]*>(.*?)</script>'
    held = {name: json.loads(data)["columns"] for name, data in re.findall(alive, text, flags=re.DOTALL)}
    wanted = "share", "cost_to_target", "expected_best", "score_against_rate", "learning_curves", "rates", "over_time"
    assert {f"{name}-digits_mlp" for name in wanted} <= set(held)
    for name, columns in held.items():
        if "row" in columns:  # its numbers are those of the table of trials, below
            continue
        file = pd.read_csv(folder / f"{name}.csv")
        for column in file:
            values = pd.Series(columns[column]).astype(file[column].dtype)
            if file[column].dtype.kind != "f":
                assert values.tolist() == file[column].tolist()
            else:
                assert values.to_numpy() == pytest.approx(file[column].to_numpy(), rel=1e-5, nan_ok=True)
    links = re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8,([^"]+)"', text)
    held = [(name, unquote(data)) for name, data in links]
    (points,) = (data for name, data in held if name == "trials-digits_mlp.csv")  # those of the scores, too
    assert len(points.splitlines()) == 1 + 3 * 32


def test_every_number_leads_to_its_runs(store, whole):
    text = text_of(whole)
    rows = re.findall(r'<th scope="row">.*?</tr>', text, flags=re.DOTALL)
    shown = re.sub(r'<div data-unit="\w+" hidden>.*?</div>', "", text, flags=re.DOTALL)
    assert shown.count('<th scope="row">') == 2 + 4 * 3  # two to use, and four tables of three schemes
    for row in rows:
        numbers = re.findall(r"<td[^>]*>(.*?)</td>", row, flags=re.DOTALL)
        bare = [number for number in numbers if re.match(r"[≥≤ ]*[\d.]", number)]
        assert not bare, bare
    record = tracking.read("whole", store)
    charts = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)
    found = [chart for chart in map(json.loads, charts) if "row" in chart["columns"]]
    (table,) = re.findall(r'<a class="data trials"[^>]* href="data:text/csv[^,]*,(.*?)"', text)
    runs = pd.read_csv(io.StringIO(unquote(table)))["run_id"]
    assert len(found) == 2
    for points in found:
        assert set(runs.iloc[points["columns"]["row"]]) == set(record["run_id"])
        assert re.fullmatch(r"http://127.0.0.1:5000/#/experiments/\d+/runs/\{\}", points["run"])


def test_the_links_name_the_runs_as_mlflow_finds_them(store):

    about = tracking.about("whole", store)
    _, experiment, _, search = re.match(
        r"(.*)/experiments/(\d+)/(runs)\?searchFilter=(.*)", about.arms["adam"]
    ).groups()
    found = MlflowClient(store).search_runs([experiment], unquote(search))
    assert len(found) == 32
    assert {run.data.tags["lr_study.arm"] for run in found} == {"adam"}


def test_a_doubt_stands_beside_the_number_that_it_weakens(store):
    simulate(
        parse(TEXT % (12, ARMS), "doubts"), store, lambda arm, *rest: [0.5] * 6 if arm == "adam" else law(arm, *rest)
    )
    text = text_of(page("doubts", tracking_uri=store, target={"digits_mlp": 0.955}))
    cells = re.findall(r'<td data-label="([^"]+)"[^>]*>(.*?)</td>', text, flags=re.DOTALL)
    where = {words: label for label, cell in cells for words in re.findall(r'<span class="flag">(.*?)</span>', cell)}
    assert where["few hits: the interval is wide"] == "hits"
    assert where["never reached: a lower bound"] == "passes"
    assert where["cannot be told from none"].startswith(("against", "cost of"))


def test_a_target_that_some_searches_missed_was_not_never_reached(store, tmp_path):
    """Searches that learn, four of them: adam reaches the target in one, and what it paid is a lower bound."""
    record = tracking.read("whole", store).assign(searcher="tpe")
    record["repetition"], record["k"] = record["k"] // 8, record["k"] % 8
    best = record[record["diverged"] == 0].groupby(["arm", "repetition"])["valid_score"].max()
    target = float(best["adam"].sort_values().iloc[-2:].mean())  # between its best search and the next
    assert (best["sgd"] > target).sum() not in (0, 4)
    record.to_parquet(tmp_path / "some.parquet")
    written = page(tmp_path / "some.parquet", target={"digits_mlp": target}, baseline="sgd")
    (sentence,) = written.sentences
    assert "never" not in sentence
    assert "the baseline sgd missed the target of" in sentence
    text = text_of(written)
    assert "missed by some searches: a lower bound" in text
    assert "never reached: a lower bound" not in text


def test_the_json_holds_every_number_of_an_arm(whole):
    (task,) = json.loads((whole.path.parent / "report.json").read_text())["tasks"]
    assert task["baseline"] == "sgd"
    assert [arm["scheme"] for arm in task["arms"]] == ["sgd", "adam", "wide"]
    paid = {arm["scheme"]: arm["paid"]["passes"]["cost"] for arm in task["arms"]}
    assert task["choices"][0]["scheme"] == min(paid, key=lambda scheme: paid[scheme]["estimate"])
    assert all(choice["cost"]["estimate"] == paid[choice["scheme"]]["estimate"] for choice in task["choices"])
    assert [task["advice"]] == whole.said.advice
    for arm in task["arms"]:
        assert set(arm["paid"]) == {"passes", "steps", "seconds", "flops", "trials"}
        assert arm["paid"]["trials"]["cost"] == arm["expected_trials"]
        passes, steps = (arm["paid"][unit]["cost"]["estimate"] for unit in ("passes", "steps"))
        assert passes == steps  # one pass a step in this law
        assert 0 < arm["interquartile_mean"]["low"] <= arm["interquartile_mean"]["estimate"]


def test_an_untuned_default_is_found_by_its_hyper_parameters(store):
    """The field's default, 0.1, run by an arm of another name, is the default of the arm that searches the rate."""
    arms = "sgd: {}, other: {scheme.lr: default, trials: 1}"
    simulate(
        parse(TEXT % (8, arms), "defaults"), store, lambda arm, *rest: [0.7] if arm == "other" else LAW[arm](*rest)
    )
    written = page("defaults", tracking_uri=store)
    (task,) = json.loads((written.path.parent / "report.json").read_text())["tasks"]
    sgd, other = task["arms"]
    tuned = sgd["expected_best"]["8"]
    assert sgd["default_regret"] == other["default_regret"] == pytest.approx(tuned - 0.7)


def test_a_drawn_configuration_is_not_the_default(store, tmp_path):
    """With one trial of each arm nothing differs between trials; the study file says what is searched."""
    simulate(parse(TEXT % (1, "sgd: {}, adam: {direction: adam}"), "single"), store, law)
    record = tracking.read("single", store)
    record.to_parquet(tmp_path / "single.parquet")
    for source in ("single", tmp_path / "single.parquet"):
        written = page(source, tracking_uri=store)
        (task,) = json.loads((written.path.parent / "report.json").read_text())["tasks"]
        assert [arm["default_regret"] for arm in task["arms"]] == [None, None]


def test_the_summary_is_in_mlflow_too(store, tmp_path):
    for _ in range(2):  # written twice, it is there once
        written = page("whole", tmp_path / "page", tracking_uri=store, target=TARGET, record=True)
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("whole").experiment_id
    parents = client.search_runs([experiment], "tags.`lr_study.kind` = 'search'")
    for parent in parents:
        told = written.metrics[parent.data.tags["lr_study.arm"]]
        assert {"hits", "expected_passes", "expected_passes_low", "share_to_target"} <= set(told)
        assert {name: parent.data.metrics[name] for name in told} == told
    (report,) = client.search_runs([experiment], "tags.`lr_study.kind` = 'report'")
    files = {entry.path for entry in client.list_artifacts(report.info.run_id)}
    figures = {entry.path for entry in client.list_artifacts(report.info.run_id, "figures")}
    assert figures == {f"figures/{path.name}" for path in written.files if path.parent.name == "figures"}
    assert files == {"report.html", "report.md", "report.json", "figures"}
    assert len(tracking.read("whole", store)["run_id"].unique()) == 96


def test_a_baseline_is_named_in_the_study_file_or_asked_for(store):
    text = TEXT.replace("{question", "{baseline: wide, question") % (8, ARMS)
    simulate(parse(text, "based"), store, law)
    asked = [text_of(page("based", tracking_uri=store, target=TARGET, baseline=name)) for name in (None, "adam")]
    assert [re.search(r'data-label="against (\w+)"', text).group(1) for text in asked] == ["wide", "adam"]
    with pytest.raises(Refusal, match=r"unknown baseline 'sdg'.*did you mean 'sgd'"):
        page("based", tracking_uri=store, baseline="sdg")
    with pytest.raises(Refusal, match=r"unknown baseline 'sdg'.*did you mean 'sgd'"):
        parse(text.replace("baseline: wide", "baseline: sdg"), "based")


def test_several_tasks_share_schemes_and_have_a_profile(store):
    arms = "".join(
        f"{scheme}-{task}: {{task: {task}, direction: {scheme}}}, "
        for task in ("digits_mlp", "mnist_logreg")
        for scheme in ("sgd", "adam")
    )
    simulate(parse(TEXT % (16, arms), "several"), store, lambda arm, *rest: LAW[arm.split("-")[0]](*rest))
    written = page("several", tracking_uri=store, target={"": 0.93})
    assert [sentence.split(",")[0] for sentence in written.sentences] == ["On digits_mlp", "On mnist_logreg"]
    assert all("passes of sgd" in sentence or "over sgd" in sentence for sentence in written.sentences)
    data = (written.path.parent / "figures" / "profile-all.csv").read_text().splitlines()
    assert data[0] == "scheme,tau,share_of_tasks"
    assert "Performance profile" in text_of(written)


def window(low, high, epoch, epochs=6):
    """A hit exactly where log10(rate) lies in a window, reached at the given epoch: its hit rate is known."""

    def curve(trial, rng):
        hit = low <= math.log10(trial.flat()["scheme.lr"]) <= high
        return [0.95 if hit and number >= epoch else 0.5 for number in range(1, epochs + 1)]

    return curve


def test_the_interval_holds_the_truth_of_a_simulated_study(store):
    """Rates are log-uniform over 6 decades, so p is the window over 6; E[C] = c_miss (1 − p)/p + c_hit."""
    windows = {"base": (0.6, 6), "half": (3.0, 6), "sixth": (1.0, 3), "twentieth": (0.3, 1)}
    laws = {name: window(-4, -4 + width, epoch) for name, (width, epoch) in windows.items()}
    arms = ", ".join(f"{name}: {{}}" for name in windows)
    simulate(parse(TEXT % (32, arms), "truth"), store, lambda arm, *rest: laws[arm](*rest))
    written = page("truth", tracking_uri=store, target={"": 0.9})
    (task,) = json.loads((written.path.parent / "report.json").read_text())["tasks"]
    shares = {name: width / 6 for name, (width, _) in windows.items()}
    truth = {name: 60 * (1 - p) / p + 10 * windows[name][1] for name, p in shares.items()}
    for arm in task["arms"]:
        spent, paid, name = arm["expected_cost"], arm["share_to_target"], arm["scheme"]
        assert spent["low"] <= truth[name] <= (spent["high"] or math.inf), name
        assert paid["low"] <= truth[name] / truth["base"] <= (paid["high"] or math.inf), name
        assert arm["expected_trials"]["low"] <= 1 / shares[name] <= (arm["expected_trials"]["high"] or math.inf)
    assert "half reaches the target of 0.9 accuracy for" in written.sentences[0]
    rates = np.log10(tracking.read("truth", store).drop_duplicates("run_id")["scheme.lr"].to_numpy(float))
    assert np.mean(rates < -2) == pytest.approx(0.5, abs=0.1)  # what the truth above rests on


def test_the_command_prints_the_table_the_sentence_and_where_the_page_is(lr_study, store, tmp_path):
    done = lr_study("report", "whole", "--tracking-uri", store, "--target", "0.93", "--output", tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[0] == "arm"
    assert done.stdout.splitlines()[-3].startswith("On digits_mlp, ")
    assert re.match(r"To reach 0.93 accuracy on digits_mlp, use \w+ at a rate of ", done.stdout.splitlines()[-1])
    assert done.stderr.strip() == f"page: {tmp_path}/here/report.html"
    only = lr_study("report", "whole", "--tracking-uri", store, "--format", "json")
    assert len(json.loads(only.stdout)) == 3


def test_without_a_page_the_answer_is_printed_and_nothing_is_written(lr_study, store, whole, tmp_path):
    asked = "report", "whole", "--tracking-uri", store, "--target", "0.93", "--no-page"
    done = lr_study(*asked)
    assert done.returncode == 0, done.stderr
    assert next(line for line in done.stdout.splitlines() if line.startswith("On digits_mlp")) == whole.sentences[0]
    assert "page" not in done.stderr
    assert not list(tmp_path.iterdir())
    refused = lr_study(*asked, "--record")
    assert (refused.returncode, "leave out --record" in refused.stderr) == (2, True)


def test_a_page_needs_no_code_of_other_people(store, whole, tmp_path):
    """A task in a file that is not here: what a report must know of it is in the record."""
    record = tracking.read("whole", store).assign(task="./gone.py:Ring")
    record.to_parquet(tmp_path / "gone.parquet")
    written = page(tmp_path / "gone.parquet", target={"": 0.93}, baseline="sgd")
    (sentence,) = written.sentences
    form = re.sub(r"[\d.]+", "#", whole.sentences[0])  # the name of a task is part of what draws are seeded by
    assert re.sub(r"[\d.]+", "#", sentence.replace("Ring", "digits_mlp")) == form
    told = written.path.with_suffix(".md").read_text()
    assert "Ring is the class ./gone.py:Ring." in told
    assert told.count("./gone.py:Ring") == 1


def test_the_sentence_in_the_readme_is_one_that_the_page_says():
    readme = (ROOT / "study" / "README.md").read_text(encoding="utf-8")
    quoted = re.search(r"^> (On .*)\n> (.*)$", readme, flags=re.MULTILINE).groups()
    shares = {
        "momentum-cosine": JudgedShare(1, 1, 1),
        "adam-cosine": JudgedShare(0.48, 0.31, 0.77, verdict="saves"),
        "multilevel": JudgedShare(0.9, 0.5, 1.7, verdict="unclear"),
        "sgd-constant": JudgedShare(2.0, 0.5, None, ">", verdict="unclear"),
    }
    results = [
        Result(
            "digits_mlp",
            scheme,
            64,
            20 * (share.bound == "="),
            0.95,
            share_to_target=share,
            censored=share.bound == ">",
        )
        for scheme, share in shares.items()
    ]
    nothing = pd.DataFrame()
    answers = Answers("digits_mlp", "accuracy", "max", 0.95, "momentum-cosine", "passes", results, {}, {}, {},
                      trials=nothing, best=nothing, rates=nothing, lines=nothing)  # fmt: skip
    assert sentence_text(sentence(answers)) == " ".join(quoted)


def test_a_record_saved_before_its_levels_were_columns_makes_the_same_page(store, whole, tmp_path):
    record = tracking.read("whole", store).drop(columns=["mode", "metric", "chance", "target"])
    record.to_parquet(tmp_path / "old.parquet")
    assert page(tmp_path / "old.parquet", target=TARGET, baseline="sgd").sentences == whole.sentences
