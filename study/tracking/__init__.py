"""MLflow: the record of every trial. `Tracker` writes it, `read` returns it as one tidy table.

An experiment is a study, a parent run a search, a child run a trial. A child holds the trial's flat parameters, every
field of `Record` as a metric at step = number of the record, and tags for its key and status. A trial is finished when
its run is terminal *and* carries the tag `lr_study.status`; everything else is taken up again.
"""

from study.tracking.artifacts import left_behind
from study.tracking.lease import Lease
from study.tracking.reader import read
from study.tracking.status import SearchStatus, cancel, status
from study.tracking.store import client, shown
from study.tracking.summary import About, about, publish
from study.tracking.tracker import Tracker

__all__ = [
    "About",
    "Lease",
    "SearchStatus",
    "Tracker",
    "about",
    "cancel",
    "client",
    "left_behind",
    "publish",
    "read",
    "shown",
    "status",
]
