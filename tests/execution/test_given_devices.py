"""A trial trains on what it was given: on one node that has all of it, and on a GPU only where it has one."""

from types import SimpleNamespace

import pytest
import ray
import torch
from ray.tune import PlacementGroupFactory

from study.execution import cluster
from study.execution.settings import Cluster
from study.plan.parse import parse
from trainables.ray_trainable import Trainable
from trainables.refusal import Refusal

STUDY = "{question: q, common: {task: quadratic, threads: 8}, arms: {sgd: {}}}"
CPU = {"CPU": 8.0}


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "cuda"), (0.5, "cuda")])
def test_a_trial_that_was_given_no_gpu_takes_none(gpus, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    trial = object.__new__(Trainable)
    bundle = PlacementGroupFactory([{"CPU": 1, **({"GPU": gpus} if gpus else {})}])
    trial._trial_info = SimpleNamespace(trial_resources=bundle)
    assert trial._device == device


def wanted(monkeypatch, nodes, gpus=None, joined=False):
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 0.0)
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "")
    monkeypatch.delenv("TUNE_MAX_PENDING_TRIALS_PG")
    address = "10.0.0.1:6379" if joined else None
    found = cluster.resources_of_a_trial(parse(STUDY, "s"), Cluster(address, gpus))
    return found["gpu"], cluster.os.environ["TUNE_MAX_PENDING_TRIALS_PG"]


def test_of_threads_that_are_searched_the_most_are_asked_for(monkeypatch):
    searched = parse(STUDY.replace("threads: 8", "threads: {choice: [1, 8, 4]}"), "s")
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 4.0}}])
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 0.0)
    with pytest.raises(Refusal, match="8 CPU"):
        cluster.resources_of_a_trial(searched, Cluster(None, 0))


@pytest.mark.parametrize(
    ("nodes", "gpus", "said"),
    [
        ([{"CPU": 4.0}] * 2, None, "a trial needs 8 CPU, no node has more than 4 CPU"),
        ([{"CPU": 8.0, "GPU": 1.0}] * 2, 2, "a trial needs 8 CPU and 2 GPU, no node has more than 1 GPU"),
        ([CPU, {"CPU": 4.0, "GPU": 1.0}], 1, "a trial needs 8 CPU and 1 GPU, and no node has both"),
        ([], None, "no node has more than 0 CPU"),
    ],
)
def test_a_trial_that_fits_no_node_is_refused_whatever_all_of_them_have(nodes, gpus, said, monkeypatch):
    with pytest.raises(Refusal, match=said):
        wanted(monkeypatch, nodes, gpus)


def test_a_trial_takes_a_gpu_where_a_node_has_one_beside_its_cores(monkeypatch, capsys):
    assert wanted(monkeypatch, [{"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0}]) == (1.0, "2")
    assert wanted(monkeypatch, [{"CPU": 20.0}, CPU, {"CPU": 2.0}]) == (0.0, "3")
    assert capsys.readouterr().err == ""
    assert wanted(monkeypatch, [CPU, {"CPU": 4.0, "GPU": 1.0}]) == (0.0, "1")
    assert "no node has a GPU and 8 CPU: trials train on CPUs" in capsys.readouterr().err
    assert wanted(monkeypatch, [CPU], joined=True) == (0.0, "1")
    assert "no GPU has joined the cluster" in capsys.readouterr().err


def test_a_process_stays_in_the_ray_that_it_is_in(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    context = SimpleNamespace(gcs_address=f"{ray.util.get_node_ip_address()}:6379")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    for address in (
        None,
        "auto",
        "local",
        context.gcs_address,
        "127.0.0.1:6379",
        "localhost:6379",
        "ray://there:10001",
    ):
        assert cluster.connect(Cluster(address)).address == address
    with pytest.raises(Refusal, match="leave out --address nowhere"):
        cluster.connect(Cluster("nowhere"))
    with pytest.raises(Refusal, match=r"leave out --address 10\.0\.0\.9:6379"):
        cluster.connect(Cluster("10.0.0.9:6379"))


@pytest.mark.parametrize("gpus", [1.5, float("nan"), float("inf")])
def test_a_part_of_several_gpus_is_refused_before_anything_starts(gpus):
    study = parse("{question: q, arms: {a: {task: quadratic}}}", "x")
    with pytest.raises(Refusal, match="a trial takes a share of one GPU, or a whole number of them"):
        cluster.check_room(study, Cluster(None, gpus))
