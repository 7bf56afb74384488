"""Tables as other people's programs write them: taken as they are meant, or refused in one line."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from study.commands.cost import cost as command
from trainables.refusal import Refusal


def answers(path, *words):
    """Ask `lr-study cost` about a table; its answers by scheme."""
    out = path.parent / "answers.json"
    said = [*map(str, words), "--draws", "200", "--json", str(out)]
    CliRunner().invoke(command, [str(path), *said], standalone_mode=False, catch_exceptions=False)
    return {one["scheme"]: one for one in json.loads(out.read_text())}


def mapped(names):
    """The words that map columns, ours → theirs."""
    return [word for ours, theirs in names.items() for word in ("--column", f"{ours}={theirs}")]


def written(tmp_path, text, **how):
    path = tmp_path / "table.csv"
    path.write_text(text, **how)
    return path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("task,scheme,trial,score\nt,a,0,0.5,\nt,a,1,0.6,\n", "row 1 has 5 fields, and there are 4 columns"),
        ("trial,task,scheme,epoch,score\n0,t,a,1,0.1,12\n1,t,a,1,0.9,12\n", "row 1 has 6 fields"),
        ("task,scheme,trial,score\nt,a,0,0.5\nt,a,1", "row 2 has 3 fields, and there are 4 columns"),
        ('task,scheme,trial,score\n"a, b",x,0,0.5\n\nt,a,1,0.6,7\n', "row 2 has 5 fields"),
        ("task;scheme;trial;score\nt;a;0;0,5\n", "the separator looks like ';'"),
        ("task\tscheme\ttrial\tscore\nt\ta\t0\t0.5\n", "the separator looks like a tab"),
        ("sep=;\ntask;scheme;trial;score\nt;a;0;0.5\n", "the first line, 'sep=;', is no header"),
        ("sep=,\ntask,scheme,trial,score\nt,a,0,0.5\n", "the first line, 'sep=,', is no header"),
        ("task,scheme,trial,score,score\nt,a,0,0.5,0.9\n", "two columns are called 'score'"),
        ("task,scheme,trial,score,Score\nt,a,0,0.5,0.9\n", "two columns are called 'score'"),
        ("task,scheme,trial,score\nt,a,0,91%\n", "row 1, column 'score': '91%' is not a number"),
        ("task,scheme,trial,score,lr\nt,a,0,0.9,0:04:57\n", "row 1, column 'lr': '0:04:57' is not a number"),
        ("task,scheme,trial,score,status\nt,a,0,0.9,running\n", "no trial that has ended"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_it_seems_is_refused_in_one_line(tmp_path, text, line):
    with pytest.raises(Refusal) as refusal:
        answers(written(tmp_path, text))
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_columns_are_known_in_any_case(tmp_path):
    text = "Task, SCHEME,trial,Score,Cost,Status\nt,a,0,0.7,5,diverged\nt,a,1,0.6,9,finished\nt,a,2,0.5,9,finished\n"
    found = answers(written(tmp_path, text), "--target", 0.65, "--chance", 0.1)["a"]
    assert found["expected_cost"] | {"low": 0, "high": 0} == {
        "estimate": (9 + 9) / 2 * 2 / 2 + 5, "low": 0, "high": 0, "bound": "=", "unit": "cost",
    }  # fmt: skip
    assert found["expected_best"]["3"] == 0.6  # the first trial diverged: it is worth chance


def test_a_column_called_nearly_as_ours_is_said_not_to_be_used(tmp_path):
    found = answers(written(tmp_path, "task,scheme,trial,score,costs\nt,a,0,0.5,9\n"))["a"]
    assert "the column 'costs' is not used: --column cost=costs takes it" in found["notes"]


def test_the_mark_at_the_beginning_of_a_spreadsheets_file_is_no_part_of_a_name(tmp_path):
    assert answers(written(tmp_path, "task,scheme,trial,score\nt,a,0,0.5\n", encoding="utf-8-sig"))["a"]["n"] == 1


@pytest.fixture
def sixteen():
    """Eight trials of each of two schemes, with scores .01 to .16."""
    schemes = ["sgd"] * 8 + ["adam"] * 8
    scores = [n / 100 for n in range(1, 17)]
    return pd.DataFrame({"task": "t", "scheme": schemes, "trial": [*range(8)] * 2, "score": scores})


@pytest.mark.parametrize("kind", ["gaps", "repeats", "text"])
def test_the_index_of_a_parquet_file_means_nothing(tmp_path, sixteen, kind):
    made = {
        "gaps": sixteen[sixteen["score"] > 0.055],
        "repeats": pd.concat([sixteen[5:8], sixteen[8:].reset_index(drop=True)]),
        "text": sixteen[5:].set_axis([f"run-{n}" for n in range(11)]),
    }
    made[kind].to_parquet(tmp_path / "table.parquet")
    found = answers(tmp_path / "table.parquet")
    assert {name: (one["n"], one["expected_best"]["1"]) for name, one in found.items()} == {
        "sgd": (3, pytest.approx(0.07)),
        "adam": (8, pytest.approx(0.125)),
    }


def test_a_parquet_index_with_a_name_is_a_column(tmp_path, sixteen):
    sixteen.set_index(["scheme", "trial"]).to_parquet(tmp_path / "table.parquet")
    assert {name: one["n"] for name, one in answers(tmp_path / "table.parquet").items()} == {"sgd": 8, "adam": 8}


TRIALS_DATAFRAME = """number,value,duration,params_lr,state
0,0.91,0 days 00:04:57.500000,0.001,COMPLETE
1,0.80,0 days 00:02:07.500000,0.01,COMPLETE
"""


def test_the_durations_of_optunas_trials_dataframe_are_seconds(tmp_path):
    """A miss of 127.5 s is met before the hit of 297.5 s in every other order."""
    names = {"task": "=t", "scheme": "=s", "trial": "number", "score": "value", "cost": "duration", "status": "state"}
    path = written(tmp_path, TRIALS_DATAFRAME)
    timed = pd.read_csv(path).assign(duration=lambda table: pd.to_timedelta(table["duration"]))
    timed.to_parquet(tmp_path / "table.parquet")
    for table in (path, tmp_path / "table.parquet"):
        cost = answers(table, *mapped(names), "--target", 0.9, "--chance", 0.1)["s"]["expected_cost"]
        assert (cost["estimate"], cost["unit"]) == (127.5 / 2 + 297.5, "seconds")


WANDB = """Name,State,Runtime,optimizer,lr,val_acc
sweep-1,Finished,33,adam,0.001,0.91
sweep-2,crashed,12,adam,0.1,
sweep-3,running,12,sgd,0.1,0.4
sweep-4,failed,1,,,
sweep-5,finished,10,sgd,0.1,0.3
"""


def test_a_sweeps_crashed_runs_are_misses_and_running_ones_are_left_out(tmp_path):
    names = {"task": "=t", "scheme": "optimizer", "trial": "Name", "score": "val_acc", "cost": "Runtime"}
    words = [
        word for ours, theirs in (names | {"status": "State"}).items() for word in ("--column", f"{ours}={theirs}")
    ]
    found = answers(written(tmp_path, WANDB), *words, "--target", 0.9, "--chance", 0.1)
    assert {name: (one["n"], one["hits"]) for name, one in found.items()} == {"adam": (2, 1), "sgd": (1, 0)}
    assert found["adam"]["expected_cost"]["estimate"] == 12 / 2 + 33
    assert {
        "trials left out, because they are still running: 1",
        "trials left out, because they were lost before they were given a scheme: 1",
    } <= set(found["sgd"]["notes"])
