"""The record of trials that are trained side by side: each is a trial, and a study broken off ends with the same table.

Everything is the program's own but for Tune, whose part is played in this process: two workers take turns, a report of
each at a time.
"""

import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
from mlflow import MlflowClient

import study
from study import tracking
from study.execution import runner
from trainables import ray_trainable
from trainables.ray_trainable import Trainable

TEXT = """
question: Does it survive?
common: {task: quadratic, batch_size: 128, epochs: 3, fuse: 2}
arms:
  random: {trials: 2, seeds: 2, scheme: cprop, direction: momentum}
  tpe: {trials: 3, searcher: tpe, parallel: 2, stopper: asha, scheme: plateau}
"""
NUM_TRIALS = 7


class Killed(BaseException):
    """Somebody ends the driver."""


def by_turns(reports):
    """Tune's part: two workers, until so many reports were made; all of them where None is given."""

    def tune(bridge, *rest):
        running, left, number = {}, reports, 0
        while True:
            while len(running) < 2 and isinstance(config := bridge.next_config(f"t{number}"), dict):
                running[f"t{number}"] = (SimpleNamespace(trial_id=f"t{number}", config=config), Trainable(config))
                bridge.on_trial_start(0, [], running[f"t{number}"][0])
                number += 1
            if not running:
                return
            for name, (trial, worker) in list(running.items()):
                if left == 0:
                    raise Killed
                result = worker.step()
                bridge.on_trial_result(0, [], trial, result)
                left = left if left is None else left - 1
                if result["done"]:
                    bridge.on_trial_complete(0, [], trial)
                    del running[name]
            if bridge.broken:
                raise bridge.broken

    return tune


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the study into a store of that name, for so many reports."""
    monkeypatch.setattr(runner, "connect", lambda cluster: None)
    monkeypatch.setattr(runner, "resources_of_a_trial", lambda study, cluster: {})
    monkeypatch.setattr(ray_trainable, "REPORT_SECONDS", 1e-3)
    monkeypatch.setattr(ray_trainable, "CHECKPOINT_SECONDS", -1.0)
    (tmp_path / "side.yaml").write_text(TEXT)
    tracking.client(f"sqlite:///{tmp_path}/empty.db").search_experiments()

    def run(name, reports=None):
        if not (tmp_path / name).exists():
            (tmp_path / name).mkdir()
            shutil.copy(tmp_path / "empty.db", tmp_path / name / "mlflow.db")
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setattr(runner, "_tune", by_turns(reports))
        uri = f"sqlite:///{tmp_path / name}/mlflow.db"
        assert study.run(str(tmp_path / "side.yaml"), tracking_uri=uri, storage=tmp_path / name)
        return uri

    return run


@pytest.mark.timeout(400)
def test_broken_off_in_the_middle_of_two_groups_a_study_ends_with_the_same_table(run, tmp_path):
    whole = study.read("side", tracking_uri=run("whole"))
    with pytest.raises(Killed):
        run("broken", 4)
    uri = run("broken")
    clock = ["run_id", "seconds"]
    again = study.read("side", tracking_uri=uri)
    pd.testing.assert_frame_equal(whole.drop(columns=clock), again.drop(columns=clock), check_exact=True)
    check_every_lane_is_a_trial(whole, uri)
    assert not list(tmp_path.glob("broken/checkpoints/**/*.pt"))


def check_every_lane_is_a_trial(table, uri):
    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("side").experiment_id])
    trials = [each for each in runs if each.data.tags["lr_study.kind"] == "trial"]
    assert len({each.data.tags["lr_study.key"] for each in trials}) == len(trials) == NUM_TRIALS
    assert {each.info.status for each in runs} == {"FINISHED"}
    assert {each.data.params["fuse"] for each in trials} == {"2"}
    widths = sorted(each.data.tags["lr_study.fused"].split(" lane")[0] for each in trials)
    assert widths == ["1"] + ["2"] * 6
    alive = table[table["diverged"] == 0]
    assert (alive["passes"] == alive["steps"]).all()
    assert set(table["status"]) <= {"stopped", "finished", "diverged"}
