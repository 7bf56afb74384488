"""MLflow: the record of every trial. `Tracker` writes it, `read` returns it as one tidy table.

An experiment is a study, a parent run a search, a child run a trial. A child holds the trial's flat parameters, every
field of `Record` as a metric at step = number of the record, and tags for its key and status. A trial is finished when
its run is terminal *and* carries the tag `lr_study.status`; everything else is taken up again. For MLflow's own pages
a child also has its arm and the logarithm of its rate as parameters, and the experiment a view of its runs (`view`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.tracking.artifacts import kept_name, read_artifacts, stored_code
    from study.tracking.forgetting import forget, search_folders
    from study.tracking.lease import Lease
    from study.tracking.reader import is_recorded, read
    from study.tracking.searches import OtherContents
    from study.tracking.standing import SearchStatus, cancel, status
    from study.tracking.store import client, shown
    from study.tracking.summary import About, about, publish
    from study.tracking.tracker import Tracker

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
    "kept_name",
    "publish",
    "read",
    "read_artifacts",
    "search_folders",
    "shown",
    "status",
    "stored_code",
]

_PLACES = {
    "artifacts": ("kept_name", "read_artifacts", "stored_code"),
    "forgetting": ("forget", "search_folders"),
    "lease": ("Lease",),
    "reader": ("is_recorded", "read"),
    "searches": ("OtherContents",),
    "standing": ("SearchStatus", "cancel", "status"),
    "store": ("client", "shown"),
    "summary": ("About", "about", "publish"),
    "tracker": ("Tracker",),
}
"""Where each name stands: imported when it is first asked for, since MLflow takes seconds."""


def __getattr__(name: str) -> Any:
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"study.tracking.{place}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
