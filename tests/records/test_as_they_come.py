"""Tables as people and their trackers write them: each is read as it was meant, refused, or remarked on."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from study.commands.cost import cost as command
from study.records.material import of_file
from study.records.question import Question
from study.records.table import given
from study.records.trials import trials
from study.tracking.embedded import make
from trainables.refusal import Refusal


def costs(tmp_path, text, *words):
    """The results of `lr-study cost`, by scheme."""
    path, out = tmp_path / "table.csv", tmp_path / "out.json"
    path.write_text(text)
    words = [path, "--draws", "200", "--json", out, *words]
    CliRunner().invoke(command, [*map(str, words)], standalone_mode=False, catch_exceptions=False)
    return {result["scheme"]: result for result in json.loads(out.read_text())}


def lines(*rows, header="task,scheme,trial,epoch,score,status"):
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    ("column", "words"), [("", []), (",cost", ["--unit", "trials"])], ids=["no costs", "asked for"]
)
def test_a_trial_of_three_seeds_is_one_trial_in_trials(column, words, tmp_path):
    rows = [f"task,scheme,trial,seed,score{column}"]
    for trial in range(12):
        score, cost = 0.95 if trial % 3 == 0 else 0.5, ",10" if column else ""
        rows += [f"m,base,{trial},0,{score}{cost}", *(f"m,new,{trial},{seed},{score}{cost}" for seed in range(3))]
    found = costs(tmp_path, "\n".join(rows), "--target", "0.9", "--baseline", "base", "--chance", "0.1", *words)
    assert found["new"]["expected_cost"] == found["base"]["expected_cost"]
    assert found["new"]["share_to_target"]["estimate"] == pytest.approx(1)
    assert not any("no trial costs more" in note for note in found["new"]["notes"])


def test_the_test_score_is_that_of_the_record_whose_score_counts():
    rows = {"trial": 0, "epoch": [1, 2, 3], "score": [0.5, 0.9, 0.2], "test_score": [0.5, 0.88, 0.1]}
    table = pd.DataFrame(rows).assign(task="m", scheme="a")
    best, last = (trials(table, Question(score_at=at)).iloc[0] for at in ("best", "last"))
    assert (best["score"], best["test_score"]) == (0.9, 0.88)
    assert (last["score"], last["test_score"]) == (0.2, 0.1)
    once = table.assign(test_score=[np.nan, np.nan, 0.7])  # as it is told at the end alone
    assert trials(once, Question(score_at="best"))["test_score"].tolist() == [0.7]
    unscored = table.assign(score=np.nan)
    assert trials(unscored, Question(score_at="best"))["test_score"].tolist() == [0.1]
    lost = trials(table.assign(status="diverged"), Question(score_at="best", chance=0.1)).iloc[0]
    assert (lost["score"], lost["test_score"]) == (0.1, 0.1)


def test_trials_whose_last_row_has_no_score_are_counted_in_a_remark(tmp_path):
    rows = [f"m,a,{trial},{epoch},{score},finished" for trial in range(3) for epoch, score in ((1, 0.8), (2, ""))]
    found = costs(tmp_path, lines(*rows), "--target", "0.7", "--chance", "0.1")
    assert found["a"]["expected_best"]["1"] == pytest.approx(0.1)
    assert (
        "trials whose last row has no score, and that count at chance: 3; leave out rows that nobody scored"
        in (found["a"]["notes"])
    )


def test_a_column_called_state_is_offered_as_the_status():
    table = pd.DataFrame({"task": "m", "scheme": "a", "trial": [0, 1], "score": [0.9, 0.8], "State": ["x", "y"]})
    assert given(table, {}).notes == ("the column 'State' is not used: --column status=State takes it",)


def test_a_score_in_single_precision_that_equals_the_target_reaches_it(tmp_path):
    rows = [f"m,a,{trial},1,{float(np.float32(score))!r}," for trial, score in enumerate((0.9, 0.5))]
    assert costs(tmp_path, lines(*rows), "--target", "0.9")["a"]["hits"] == 1


@pytest.mark.parametrize("named", [True, False])
def test_of_searches_that_learn_the_order_of_named_trials_is_said_to_be_that_of_the_rows(named, tmp_path):
    header = "task,scheme,repetition,trial,score,searcher"
    names = [[f"run-{r}-{i}" if named else i for i in range(8)] for r in range(3)]
    rows = [f"m,tpe,{r},{names[r][i]},{0.5 + 0.05 * i},tpe" for r in range(3) for i in range(8)]
    (result,) = costs(tmp_path, lines(*rows, header=header), "--target", "0.8").values()
    remark = "the trials of a search are taken to have run in the order of the table's rows"
    assert (remark in result["notes"]) == named


def statuses(*rows):
    columns = "task", "scheme", "trial", "epoch", "score", "status"
    return given(pd.DataFrame(rows, columns=list(columns)), {})


def test_the_last_status_of_a_training_is_its_status():
    table, notes, _ = statuses(("m", "a", 0, 1, 0.85, "running"), ("m", "a", 0, 2, 0.9, "finished"))
    assert (table["status"].tolist(), notes) == (["finished"] * 2, ())
    table, _, _ = statuses(("m", "a", 0, 1, 0.85, "diverged"), ("m", "a", 0, 2, 0.9, None))
    assert table["status"].tolist() == ["diverged"] * 2
    table, notes, _ = statuses(("m", "a", 0, 1, 0.8, "finished"), ("m", "a", 1, 1, 0.9, "running"))
    assert (len(table), notes) == (1, ("trials left out, because they are still running: 1",))


def test_a_trial_that_was_lost_and_goes_on_is_refused():
    with pytest.raises(Refusal, match="row 1, column 'status': a trial that has diverged here ends as finished"):
        statuses(("m", "a", 0, 1, 0.85, "diverged"), ("m", "a", 0, 2, 0.9, "finished"))


def test_of_a_rate_that_a_schedule_moves_the_first_counts():
    rows = [("m", "a", k, epoch, 0.5, lr / 10**epoch) for k, lr in enumerate((1.0, 0.1)) for epoch in range(3)]
    table, notes, _ = given(pd.DataFrame(rows, columns=["task", "scheme", "trial", "epoch", "score", "lr"]), {})
    assert table.groupby("trial")["lr"].unique().map(list).tolist() == [[1.0], [0.1]]
    assert notes == ("trials whose lr changes from row to row: 2; the first counts, as the rate that they were given",)


def test_a_metric_that_mlflow_was_told_once_is_of_the_whole_run(tmp_path):
    uri, out = f"sqlite:///{tmp_path}/theirs.db", tmp_path / "out.json"
    make(uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("theirs")
    for lr in ("0.1", "0.01"):
        run = client.create_run(experiment).info.run_id
        client.log_param(run, "lr", lr)
        for step in (1, 2, 3):
            client.log_metric(run, "acc", 0.2 * step, step=step)
        client.log_metric(run, "test_acc", 0.55)  # at MLflow's own step, 0
        client.set_terminated(run)
    columns = "score=metrics.acc", "scheme==sgd", "lr=params.lr", "test_score=metrics.test_acc"
    words = ["mlflow:theirs", "--uri", uri, "--json", out, *(each for one in columns for each in ("--column", one))]
    CliRunner().invoke(command, [*map(str, words)], standalone_mode=False, catch_exceptions=False)
    (result,) = json.loads(out.read_text())
    assert result["expected_test"] == {"1": pytest.approx(0.55), "2": pytest.approx(0.55)}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--includes", "momentun=a"], "unknown scheme in --includes 'momentun'"),
        (["--target", "0.8", "--target", "0.9"], "--target is given twice for all tasks, 0.8 and 0.9"),
        (["--target", "m=0.8", "--target", "m=0.9"], "--target is given twice for m, 0.8 and 0.9"),
        (["--unit", "hours"], "the costs are durations, counted in seconds: leave --unit hours out"),
    ],
)
def test_what_is_asked_for_in_vain_is_refused(words, why, tmp_path):
    text = lines("m,a,0,0.9,1:00:00", "m,a,1,0.8,2:00:00", header="task,scheme,trial,score,cost")
    with pytest.raises(Refusal) as told:
        costs(tmp_path, text, *words)
    assert str(told.value).startswith(why)


@pytest.mark.parametrize("searchers", [[" random", "Random "], ["random", ""], ["random", None]])
def test_blanks_name_no_searcher_that_learns(searchers, tmp_path):
    table = pd.DataFrame({"task": "m", "scheme": "a", "trial": [0, 1], "score": [0.9, 0.5], "searcher": searchers})
    (result,) = costs(tmp_path, table.to_csv(index=False), "--target", "0.8").values()
    assert result["expected_trials"]["estimate"] == pytest.approx(1.5)


def test_parts_that_are_no_record_are_refused_for_what_they_lack(tmp_path):
    pd.DataFrame({"repetition": [0, 0], "score": 0.5}).to_parquet(tmp_path / "one.parquet")
    with pytest.raises(Refusal, match="lacks the column 'arm'"):
        of_file(tmp_path)


def test_parts_of_a_record_that_have_trials_in_common_are_refused(tmp_path):
    rows = {"study": "s", "arm": ["a", "b"], "repetition": 0, "k": 0, "seed_number": 0, "record": 1}
    needed = "run_id", "status", "searcher", "task", "epoch", "train_loss", "valid_score", "lr"
    numbers = dict.fromkeys((*needed, "passes", "flops", "steps", "seconds", "diverged"), 0)
    for name in ("one", "two"):
        pd.DataFrame(rows | numbers).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(Refusal, match="have trials of a in common: leave one out"):
        of_file(tmp_path)
