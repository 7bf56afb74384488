"""A target is the median of the best configuration's fresh seeds."""

import math

import pytest
from recorded import record, training

import study as lr_study
from study.answers.calibration import best_configuration, calibrated, seeds_study
from study.plan.parse import parse
from trainables.refusal import Refusal

STUDY = parse("{question: q, common: {task: digits_mlp}, arms: {baseline: {}}}", "calibration")
RECORD = record(
    training([0.5, 0.7], k=0, **{"scheme.lr": 0.01}),
    training([0.9, 0.1], "diverged", k=1, **{"scheme.lr": 1.0}),
    training([0.8, 0.6], k=2, **{"scheme.lr": 0.1}),
)


def test_the_best_configuration_has_the_best_record_and_did_not_diverge():
    assert best_configuration(RECORD, STUDY) == {"scheme.lr": 0.1}
    assert best_configuration(RECORD.assign(mode="min"), STUDY) == {"scheme.lr": 0.01}


def test_a_null_that_was_searched_is_null_again():
    clipped = parse(
        "{question: q, arms: {a: {task: digits_mlp, gradient_clip: {choice: [null, 1.0]}, scheme.lr: 0.1}}}", "x"
    )
    found = best_configuration(RECORD.assign(gradient_clip=[math.nan, math.nan, 1.0, 1.0, math.nan, math.nan]), clipped)
    assert found == {"gradient_clip": None}
    assert seeds_study("digits_mlp", 2, found).arms[0].fixed["gradient_clip"] is None


def test_only_as_many_trials_are_asked_as_the_study_has_today():
    fewer = parse("{question: q, common: {task: digits_mlp, trials: 2}, arms: {baseline: {}}}", "calibration")
    assert best_configuration(RECORD, fewer) == {"scheme.lr": 0.01}


def test_a_diverged_seed_counts_at_chance():
    assert calibrated(RECORD, {}).scores == [0.7, 0.1, 0.8]
    assert calibrated(RECORD, {}).target == 0.7


def test_halfway_is_the_median_after_half_of_the_epochs():
    assert calibrated(RECORD, {}).halfway == 0.5
    assert calibrated(RECORD[RECORD["epoch"] == 2], {}).halfway is None
    early = training([0.1], "diverged", k=3).assign(epoch=0.07)
    assert calibrated(record(RECORD[RECORD["epoch"] == 2], early), {}).halfway is None  # chance says nothing of it


def test_without_a_finished_trial_there_is_nothing_to_calibrate_with():
    with pytest.raises(Refusal, match="no trial of 'calibration' came to its end"):
        best_configuration(RECORD.assign(status="diverged"), STUDY)


@pytest.mark.ray
@pytest.mark.usefixtures("one_slot")
@pytest.mark.timeout(300)
def test_the_command_prints_the_median_of_the_seeds_that_it_recorded(lr_study, tmp_path):
    options = "--epochs", "1", "--trials", "2", "--seeds", "3", "--record-every", "0.5"
    done = lr_study("target", "digits_mlp", "batch_size=64", *options)
    assert done.returncode == 0, done.stderr
    table = lr_study_table(tmp_path)
    assert table["epoch"].round(1).tolist() == [0.5, 1.0] * 3
    assert set(table["batch_size"]) == {64}
    middle = sorted(table.groupby("seed_number")["valid_score"].max())[1]
    assert done.stdout.strip().splitlines()[-1].startswith(f"target = {middle:.6g}  # lr-study")
    done = lr_study("target", "digits_mlp", "batch_size=64", *options[:-3], "1", *options[-2:])
    assert "its seeds are trained anew" in done.stderr
    assert done.stdout.startswith(f"target = {lr_study_table(tmp_path)['valid_score'].max():.6g}  # lr-study")


def lr_study_table(folder):
    """What the fresh seeds recorded."""
    return lr_study.read("target-digits_mlp-seeds", tracking_uri=f"sqlite:///{folder}/mlflow.db")
