"""The reconciler, on a real Ray: a study killed anywhere ends with the same table, whoever owns the loops in it."""

import contextlib
import inspect
import random
import time

import loops
import pandas as pd
import psutil
import pytest
import ray
from mlflow import MlflowClient
from napping import TASK

import study
from study import tracking
from study.execution.lone_ray import lone
from trainables.schemes.control import pieces

TEXT = """
question: Does it survive?
common: {batch_size: 4, epochs: 25, trials: 4}
arms:
  random: {BOWL, searcher: random, seeds: 2}
  tpe: {BOWL, searcher: tpe, direction: momentum, scheme.schedule: cosine, start: [{scheme.lr: 0.05}]}
  adam: {BOWL, searcher: tpe, parallel: 2, direction: adam, scheme: plateau, scheme.lr: {log_normal: [0.01, 1]}}
  control: {control_of: cprop}
  cprop: {BOWL, scheme: cprop, seeds: 2, trials: 2}
  loop: {task: "./loops.py:Plain", searcher: tpe, scheme.schedule: cosine}
  stopped: {BOWL, searcher: tpe, parallel: 3, stopper: asha, stopper.reduction: 2, trials: 6}
  fused: {BOWL, fuse: 2, parallel: 2, searcher: tpe, scheme: plateau, stopper: asha, stopper.reduction: 2, trials: 7}
""".replace("BOWL", 'task: "./my_task.py:Bowl", task.dim: 50, task.num_examples: 64')
NUM_TRIALS = 41
ARMS = "random", "tpe", "adam", "control", "cprop", "loop", "stopped", "fused"
WALL_CLOCK = ["run_id", "seconds"]
LONG = {  # two trials at once on any machine, of several seconds each, and never much to lose
    "RAY_OVERRIDE_RESOURCES": '{"CPU": 2}',
    "NAP": "0.01",
    "LR_STUDY_CHECKPOINT_SECONDS": "0.2",
}

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def in_two_parts(tmp_path_factory):
    """The tables of a part of the study, and of the whole: on one slot, where those that are killed have two.

    Also the arms whose searches were finished after the part.
    """
    folder = tmp_path_factory.mktemp("undisturbed")
    write_study(folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    with lone(forward_logs=False):
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    assert study.run(str(folder / "survival.yaml"), tracking_uri=uri, storage=folder, arms=["contr*"])
    part, finished = study.read("survival", tracking_uri=uri), finished_searches(folder)
    assert study.run(str(folder / "survival.yaml"), tracking_uri=uri, storage=folder)
    ray.shutdown()  # its idle workers would share the machine with the drivers that are killed
    return part, study.read("survival", tracking_uri=uri), finished


@pytest.fixture(scope="module")
def undisturbed(in_two_parts):
    """The table of the study, left alone."""
    return in_two_parts[1]


def finished_searches(folder):
    """The arms whose search MLflow shows as finished."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("survival")
    searches = client.search_runs([experiment.experiment_id], "tags.`lr_study.kind` = 'search'")
    return {run.data.tags["lr_study.arm"] for run in searches if run.info.status == "FINISHED"}


def write_study(folder):
    (folder / "survival.yaml").write_text(TEXT)
    (folder / "my_task.py").write_text(TASK)
    (folder / "loops.py").write_text(inspect.getsource(loops))


def same_table(left, right):
    pd.testing.assert_frame_equal(left.drop(columns=WALL_CLOCK), right.drop(columns=WALL_CLOCK), check_exact=True)


def check_record(folder):
    """Every trial once, nothing running, no checkpoint and nothing of Tune left."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("survival")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    trials = [run for run in runs if run.data.tags["lr_study.kind"] == "trial"]
    assert len({run.data.tags["lr_study.key"] for run in trials}) == len(trials) == NUM_TRIALS
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not list(folder.glob(".lr-study/checkpoints/**/*.p*t"))
    assert not list(folder.glob(".lr-study/tune/*"))
    check_prices(folder)


def test_all_epochs_are_there_without_gap(undisturbed):
    for _, trial in undisturbed.groupby(["arm", "repetition", "k", "seed_number"]):
        assert trial["record"].tolist() == list(range(1, len(trial) + 1))
        assert trial["diverged"].iloc[-1] or (trial["epoch"].iloc[-1] == 25) == (trial["status"].iloc[-1] != "stopped")
    assert len(undisturbed.groupby(["arm", "repetition", "k", "seed_number"])) == NUM_TRIALS


def test_some_arms_are_run_alone_with_those_that_they_follow(in_two_parts):
    part, whole, finished = in_two_parts
    assert finished == {"control", "cprop"}
    chosen = whole[whole["arm"].isin(["control", "cprop"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, chosen[part.columns], check_exact=True, check_dtype=False)


@pytest.mark.parametrize("arm", ["stopped", "fused"])
def test_some_trials_of_an_arm_with_a_stopper_end_early(arm, undisturbed):
    assert set(undisturbed.loc[undisturbed["arm"] == arm, "status"]) >= {"stopped", "finished"}


def test_a_control_runs_at_the_rate_times_the_mean_scale_of_its_source(undisturbed):
    for k in range(2):
        source, control = (of.xs(k, level="k") for of in (by_key(undisturbed, "cprop"), by_key(undisturbed, "control")))
        alive = source[source["diverged"] == 0]
        (curve,) = control["scheme.scales"].unique()
        assert control["scheme.lr"].iloc[0] == source["scheme.lr"].iloc[0]
        first = alive[alive["record"] == 1]["mean_scale"].mean()
        assert pieces(curve)[0].scale == pytest.approx(first, rel=1e-5)
        if not source["diverged"].any():
            spent = sum(piece.scale for piece in pieces(curve)) / 25
            assert spent == pytest.approx(alive[alive["record"] == 25]["mean_scale"].mean(), rel=1e-5)


def test_every_lane_of_a_group_is_a_trial_of_its_own(undisturbed, tmp_path_factory):
    lanes = undisturbed[undisturbed["arm"] == "fused"]
    alive = lanes[lanes["diverged"] == 0]
    assert (alive["passes"] == alive["steps"]).all()
    assert lanes.groupby("k")["run_id"].nunique().tolist() == [1] * 7
    assert lanes["run_id"].nunique() == 7
    told = fused_tags(next(path for path in tmp_path_factory.getbasetemp().glob("undisturbed*")))
    assert told == {**dict.fromkeys(range(6), "2 lanes"), 6: "1 lanes"}


def test_the_step_of_every_arm_is_priced_once(undisturbed, tmp_path_factory):
    check_prices(next(path for path in tmp_path_factory.getbasetemp().glob("undisturbed*")))


def check_prices(folder):
    """One price an arm, on this kind of device; none of a loop that is its own."""
    prices = tracking.about("survival", f"sqlite:///{folder}/mlflow.db").prices
    assert {arm: [price.why for price in told] for arm, told in prices.items()} == {
        arm: ["its loop is its own" if arm == "loop" else ""] for arm in ARMS
    }
    assert all(price.steps == 20 and price.gradients > 0.5 for arm in {*ARMS} - {"loop"} for price in prices[arm])


def fused_tags(folder):
    """The number of lanes that each trial of the fused arm says it was trained in, by k."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("survival")
    runs = client.search_runs([experiment.experiment_id], "params.fuse = '2'", max_results=1000)
    tags = [run.data.tags for run in runs if run.data.tags["lr_study.kind"] == "trial"]
    return {int(each["lr_study.key"].split("/")[3]): each["lr_study.fused"].partition(";")[0] for each in tags}


def by_key(table, arm):
    return table[table["arm"] == arm].set_index(["k", "seed_number"])


def workers_of(driver):
    """Processes of the driver's Ray that train."""
    try:
        below = psutil.Process(driver.pid).children(recursive=True)
        return [process for process in below if process.name().startswith("ray::Train")]
    except psutil.Error:
        return []


def kill_a_worker(driver, chance):
    """SIGKILL one training process at a random moment, if the driver lives that long."""
    deadline = time.monotonic() + 60
    while driver.poll() is None and time.monotonic() < deadline:
        found = workers_of(driver)
        if found:
            time.sleep(chance.uniform(0, 2))
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself
                chance.choice(found).kill()
                return 1
        time.sleep(0.2)
    return 0


def end(driver):
    """SIGKILL a driver and see its Ray off: the next one must not share the machine with it."""
    below = psutil.Process(driver.pid).children(recursive=True) if driver.poll() is None else []
    driver.kill()
    driver.communicate()
    _, alive = psutil.wait_procs(below, timeout=3)
    for process in alive:
        process.kill()


def test_killed_at_ten_random_moments_it_ends_with_the_same_table(undisturbed, tmp_path, lr_study_process):
    write_study(tmp_path)
    chance = random.Random(0)
    kills = 0
    while kills < 10:  # the first driver wherever it is, even if nothing trains yet; then two workers and a driver each
        driver = lr_study_process("run", "survival.yaml", env=LONG)
        workers = sum(kill_a_worker(driver, chance) for _ in range(2)) if kills else 0
        time.sleep(chance.uniform(0, 4 if workers else 12))
        kills += workers + (driver.poll() is None)
        assert driver.poll() is None, f"the study was over after {kills} kills: it must be longer"
        end(driver)
    driver = lr_study_process("run", "survival.yaml")
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 0, err
    assert "Traceback" not in err
    same_table(undisturbed, study.read("survival", tracking_uri=f"sqlite:///{tmp_path}/mlflow.db"))
    check_record(tmp_path)
    assert "random" in out


def test_run_again_a_complete_study_does_nothing(undisturbed, tmp_path_factory, lr_study):
    """The record is complete, so no Ray is started: the same table in a few seconds."""
    folder = next(path for path in tmp_path_factory.getbasetemp().glob("undisturbed*"))
    uri = f"sqlite:///{folder}/mlflow.db"
    done = lr_study("run", folder / "survival.yaml", "--tracking-uri", uri)
    assert done.returncode == 0, done.stderr
    assert "trials" not in done.stderr
    assert not ray.is_initialized()
    same_table(undisturbed, study.read("survival", tracking_uri=uri))
