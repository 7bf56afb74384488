"""The Ray that trials run on: joined or started, and what one trial takes of it."""

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import ray
import torch
from ray._private import ray_constants, services
from ray.tune.execution import class_cache

from study.execution.lone_ray import lone
from study.execution.settings import Cluster
from study.execution.surroundings import CLIENT, refuse_unusable
from study.plan.study import Study
from trainables.refusal import Refusal, first_line
from trainables.space import ends

WAIT_SECONDS = 300.0  # for the first worker of a cluster: a machine in a cloud needs minutes to start


def connect(cluster: Cluster) -> Cluster:
    """Join the cluster, or start one here; refused where none answers.

    Args:
        cluster: as it was asked for.

    Returns:
        The same; with the address of a Ray that was found without one, where this process joins it.
    """
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the tracker is the logger
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the other one prints a banner even when told to be quiet
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "inf")  # of its own state, from which nobody restores
    os.environ.setdefault("TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S", "600")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")  # idle ones lack the environment of Tune's
    for name in ("LR_STUDY_DATA", "LR_STUDY_CACHE"):
        if os.environ.get(name):  # a trial runs in a folder of its own
            os.environ[name] = str(Path(os.environ[name]).expanduser().absolute())
    if "RAY_ENABLE_UV_RUN_RUNTIME_ENV" not in os.environ:  # Ray has read it already, when it was imported
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False  # workers share this environment, no other uv makes one
    for name in [name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")]:
        class_cache.ENV_VARS_TO_PROPAGATE.discard(name)  # Tune sends them to workers, and Ray's agent logs what is sent
    if ray.is_initialized():
        return _stays(cluster)
    cluster = cluster._replace(address=refuse_unusable(cluster.address, cluster.cpus) or cluster.address)
    level = logging.INFO if cluster.verbose else logging.ERROR
    logging.getLogger("ray.tune").setLevel(level)
    try:
        with lone(forward_logs=cluster.verbose):
            ray.init(
                address=cluster.address,
                num_cpus=cluster.cpus,
                log_to_driver=cluster.verbose,
                logging_level=level,
                include_dashboard=None if cluster.is_joined else False,
            )
    except ConnectionError as error:
        raise Refusal(f"Ray cannot be joined: {first_line(error)}") from error
    except OSError as error:
        raise Refusal(f"Ray cannot start here: {first_line(error)}") from error
    except Exception as error:
        if "timed out during startup" not in str(error):  # Ray has no class for it
            raise
        raise Refusal(f"Ray cannot start here, the machine is too busy: {first_line(error)}; try again") from error
    return cluster


def _stays(cluster: Cluster) -> Cluster:
    """The cluster as it was asked for, in the Ray that this process is in; refused where that is another."""
    asked: Any = cluster.address
    if cluster.cpus is not None:
        raise Refusal(
            f"--cpus {cluster.cpus} is for a Ray that starts here, and this process has one: say it to ray.init"
        )
    if asked in (None, "auto", "local") or asked.startswith(CLIENT):
        return cluster
    joined, place = ray.get_runtime_context().gcs_address, None
    with suppress(ValueError, OSError):  # it is no address
        place = services.canonicalize_bootstrap_address(asked)
    if place != joined:
        raise Refusal(f"this process is in the Ray at {joined}: leave out --address {asked}")
    return cluster


def check_room(study: Study, cluster: Cluster) -> None:
    """Refuse, where a Ray is to start here, trials that this machine has no room for, and where one is named, silence.

    Args:
        study: its arms say how many threads a trial has.
        cluster: as it was asked for.
    """
    gpus = cluster.gpus_per_trial
    if gpus is not None and not (0 <= gpus <= 1 or float(gpus).is_integer()):
        raise Refusal(f"--gpus {gpus:g}: a trial takes a share of one GPU, or a whole number of them")
    if ray.is_initialized():
        _stays(cluster)
        nodes = _nodes()
    elif refuse_unusable(cluster.address, cluster.cpus) is None:
        nodes = [{"CPU": float(cluster.cpus or os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}]
    else:
        return  # its workers may come later
    wanted = {"cpu": float(max(_threads(study))), "gpu": cluster.gpus_per_trial or 0.0}
    _checked_rooms(nodes, wanted)


def resources_of_a_trial(study: Study, cluster: Cluster) -> dict[str, float]:
    """The resources of one trial.

    Args:
        study: its arms say how many threads a trial has.
        cluster: says how much of a GPU; None: one, if there is any.

    Returns:
        CPUs and GPUs, as Ray names them.

    Raises:
        Refusal: where no node of the cluster has even those.
    """
    asked, threads = cluster.gpus_per_trial, float(max(_threads(study)))
    wanted = {"cpu": threads, "gpu": asked or 0.0}
    nodes = _wait_for(wanted, WAIT_SECONDS if cluster.is_joined else 0.0)  # a worker's GPU is there when it is
    if asked is None and _rooms(nodes, {**wanted, "gpu": 1.0}):
        wanted["gpu"] = 1.0
    elif asked is None and _rooms(nodes, {"gpu": 1.0}):
        sys.stderr.write(f"no node has a GPU and {threads:g} CPU: trials train on CPUs; give them fewer threads\n")
    elif asked is None and cluster.is_joined:
        sys.stderr.write("no GPU has joined the cluster: trials train on CPUs; --gpus 1 waits for one\n")
    rooms = _checked_rooms(nodes, wanted)
    # Tune's own default keeps one trial pending; the next free worker takes it, and a second worker, which needs
    # longer to start than a short trial takes, never would.
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(rooms))
    return wanted


def _wait_for(wanted: Mapping[str, float], seconds: float) -> list[Mapping[str, float]]:
    """The resources of each node, as soon as one has those of a trial: a head is there before its workers are."""
    deadline, told = time.monotonic() + seconds, False
    while not _rooms(_nodes(), wanted) and time.monotonic() <= deadline:
        if not told:
            sys.stderr.write(f"waiting up to {seconds:.0f} s for a worker to join the cluster\n")
            told = True
        time.sleep(1)
    return _nodes()


def _nodes() -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _rooms(nodes: Sequence[Mapping[str, float]], wanted: Mapping[str, float]) -> int:
    """The number of trials that there is room for at once, each on one node, shares of GPUs taken together.

    >>> _rooms([{"CPU": 4.0}, {"CPU": 9.0, "GPU": 1.0}], {"cpu": 4.0, "gpu": 0.0})
    3
    """
    shares = ([node.get(kind.upper(), 0) / amount for kind, amount in wanted.items() if amount] for node in nodes)
    return sum(int(min(of_node)) for of_node in shares)


def _checked_rooms(nodes: Sequence[Mapping[str, float]], wanted: Mapping[str, float]) -> int:
    """The number of trials that there is room for at once; refused where there is none for one."""
    rooms = _rooms(nodes, wanted)
    if not rooms:
        raise Refusal(f"a trial needs {_named(wanted)}, {_most(nodes, wanted)}")
    return rooms


def _most(nodes: Sequence[Mapping[str, float]], wanted: Mapping[str, float]) -> str:
    """Say which resource no node has so much of, or that none has all of them.

    >>> _most([{"CPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}], {"cpu": 8.0, "gpu": 0.0})
    'no node has more than 4 CPU'
    """
    most = {kind: max((node.get(kind.upper(), 0) for node in nodes), default=0) for kind in wanted}
    short = [f"{most[kind]:g} {kind.upper()}" for kind, amount in wanted.items() if amount > most[kind]]
    return f"no node has more than {short[0]}" if short else "and no node has both"


def _named(wanted: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {kind.upper()}" for kind, amount in wanted.items() if amount)


def _threads(study: Study) -> list[int]:
    """The threads of a trial of each arm, the most of those that are searched."""
    told = [ends(arm.space["threads"]) if "threads" in arm.space else (arm.setting("threads"),) for arm in study.arms]
    return [max(cast("tuple[int, ...]", each)) for each in told]
