"""The task of somebody who has this project as a package, on which a training takes as long as the environment says."""

TASK = """
import os
import time
from dataclasses import dataclass

from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True)
class Bowl(Quadratic):
    def prepare(self, inputs):
        time.sleep(float(os.environ.get("NAP", "0")))
        return inputs
"""
