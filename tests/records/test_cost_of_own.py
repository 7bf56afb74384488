"""`lr-study cost` on our own records: the levels that stand in them, the study that their column names."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from recorded import record, training

from study.commands.cost import cost as command
from study.records import own
from study.records.material import level_of, of_file
from study.replay import read_record
from study.reports.writing import ReportOptions, write
from trainables.refusal import Refusal

SCHEMES = Path(__file__).parents[2] / "study" / "results" / "schemes.parquet"


def answers(path, *words):
    """Ask `lr-study cost` about a record; its answers by task and scheme."""
    out = path.parent / "answers.json"
    said = [*map(str, words), "--draws", "200", "--json", str(out)]
    CliRunner().invoke(command, [str(path), *said], standalone_mode=False, catch_exceptions=False)
    return {(one["task"], one["scheme"]): one for one in json.loads(out.read_text())}


@pytest.fixture
def saved(tmp_path):
    """Two trials of one arm with a target of .8 and chance .2; the second diverged, a third still runs."""
    levels = {"target": 0.8, "chance": 0.2}
    trials = [
        training([0.5, 0.9, 0.7], **levels),
        training([0.6, 0.1], "diverged", k=1, **levels),
        training([0.99], "running", k=2, **levels),
    ]
    path = tmp_path / "saved.parquet"
    record(*trials).to_parquet(path)
    return path


def test_the_target_and_the_chance_are_those_that_stand_in_the_record(saved):
    """The hit is worth its best epoch, .9, the diverged trial chance; the miss of two passes is met half the time."""
    (one,) = answers(saved).values()
    assert (one["n"], one["hits"], one["target"]) == (2, 1, 0.8)
    assert one["expected_cost"]["estimate"] == 2 / 2 + 2
    assert one["expected_cost"]["unit"] == "passes"
    assert one["expected_best"] == {"1": pytest.approx((0.9 + 0.2) / 2), "2": 0.9}
    assert "trials left out, because they are still running: 1" in one["notes"]
    assert next(iter(answers(saved, "--target", 0.95, "--unit", "epochs").values()))["hits"] == 0


def test_scores_of_a_record_are_read_in_its_own_sense(tmp_path):
    path = tmp_path / "loss.csv"
    trials = [training([0.5, 0.2], mode="min", target=0.3, chance=2.0), training([0.4], k=1, mode="min", target=0.3)]
    record(*trials).assign(chance=2.0).to_csv(path, index=False)
    (one,) = answers(path).values()
    assert (one["hits"], one["expected_best"]["2"]) == (1, 0.2)
    mixed = record(training([0.5]), training([0.5], arm="b", task="u", mode="min", chance=2.0))
    mixed.to_csv(path, index=False)
    with pytest.raises(Refusal, match="in two senses"):
        answers(path)


def test_columns_of_our_own_record_are_not_mapped(saved):
    with pytest.raises(Refusal, match="--column maps other people's columns"):
        answers(saved, "--column", "score=test_score")


@pytest.mark.skipif(not SCHEMES.is_file(), reason=f"the shipped record is not at {SCHEMES}")
def test_cost_says_of_a_shipped_record_what_its_page_says(tmp_path):
    """The baseline is the study file's, known by the record's column: the file is called otherwise."""
    frame = pd.read_parquet(SCHEMES)
    path = tmp_path / "renamed.parquet"
    frame[frame["task"] == "mnist_logreg"].to_parquet(path)
    material = of_file(path)
    assert (material.name, material.baseline) == ("schemes", of_file(SCHEMES).baseline)
    page = write(material, tmp_path / "page", ReportOptions(draws=200)).metrics
    found = answers(path)
    assert len(found) == len(page)
    for (task, scheme), one in found.items():
        of_page = page[f"{scheme}-{task}"]
        told = one["expected_cost"]["estimate"] if one["expected_cost"]["bound"] == "=" else None  # a bound is none
        assert told == of_page.get("expected_passes")
        assert (one["n"], one["hits"]) == (of_page["trials"], of_page["hits"])


@pytest.mark.skipif(not SCHEMES.is_file(), reason=f"the shipped record is not at {SCHEMES}")
def test_a_renamed_record_is_replayed_as_the_study_that_its_column_names(tmp_path):
    path = tmp_path / "quickstart.parquet"
    pd.read_parquet(SCHEMES).to_parquet(path)
    assert read_record(str(path), None, "")[1].name == "schemes"


def test_a_record_of_two_studies_is_refused(tmp_path):
    path = tmp_path / "both.parquet"
    record(training([0.5]), training([0.5], study="z")).to_parquet(path)
    with pytest.raises(Refusal, match=r"holds two studies, 's' and 'z'"):
        of_file(path)


def test_the_records_target_wins_and_another_one_of_today_is_a_note():
    """digits_mlp has a target today; a record with another one keeps its own."""
    today = level_of(record(training([0.5], task="digits_mlp")), "digits_mlp").target
    level = level_of(record(training([0.5], task="digits_mlp", target=0.5)), "digits_mlp")
    assert level.target == 0.5
    assert level.notes == (f"the target is the record's, 0.5; the task has another today, {today:g}",)
    assert level_of(record(training([0.5], task="digits_mlp", target=today)), "digits_mlp").notes == ()


def test_what_is_neither_a_file_nor_a_study_is_refused(lr_study, tmp_path):
    done = lr_study("cost", "quickstrat")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no MLflow store" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--json", "--figures"])
def test_a_path_that_cannot_be_written_is_refused_in_one_line(saved, tmp_path, lr_study, option):
    (tmp_path / "file").write_text("")
    done = lr_study("cost", saved, option, tmp_path / "file" / "in-it")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [
        f"error: {option}: '{tmp_path}/file/in-it' cannot be written (Not a directory): give another path"
    ]
    assert done.stdout == ""


def test_what_the_terminal_cannot_show_is_replaced(saved, lr_study_process):
    process = lr_study_process("cost", saved, "--target", "0.95", env={"PYTHONIOENCODING": "cp1252"}, encoding="cp1252")
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert "? 5" in out  # of ≥ 5


@pytest.mark.parametrize(
    ("domain", "most"),
    [
        ({"log_uniform": [0.5, 30]}, 30),
        ({"choice": [2, 5]}, 5),
        ({"log_normal": [3, 1]}, math.nan),
        ({"new": [1]}, math.nan),
    ],
)
def test_the_dearest_trial_of_an_arm_that_searches_its_epochs_is_the_longest_that_it_may_draw(domain, most):
    table = record(*(training([0.5] * n, k=n, epochs=float(n)) for n in (1, 2)), training([0.5], arm="b", epochs=2.0))
    told = own.of_record(table, "passes", {"a": {"epochs": domain}, "b": {}}).groupby("scheme")["dearest"].max()
    assert told["a"] == pytest.approx(most, nan_ok=True)
    assert told["b"] == 2.0
