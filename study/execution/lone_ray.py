"""The Ray that a study starts for itself: without the processes that serve people and other machines.

Ray's dashboard, autoscaler and forwarder of logs are Python processes, each of which imports Ray: half of what its
start costs, for pages that nobody opens, nodes that nobody adds and lines that nobody reads. `ray.init` has no options
for them; `ray start` has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray._private import node, ray_constants
from ray._private.parameter import RayParams

NOWHERE = b"127.0.0.1:0"


class LoneNode(node.Node):
    """Ray's processes on this machine, without the dashboard's server."""

    def start_api_server(self, **options: Any) -> None:
        """Only name an address: without one, Ray's agent asks for it every second, and logs that there is none."""
        store: Any = self.get_gcs_client()  # it is there by now
        address, place = ray_constants.DASHBOARD_ADDRESS.encode(), ray_constants.KV_NAMESPACE_DASHBOARD
        store.internal_kv_put(address, NOWHERE, True, place)


@contextmanager
def lone(*, forward_logs: bool) -> Iterator[None]:
    """Make `ray.init`, where it starts a Ray, start what trials need and nothing else.

    Args:
        forward_logs: to this process, which shows them.
    """
    whole = node.Node

    def fewer(ray_params: RayParams, **options: Any) -> LoneNode:
        ray_params.update(no_monitor=True, include_log_monitor=forward_logs)
        return LoneNode(ray_params, **options)

    node.Node = fewer
    try:
        yield
    finally:
        node.Node = whole
