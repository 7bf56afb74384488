"""The Ray that trials run on: joined or started, and what one trial takes of it."""

import logging
import os
import sys
import time
from collections.abc import Mapping

import ray
from ray._private import ray_constants
from ray.tune.execution import class_cache

from study.execution.lone_ray import lone
from study.execution.settings import Cluster
from study.execution.surroundings import refuse_unusable
from study.plan.study import Study
from trainables.refusal import Refusal, first_line
from trainables.trial import Trial

WAIT_SECONDS = 300.0  # for the first worker of a cluster: a machine in a cloud needs minutes to start


def connect(cluster: Cluster) -> None:
    """Join the cluster, or start one here; refused where none answers."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # the tracker is the logger
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the other one prints a banner even when told to be quiet
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "inf")  # of its own state, from which nobody restores
    os.environ.setdefault("TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S", "600")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")  # idle ones lack the environment of Tune's
    if "RAY_ENABLE_UV_RUN_RUNTIME_ENV" not in os.environ:  # Ray has read it already, when it was imported
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False  # workers share this environment, no other uv makes one
    for name in [name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")]:
        class_cache.ENV_VARS_TO_PROPAGATE.discard(name)  # Tune sends them to workers, and Ray's agent logs what is sent
    if ray.is_initialized():
        if cluster.cpus is not None:
            raise Refusal(
                f"--cpus {cluster.cpus} is for a Ray that starts here, and this process has one: say it to ray.init"
            )
        return
    refuse_unusable(cluster.address, cluster.cpus)
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


def resources_of_a_trial(study: Study, cluster: Cluster) -> dict[str, float]:
    """The resources of one trial.

    Args:
        study: its arms say how many threads a trial has.
        cluster: says how much of a GPU; None: one, if there is any.

    Returns:
        CPUs and GPUs, as Ray names them.

    Raises:
        Refusal: where the cluster has not even those.
    """
    asked, seconds = cluster.gpus_per_trial, WAIT_SECONDS if cluster.is_joined else 0.0
    wanted = {"cpu": float(max(_threads(study))), "gpu": asked or 0.0}
    here = _wait_for(wanted, seconds)  # a worker's GPU is there when it is
    if asked is None:
        wanted["gpu"] = 1.0 if here.get("GPU", 0) else 0.0
        if cluster.is_joined and not wanted["gpu"]:
            sys.stderr.write("no GPU has joined the cluster: trials train on CPUs; --gpus 1 waits for one\n")
    for kind, amount in wanted.items():
        if amount > here.get(kind.upper(), 0):
            raise Refusal(
                f"a trial needs {amount:g} {kind.upper()}, the cluster has {here.get(kind.upper(), 0):g} in all"
            )
    # Tune's own default keeps one trial pending; the next free worker takes it, and a second worker, which needs
    # longer to start than a short trial takes, never would.
    slots = min(here[kind.upper()] / amount for kind, amount in wanted.items() if amount)
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(max(1, int(slots))))
    return wanted


def _wait_for(wanted: Mapping[str, float], seconds: float) -> Mapping[str, float]:
    """What the cluster has, as soon as that is what a trial wants: its head is there before its workers are."""
    deadline, told = time.monotonic() + seconds, False
    while any(amount > ray.cluster_resources().get(kind.upper(), 0) for kind, amount in wanted.items()):
        if time.monotonic() > deadline:
            break
        if not told:
            sys.stderr.write(f"waiting up to {seconds:.0f} s for a worker to join the cluster\n")
            told = True
        time.sleep(1)
    return ray.cluster_resources()


def _threads(study: Study) -> list[int]:
    return [Trial.parse({**arm.fixed}).threads for arm in study.arms]
