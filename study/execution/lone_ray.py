"""The Ray that a study starts for itself: without the processes that serve people and other machines.

Ray's dashboard, autoscaler and forwarder of logs are Python processes, each of which imports Ray: half of what its
start costs, for pages that nobody opens, nodes that nobody adds and lines that nobody reads. `ray.init` has no options
for them; `ray start` has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import node, utils
from ray._private.parameter import RayParams


class LoneNode(node.Node):
    """Ray's processes on this machine, without the dashboard's server."""

    def start_api_server(self, **options: Any) -> None:
        """Nobody opens its pages."""


@contextmanager
def lone(*, forward_logs: bool) -> Iterator[None]:
    """Make `ray.init`, where it starts a Ray, start what trials need and nothing else.

    Args:
        forward_logs: to this process, which shows them.
    """
    whole, check = node.Node, utils.get_dashboard_dependency_error

    def fewer(ray_params: RayParams, **options: Any) -> LoneNode:
        ray_params.update(no_monitor=True, include_log_monitor=forward_logs)
        return LoneNode(ray_params, **options)

    node.Node = fewer
    utils.get_dashboard_dependency_error = lambda: ImportError("no dashboard")  # as where it is not installed
    try:
        yield
    finally:
        node.Node, utils.get_dashboard_dependency_error = whole, check
