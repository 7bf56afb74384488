"""`OptimizerSuite`, asked of every shipped optimizer and of classes; and an optimizer that it finds out."""

import pytest
import torch

from trainables.components import find, members
from trainables.optimizers import Optimizer
from trainables.plugins import trusted
from trainables.testing import OptimizerSuite


class TestShipped(OptimizerSuite):
    @pytest.fixture(params=members(Optimizer))
    def optimizer(self, request):
        member = members(Optimizer)[request.param]
        pytest.importorskip(member.package, reason="needs the dependency group packaged")
        return member()


class TestByClass(OptimizerSuite):
    @pytest.fixture(params=[("RAdam", {}), ("Adafactor", {}), ("LBFGS", {"max_iter": 3})], ids=lambda param: param[0])
    def optimizer(self, request):
        name, given = request.param
        return find(Optimizer, trusted(f"torch.optim:{name}"))(**given)


class Forgetful(torch.optim.SGD):
    """SGD whose rate falls with a count that it keeps in a function."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
        seen = []
        self.count = lambda: seen.append(0) or len(seen)

    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] /= self.count()
        return super().step(closure)


def test_the_suite_finds_an_optimizer_that_keeps_what_no_checkpoint_holds():
    suite, forgetful = OptimizerSuite(), Optimizer.adopted(Forgetful, __name__)()
    suite.test_writes_into_nothing_that_it_is_given(forgetful)
    with pytest.raises(AssertionError, match="keeps what no checkpoint holds"):
        suite.test_walks_as_in_a_plain_loop_with_a_schedule_and_over_a_resume_bit_for_bit(forgetful, 7)
