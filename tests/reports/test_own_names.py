"""A task of one's own in tables: by its class, whose file a note names once; programs get both."""

import json

import numpy as np
import pytest
from recorded import record, training

OWN = "./here/rings.py:Ring"
NOTE = f"Ring is the class {OWN}."


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The record of two tasks, one of them in a file that is not here."""
    rng, made = np.random.default_rng(0), []
    for task in (OWN, "digits_mlp"):
        for arm in ("sgd", "adam"):
            for k in range(16):
                rate, top = 10 ** rng.uniform(-3, 0), 0.7 + 0.2 * rng.uniform()
                about = {"task": task, "scheme.lr": rate, "lr": rate, "target": 0.8}
                made.append(training([top - 0.1, top], arm=f"{arm}-{task.rpartition(':')[2]}", k=k, **about))
    file = tmp_path_factory.mktemp("saved") / "rings.parquet"
    record(*made).to_parquet(file)
    return file


@pytest.mark.parametrize(
    "words",
    [("report", "--no-page"), ("report", "--no-page", "--format", "markdown"), ("cost",), ("cost", "--markdown")],
    ids=" ".join,
)
def test_a_terminals_tables_name_the_class_and_say_once_where_it_is(lr_study, saved, words):
    command, *options = words
    done = lr_study(command, saved, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(OWN) == done.stdout.count(NOTE) == 1
    assert done.stdout.count("Ring") > 2


def test_programs_get_the_whole_name(lr_study, saved, tmp_path):
    rows = json.loads(lr_study("report", saved, "--no-page", "--format", "json").stdout)
    assert {row["task"] for row in rows} == {OWN, "digits_mlp"}
    assert lr_study("cost", saved, "--json", tmp_path / "cost.json").returncode == 0
    assert {row["task"] for row in json.loads((tmp_path / "cost.json").read_text())} == {OWN, "digits_mlp"}
