"""Builds Ray Tune's `Tuner`, one for a whole study, and nobody else does."""

import shutil
from collections.abc import Mapping

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig

from study.execution.failures import Hopeless
from study.execution.settings import Cluster
from study.execution.tune import Bridge, Ending, TuneSearcher
from study.tracking import Tracker
from trainables.ray_trainable import Trainable

__all__ = ["Bridge", "fit"]


def fit(bridge: Bridge, tracker: Tracker, resources: Mapping[str, float], cluster: Cluster) -> None:
    """Train all that a bridge hands out, until it hands out no more.

    Args:
        bridge: between Tune and the dispatcher.
        tracker: of the study.
        resources: of one trial, as Ray names them.
        cluster: says how much is shown.

    Raises:
        Hopeless: where no trial succeeds.
        Exception: what a callback raised.
    """
    folder = bridge.storage / "tune"
    own = folder / tracker.searches.own_name  # Tune's state of every driver so far, from which nobody restores
    shutil.rmtree(own, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(Trainable, dict(resources)),
        tune_config=TuneConfig(
            search_alg=TuneSearcher(bridge),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.trial_id,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=RunConfig(
            name=tracker.searches.own_name,
            storage_path=str(folder),
            callbacks=[bridge],
            stop=Ending(tracker, bridge),
            failure_config=FailureConfig(max_failures=-1),  # `Failures` decides
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=3 if cluster.verbose else 0,
        ),
    )
    try:
        tuner.fit()
    finally:
        shutil.rmtree(own, ignore_errors=True)
    if bridge.broken:
        raise bridge.broken
    if bridge.hopeless:
        raise Hopeless(f"study {tracker.study.name!r} is stopped: {bridge.hopeless}")
