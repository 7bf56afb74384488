"""MLflow: the record of every trial. `Tracker` writes it, `read` returns it as one tidy table.

An experiment is a study, a parent run a search, a child run a trial. A child holds the trial's flat parameters, every
field of `Record` as a metric at step = number of the record, and tags for its key and status. A trial is finished when
its run is terminal *and* carries the tag `lr_study.status`; everything else is taken up again.
"""

from study.tracking.artifacts import left_behind, stored_code
from study.tracking.forget import forget, search_folders
from study.tracking.lease import Lease
from study.tracking.reader import is_recorded, read
from study.tracking.status import SearchStatus, cancel, status
from study.tracking.store import client, shown
from study.tracking.summary import About, about, publish
from study.tracking.tracker import OtherContents, Tracker

__all__ = [
    "About",
    "Lease",
    "OtherContents",
    "SearchStatus",
    "Tracker",
    "about",
    "cancel",
    "client",
    "forget",
    "is_recorded",
    "left_behind",
    "publish",
    "read",
    "search_folders",
    "shown",
    "status",
    "stored_code",
]
