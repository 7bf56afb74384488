"""The promises of every task, and of every loop of one's own."""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any, ClassVar

import pytest

from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.tasks import Task
from trainables.testing.problems import check_resume, copied, cut, same
from trainables.testing.rules import check_fields
from trainables.training import Training
from trainables.trial import Trial

RULE = "rule", "optimizer", "schedule", "scheme", "direction", "decay", "hidden", "rest"
"""The first words of the keys of a rule."""


class TaskSuite:
    """The promises of every task. Provide the fixture `task`."""

    @pytest.fixture
    def task(self) -> Task:
        """The task under test."""
        raise NotImplementedError("override the fixture `task`")

    def test_fields(self, task: Task) -> None:
        check_fields(task)

    def test_splits_are_disjoint_and_in_range(self, task: Task) -> None:
        data = task.splits()
        assert same(data, task.data()), "data() must return the same tensors at every call"
        named = data._asdict()
        for one, other in combinations(named, 2):
            if named[one].inputs is named[other].inputs and named[one].rows is not named[other].rows:
                both = set(named[one].rows.tolist()) & set(named[other].rows.tolist())
                assert not both, f"{one} and {other} share {len(both)} rows"

    def test_is_better_than_chance_after_a_little_training(self, task: Task) -> None:
        given = {"direction": "adam", "scheme.lr": 1e-3, "batch_size": 64, "epochs": 10.0, "record_every": 10.0}
        run = Run(Trial.parse({**_named(task), **given, "evaluate_test": "never"}))
        affordable = min(int(EFFORT / max(run.flops_per_example, 1.0)), 3000)
        if affordable < 500:
            pytest.skip(f"{affordable} examples are all that {EFFORT:.0e} operations pay for")
        record = cut(run, train=affordable // 10, others=500).epoch()
        assert not record.diverged
        assert record.flops >= 0
        if task.mode == "max":
            assert record.valid_score > task.chance
        else:
            assert record.valid_score < task.chance

    def test_learns_a_few_examples_by_heart(self, task: Task) -> None:
        given = {"direction": "adam", "scheme.lr": 2e-3, "batch_size": "full", "epochs": 6, "evaluate_test": "never"}
        run = cut(Run(Trial.parse({**_named(task), **given})), train=8, others=2)
        records = list(run)
        assert records[-1].train_loss < records[0].train_loss

    def test_resumes_bit_for_bit(self, task: Task) -> None:
        check_resume({**_named(task), "batch_size": 4, "epochs": 2.0, "scheme.lr": 1e-3}, interrupt=3, rows=8)


class TrainingSuite:
    """The promises of every loop of one's own. Provide the fixture `training`.

    `keys` are those of the trial besides, as in a study file: a rate at which it learns, a batch size. The loop runs
    a few times for two epochs each, so let it be a small one.
    """

    keys: ClassVar[Mapping[str, Any]] = {"scheme.lr": 1e-3}

    @pytest.fixture
    def training(self) -> Training:
        """The training under test."""
        raise NotImplementedError("override the fixture `training`")

    def test_fields(self, training: Training) -> None:
        check_fields(training)

    def test_its_seed_decides_everything(self, training: Training) -> None:
        assert _told(self._run(training)) == _told(self._run(training)), "draw from global generators, or session.seed"
        assert _told(self._run(training)) != _told(self._run(training, seed=1)), "its seed changes nothing"

    def test_broken_off_between_two_epochs_it_ends_with_the_same_records(self, training: Training) -> None:
        whole, first, second = (self._run(training) for _ in range(3))
        first.epoch()
        state = copied(first.state_dict())
        first.close()
        second.load_state_dict(state)
        assert _told(second) == _told(whole), "keep all that changes in session.epochs(…=…); make loaders anew an epoch"

    def test_it_is_judged_inside_of_evaluating(self, training: Training) -> None:
        pytest.importorskip("schedulefree")
        rule = {"rule": "packaged", "optimizer": "schedulefree_sgd"}
        run = self._run(training, rule)
        list(run)
        assert len(run.records) == 2

    def test_a_rate_far_too_large_ends_it_as_diverged_or_worthless_and_not_as_an_error(
        self, training: Training
    ) -> None:
        run = self._run(training, {"scheme.lr": 1e20})
        assert all(math.isfinite(record.valid_score) for record in run)

    def test_costs_grow_with_every_record(self, training: Training) -> None:
        records = list(self._run(training))
        assert 0 < records[0].passes < records[1].passes
        assert 0 < records[0].steps < records[1].steps
        assert 0 < records[0].seconds < records[1].seconds

    def _run(self, training: Training, keys: Mapping[str, Any] | None = None, seed: int = 0) -> OwnLoop:
        own = {key: value for key, value in Trial(task=training).flat().items() if key.split(".")[0] == "task"}
        kept = {key: value for key, value in self.keys.items() if not keys or key.split(".")[0] not in RULE}
        given = {**kept, **(keys or {})}
        return OwnLoop(Trial.parse({**own, "epochs": 2, "seed": seed, **given}))


def _told(run: OwnLoop) -> list[str]:
    """All that a training tells but the wall clock, comparable where it is NaN."""
    list(run)
    return [str({**record.flat(), "seconds": 0}) for record in run.records]


EFFORT = 1e11
"""Floating-point operations that the gradients of one test may take: seconds on one thread."""


def _named(task: Task) -> dict[str, Any]:
    return {key: value for key, value in Trial(task=task).flat().items() if key == "task" or key.startswith("task.")}
