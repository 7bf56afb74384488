"""Stoppers against those of Tune and Optuna, on the same curves."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import optuna
import pytest
from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner
from ray.tune.schedulers import MedianStoppingRule, TrialScheduler
from stopped import Curve, stopped_lengths

from study.search.stoppers import Hyperband, Median

RECORDS = 9


class Named(NamedTuple):
    """A trial, as Tune's schedulers ask of one."""

    trial_id: int


class NoneWaits:
    """A controller of Tune that has no other trial to go on with."""

    def get_live_trials(self) -> list[Named]:
        return []


def curves(seed: int, trials: int) -> list[list[float]]:
    """Noisy curves that rise at different speeds."""
    generator = np.random.default_rng(seed)
    speeds = generator.uniform(0.05, 1.0, (trials, 1))
    return (1 - np.exp(-speeds * np.arange(1, RECORDS + 1)) + generator.normal(0, 0.2, (trials, RECORDS))).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_median_stops_what_the_rule_of_tune_stops(seed):
    rule = MedianStoppingRule("record", "score", "max", grace_period=1, min_samples_required=3)
    lengths = []
    for k, scores in enumerate(curves(seed, 20)):
        told = [
            rule.on_trial_result(NoneWaits(), Named(k), {"record": record, "score": score})
            for record, score in enumerate(scores, 1)
            if Named(k) not in rule._stopped_trials
        ]
        assert TrialScheduler.STOP not in told[:-1]
        lengths.append(len(told))
    assert lengths == stopped_lengths(Median(min_trials=3), map(Curve, curves(seed, 20)))
    assert min(lengths) < max(lengths)


def test_the_median_is_asked_every_so_many_epochs():
    late = Median(min_epochs=3.0, min_trials=1)
    assert [rung.record for rung in late.reached(0, [0.5] * RECORDS)] == [3, 6, 9]
    assert stopped_lengths(late, [Curve([0.5] * RECORDS), Curve([0.1] * RECORDS)]) == [9, 3]


@pytest.mark.parametrize("seed", range(3))
def test_every_bracket_stops_what_successive_halving_of_optuna_stops(seed):
    """On curves that never fall: Optuna compares what a trial is at a rung, we the best that it has been."""
    hyperband = Hyperband(brackets=3)
    rising = np.maximum.accumulate(curves(seed, 40), axis=1).tolist()
    ours = stopped_lengths(hyperband, map(Curve, rising))
    for bracket in range(3):
        pruner = SuccessiveHalvingPruner(min_resource=1, reduction_factor=3, min_early_stopping_rate=bracket)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        members = [k for k in range(40) if hyperband.bracket(k) == bracket]
        assert [pruned_at(study.ask(), rising[k]) for k in members] == [ours[k] for k in members]
    assert len(set(ours)) == 3


def pruned_at(trial: optuna.Trial, scores: list[float]) -> int:
    """The record after which Optuna ends the trial."""
    for record, score in enumerate(scores, 1):
        trial.report(score, record)
        if trial.should_prune():
            return record
    return len(scores)


@pytest.mark.parametrize("brackets", [1, 2, 3, 4, 5])
def test_a_bracket_has_the_trials_that_hyperband_of_optuna_gives_it(brackets):
    theirs = HyperbandPruner()
    theirs._n_brackets = brackets
    sizes = np.array([theirs._calculate_trial_allocation_budget(bracket) for bracket in range(brackets)])
    for trials in (sizes.sum(), 10 * sizes.sum()):
        ours = Counter(Hyperband(brackets=brackets).bracket(k) for k in range(trials))
        assert [ours[bracket] for bracket in range(brackets)] == pytest.approx(sizes / sizes.sum() * trials, abs=2)


def test_the_last_bracket_as_published_stops_nothing():
    """1 + ⌊log 9/log 3⌋ = 3 brackets for nine epochs."""
    hyperband = Hyperband(brackets=3)
    falling = [Curve([1 - k / 40] * RECORDS) for k in range(40)]  # each is worse than all before it
    lengths = stopped_lengths(hyperband, falling)
    assert {hyperband.bracket(k): lengths[k] for k in range(10, 40)} == {0: 1, 1: 3, 2: 9}
