"""Settings of a run that name Ray, without importing it: a study that is complete needs none."""

import os
from typing import NamedTuple


class Cluster(NamedTuple):
    """The Ray that trials run on, and the devices that each may take."""

    address: str | None = None  # of a running Ray; None: RAY_ADDRESS, else one that runs here, else it is started
    gpus_per_trial: float | None = None  # None: one where there are any
    verbose: bool = False
    cpus: int | None = None  # of this machine, where Ray starts here; None: all

    @property
    def is_joined(self) -> bool:
        """True where it was there before us, so that nodes may come and go."""
        return bool(self.address or os.environ.get("RAY_ADDRESS"))  # the latter is how `ray job submit` says it
