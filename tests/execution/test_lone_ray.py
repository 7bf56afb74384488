"""The Ray that a study starts for itself, where Ray is not as it was, or not quick enough."""

import pytest
import ray
from ray._private import node
from ray._private.parameter import RayParams

from study.execution import cluster
from study.execution.lone_ray import lone
from study.execution.settings import Cluster
from trainables.refusal import Refusal


def test_rays_own_class_is_back_afterwards_whatever_happens():
    whole = node.Node

    def breaks():
        with lone(forward_logs=False):
            assert node.Node is not whole
            raise ConnectionError

    with pytest.raises(ConnectionError):
        breaks()
    assert node.Node is whole


@pytest.mark.parametrize("part", ["start_api_server", "get_gcs_client"])
def test_a_ray_that_looks_different_inside_starts_as_it_likes(part, monkeypatch):
    monkeypatch.delattr(node.Node, part)
    whole = node.Node
    with lone(forward_logs=False):
        assert node.Node is whole


def test_settings_that_ray_calls_otherwise_stay_as_it_likes(monkeypatch):
    class Whole(node.Node):
        def __init__(self, ray_params):
            self.ray_params = ray_params

    monkeypatch.setattr(node, "Node", Whole)
    given = RayParams()
    del given.no_monitor
    with lone(forward_logs=False):
        started = node.Node(given)
    assert (started.ray_params, hasattr(given, "no_monitor")) == (given, False)


def test_a_machine_too_busy_for_ray_is_one_line(monkeypatch):
    def late(**options):
        raise Exception("The current node timed out during startup. This\ncould happen")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(Refusal, match="the machine is too busy: The current node timed out during startup") as told:
        cluster.connect(Cluster())
    assert "\n" not in str(told.value)
