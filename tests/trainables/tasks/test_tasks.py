"""Every task: the promises of its suite, and the quadratic's closed forms."""

import pytest
import torch

from trainables.components import members
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.tasks import Task
from trainables.tasks.quadratic import Quadratic
from trainables.testing import TaskSuite
from trainables.trial import Trial


class TestTasks(TaskSuite):
    @pytest.fixture(params=members(Task).values(), ids=members(Task))
    def task(self, request):
        task = request.param()
        try:
            task.data()
        except Refusal as refusal:
            pytest.skip(f"data is not here: {refusal}")
        return task


def test_full_batch_descent_on_the_quadratic_contracts_each_coordinate():
    """θ_t − 1 = −(1 − ηa)^t, so J(θ_t) = ½ Σ a [(1 − ηa)^2t + var]."""
    trial = Trial.parse(
        {
            "task": "quadratic",
            "task.dim": 3,
            "task.condition": 9.0,
            "batch_size": "full",
            "epochs": 5,
            "scheme.lr": 0.5,
            "precision": "float64",
        }
    )
    run = Run(trial)
    for _ in run:
        pass
    a = 9.0 ** -torch.linspace(0, 1, 3, dtype=torch.float64)
    torch.testing.assert_close(run.params["centre"], 1 - (1 - 0.5 * a) ** 5, rtol=1e-6, atol=1e-7)


def test_the_noiseless_quadratic_has_its_optimum_at_one():
    task = Quadratic(noise=0.0)
    assert task.loss(torch.zeros(1, task.dim), torch.zeros(1)) == 0
    assert task.chance == pytest.approx(sum(10.0 ** (-j / 9) for j in range(10)) / 2, rel=1e-6)


def quadratic(**flat):
    return list(Run(Trial.parse({"task": "quadratic", "task.num_examples": 320, "scheme.lr": 0.1, **flat})))


def test_records_come_several_times_an_epoch():
    records = quadratic(batch_size=32, epochs=1.5, record_every=0.25)
    assert [record.steps for record in records] == [2, 5, 8, 10, 12, 15]  # of 10 an epoch; halves round to even
    whole = quadratic(batch_size=32, epochs=1.5)
    assert [record.steps for record in whole] == [10, 15]
    assert records[-1].valid_loss == whole[-1].valid_loss  # looking more often changes nothing
    seen = [later.steps - earlier.steps for earlier, later in zip([records[0], *records], records, strict=False)]
    mean = sum(n * r.train_loss for n, r in zip([2, *seen[1:]], records, strict=True)) / 15
    assert mean == pytest.approx((10 * whole[0].train_loss + 5 * whole[1].train_loss) / 15, rel=1e-9)


def test_a_full_batch_is_one_step_an_epoch_and_the_largest_batch_there_is():
    full, large = quadratic(batch_size="full", epochs=3), quadratic(batch_size=10_000, epochs=3)
    assert [record.steps for record in full] == [1, 2, 3]
    assert [record.valid_loss for record in full] == [record.valid_loss for record in large]
