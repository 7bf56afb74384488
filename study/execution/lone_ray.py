"""The Ray that a study starts for itself: without the processes that serve people and other machines.

Ray's dashboard, autoscaler and forwarder of logs are Python processes, each of which imports Ray: half of what its
start costs, for pages that nobody opens, nodes that nobody adds and lines that nobody reads. `ray.init` has no options
for them; `ray start` has. So this reaches into Ray, and a Ray that looks different inside starts as it likes.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

NOWHERE = b"127.0.0.1:0"


@contextmanager
def lone(*, forward_logs: bool) -> Iterator[None]:
    """Make `ray.init`, where it starts a Ray, start what trials need and nothing else.

    Args:
        forward_logs: to this process, which shows them.
    """
    try:
        from ray._private import node, ray_constants

        whole = node.Node
        fewer = _lone_node(whole, ray_constants.DASHBOARD_ADDRESS, ray_constants.KV_NAMESPACE_DASHBOARD)
    except (ImportError, AttributeError):
        yield
        return

    def started(ray_params: Any, *rest: Any, **options: Any) -> Any:
        with suppress(ValueError):  # it calls one of them otherwise
            ray_params.update(no_monitor=True, include_log_monitor=forward_logs)
        return fewer(ray_params, *rest, **options)

    node.Node = started
    try:
        yield
    finally:
        node.Node = whole


def _lone_node(whole: Any, key: str, namespace: bytes) -> type:
    """Ray's processes on this machine, without the dashboard's server.

    Args:
        whole: Ray's own class.
        key: under which the dashboard's address is looked up.
        namespace: of that key.

    Raises:
        AttributeError: Ray's own class has no such parts.
    """
    _ = whole.start_api_server, whole.get_gcs_client  # now, not when Ray is half started

    class LoneNode(whole):
        def start_api_server(self, **options: Any) -> None:
            """Only name an address: without one, Ray's agent asks for it every second, and logs that there is none."""
            store: Any = self.get_gcs_client()  # it is there by now
            store.internal_kv_put(key.encode(), NOWHERE, True, namespace)

    return LoneNode
