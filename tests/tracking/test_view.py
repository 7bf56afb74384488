"""MLflow's own pages over a study: what its runs carry for them, and the view that its experiment keeps."""

import json

import pytest
from mlflow import MlflowClient
from simulated import bowl, simulate

from study.plan.parse import parse
from study.tracking import Tracker, read
from study.tracking.store import ARM, RATE
from study.tracking.view import TAG, axes, saved, view_address

TEXT = """
question: q
common: {task: digits_mlp, trials: 3, searcher: random}
arms:
  sgd: {}
  adam-cosine: {direction: adam, scheme.schedule: cosine}
  free: {rule: packaged, optimizer: schedulefree_sgd}
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A store with one study of three arms, two of which have a scheme."""
    folder = tmp_path_factory.mktemp("view")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        uri = f"sqlite:///{folder}/mlflow.db"
        curve = bowl(-1.0, 0.8)
        simulate(parse(TEXT, "seen"), uri, lambda _, trial, rng: curve(trial, rng))
    return uri


@pytest.fixture(scope="module")
def client(uri):
    """A client of that store."""
    return MlflowClient(uri)


@pytest.fixture(scope="module")
def view(client):
    """That of its study."""
    return state_of(client, "seen")


def state_of(client, name):
    """The view's state, as MLflow's page reads it."""
    kept = json.loads(client.get_experiment_by_name(name).tags[TAG])
    assert {type(kept["name"]), type(kept["createdAt"]), type(kept["state"])} == {str, int}
    return json.loads(kept["state"])


def runs(client, **asked):
    """The runs that the view shows, in its order."""
    return client.search_runs([client.get_experiment_by_name("seen").experiment_id], **asked)


def test_arm_task_and_rate_are_parameters_of_every_trial(client):
    found = runs(client, filter_string="tags.`lr_study.kind` = 'trial'")
    assert len(found) == 9
    for run in found:
        own = run.data.params
        rate = float(own.get("scheme.lr") or own["optimizer.lr"])
        assert (own[ARM], own["task"]) == (run.data.tags["lr_study.arm"], "digits_mlp")
        assert 10 ** float(own[RATE]) == pytest.approx(rate, rel=1e-3)


def test_they_are_no_part_of_the_record(uri):
    table = read("seen", uri)
    assert RATE not in table.columns
    assert list(table.columns).count("arm") == 1
    recorded = Tracker(parse(TEXT, "seen"), uri).recorded()
    assert not any({ARM, RATE} & set(known.params) for known in recorded.values())


def test_the_view_lists_trials_by_score_grouped_by_arm(client, view):
    found = runs(client, filter_string=view["searchFilter"], order_by=[f"{view['orderByKey']} DESC"])
    scores = [run.data.metrics["best_valid_score"] for run in found]
    assert (len(found), view["orderByAsc"]) == (9, False)
    assert scores == sorted(scores, reverse=True)
    assert view["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "arm"}]


def test_score_cost_and_status_are_its_first_columns_and_are_there(client, view):
    assert view["selectedColumns"][:3] == ["metrics.`best_valid_score`", "metrics.`passes`", "tags.`lr_study.status`"]
    assert view["selectedColumns"][3:] == ["params.`scheme.lr`", "params.`optimizer.lr`"]
    found = runs(client, filter_string=view["searchFilter"])
    assert len(found) == 9
    for run in found:
        there = {f"{kind}.`{name}`" for kind in ("metrics", "tags", "params") for name in getattr(run.data, kind)}
        assert set(view["selectedColumns"][:3]) <= there


def test_its_plots_have_arm_and_rate_as_axes_and_no_epoch(view):
    across, points, *others = view["compareRunCharts"]
    assert across["selectedParams"] == [ARM, RATE]
    assert (points["xaxis"]["key"], points["yaxis"]["key"]) == (RATE, "best_valid_score")
    assert {other["metricKey"] for other in others if other["deleted"]} >= {"epoch"}


def opened(uri, name, text):
    """The view of a study of which no trial has run."""
    study = parse(text, name)
    Tracker(study, uri).searches.open(study.searches())
    return state_of(MlflowClient(uri), name)


def test_the_smallest_loss_comes_first(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = opened(uri, "low", "{question: q, common: {task: quadratic, trials: 1}, arms: {sgd: {}}}")
    assert (state["orderByAsc"], state["groupBy"]["aggregateFunction"]) == (True, "min")


def test_tasks_are_groups_where_there_are_several(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "{question: q, common: {trials: 1}, arms: {a: {task: quadratic}, b: {task: digits_mlp}}}"
    groups = opened(uri, "two", text)["groupBy"]["groupByKeys"]
    assert [group["groupByData"] for group in groups] == ["task", "arm"]


def test_an_arm_without_a_rate_is_in_a_plot_without_one(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "{question: q, common: {trials: 1, task: digits_mlp}, arms: {sgd: {}, free: {scheme: curvature}}}"
    whole, across, points, *_ = opened(uri, "free", text)["compareRunCharts"]
    assert (whole["type"], whole["selectedParams"]) == ("PARALLEL", [ARM])
    assert (across["selectedParams"], points["type"]) == ([ARM, RATE], "SCATTER")


@pytest.mark.parametrize(
    "other",
    [
        {"rule": "split", "hidden.optimizer.lr": {}, "rest.optimizer.lr": {}},
        {"optimizer": "prodigy", "optimizer.lr": {}},
        {},
    ],
    ids=["two rates", "a rate that is found", "none"],
)
def test_an_arm_without_the_axis_of_the_rate_is_in_a_plot_without_one(other):
    task = {"task": "digits_mlp"}
    state = json.loads(
        json.loads(saved({"sgd": {**task, "scheme.lr": {}}, "other": {**task, **other}}, "max"))["state"]
    )
    first, across, *_ = state["compareRunCharts"]
    assert (first["selectedParams"], across["selectedParams"]) == ([ARM], [ARM, RATE])


def test_a_study_recorded_without_a_view_is_sorted(client):
    experiment = client.get_experiment_by_name("seen")
    assert view_address("http://here", experiment).endswith(
        "/runs?workflowType=machine_learning&viewStateShareKey=lr-study"
    )
    del experiment.tags[TAG]
    assert "orderByKey=metrics.%60best_valid_score%60" in view_address("http://here", experiment)


def test_what_the_compare_page_takes_first_is_a_score(client):
    """It draws the first metric that all runs have, in the order in which a run wrote them."""
    found = runs(client, filter_string="tags.`lr_study.kind` = 'trial'")
    assert len(found) == 9
    for run in found:
        assert next(iter(run.data.metrics)) in ("best_valid_score", "valid_score")


def test_a_factor_of_a_rate_that_is_found_is_no_axis():
    assert axes("mine", {"optimizer": "prodigy", "optimizer.lr": 1.0}) == [(ARM, "mine")]
    assert axes("mine", {"optimizer": "adamw", "optimizer.lr": 0.1}) == [(ARM, "mine"), (RATE, -1.0)]
