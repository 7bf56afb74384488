"""Conformance suites: what every direction, scheme, optimizer and task promises, for ours and for other people's.

Inherit a suite in a test module and say what it is about; pytest does the rest:

    class TestMine(SchemeSuite):
        @pytest.fixture
        def scheme(self):
            return MyScheme(lr=0.1)
"""

from trainables.testing.fusing import check_fuses
from trainables.testing.optimizers import OptimizerSuite
from trainables.testing.problems import bowl, check_resume, copied, cut, noisy_bowl, same, steps, two_layers
from trainables.testing.rules import DirectionSuite, SchemeSuite, check_fields, check_vmap
from trainables.testing.workloads import TaskSuite, TrainingSuite

__all__ = [
    "DirectionSuite", "OptimizerSuite", "SchemeSuite", "TaskSuite", "TrainingSuite", "bowl", "check_fields",
    "check_fuses", "check_resume", "check_vmap", "copied", "cut", "noisy_bowl", "same", "steps", "two_layers",
]  # fmt: skip
