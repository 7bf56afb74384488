"""The files of cluster/: what the schemas of their readers refuse, or names what does not exist, fails here."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml
from conftest import ROOT

CLUSTER = ROOT / "cluster"
SCHEMA = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
README = (CLUSTER / "README.md").read_text()
LAUNCHED = [path for path in sorted(CLUSTER.glob("*.yaml")) if "provider" in yaml.safe_load(path.read_text())]


def test_there_is_something_to_validate():
    assert [path.name for path in LAUNCHED] == ["aws.yaml", "gcp.yaml", "local.yaml"]


@pytest.fixture(params=LAUNCHED, ids=lambda path: path.name)
def config(request):
    return yaml.safe_load(request.param.read_text())


def test_ray_accepts_it(config):
    jsonschema.validate(config, json.loads(SCHEMA.read_text()))


def test_a_misspelt_key_is_refused(config):
    """So that the test above can fail."""
    with pytest.raises(jsonschema.ValidationError, match="head_start_comands"):
        jsonschema.validate({**config, "head_start_comands": []}, json.loads(SCHEMA.read_text()))


def test_what_it_mounts_exists(config):
    for source in config["file_mounts"].values():
        assert source.startswith("~/") or (ROOT / source).exists(), source


def test_what_the_project_needs_is_mounted(config):
    """The packages that the wheel is made of, and what its metadata name."""
    assert {"study", "trainables", "pyproject.toml", "README.md"} <= set(config["file_mounts"].values())


def test_the_head_runs_no_trials(config):
    assert "--num-cpus=0" in " ".join(config["head_start_ray_commands"])


def test_every_node_asks_for_the_token(config):
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        for command in commands:
            assert "ray start" not in command or "RAY_AUTH_MODE=token" in command


def options_of(command):
    """The long options of a click command."""
    return {option for parameter in command.params for option in parameter.opts}


def check_options(words, command):
    for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", words):
        assert option in options_of(command), option


def ray_start():
    return import_module("ray.scripts.scripts").start


def test_options_of_ray_start_exist(config):
    for line in config["head_start_ray_commands"] + config["worker_start_ray_commands"]:
        check_options(line, ray_start())


def test_only_programs_that_a_node_has_are_called(config):
    """The environment's own, and what Debian or Ubuntu has before anything is installed."""
    every = [line for name, lines in config.items() if name.endswith("commands") for line in lines]
    calls = {re.match(r"(?:\w+=\S* )*(\S+)", part).group(1) for line in every for part in split(line)}
    assert {call for call in calls if "/" in call} == {"~/lr-study/.venv/bin/ray"}
    assert "ray" in {entry.name for entry in entry_points(group="console_scripts")}
    assert {call for call in calls if "/" not in call} <= {*SHELL, "python3", "sudo", "mountpoint", "cut", "grep"}


SHELL = {"cd", "echo", "printf", "ulimit"}


def split(line):
    """The commands of a line of shell."""
    plain = re.sub(r"'[^']*'", "quoted", line)
    return [part.strip(" ()$") for part in re.split(r"&&|\|\||[;|]|\$\(", plain) if part.strip(" ()")]


def test_all_of_them_set_a_node_up_alike(config):
    """There is no way to share lines between such files; so that a change of one is a change of all."""
    other = yaml.safe_load((CLUSTER / "local.yaml").read_text())
    assert [line for line in config["setup_commands"] if "nfs" not in line] == other["setup_commands"]
    assert config["file_mounts"] == other["file_mounts"]


# --- Kubernetes ------------------------------------------------------------------------------------------

# What KubeRay 1.7 knows, of what is used here; its CRD has 25,000 lines, and refuses nothing that these let pass.
JOB = {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "submitterConfig"}
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


@pytest.fixture
def job():
    return yaml.safe_load((CLUSTER / "ray-job.kuberay.yaml").read_text())


@pytest.fixture
def cluster(job):
    return job["spec"]["rayClusterSpec"]


def groups(cluster):
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_the_job_has_the_fields_of_kuberay(job, cluster):
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"].keys() == JOB | {"rayClusterSpec"}
    assert cluster.keys() == {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
    assert cluster["headGroupSpec"].keys() == {"rayStartParams", "template"}
    for group in cluster["workerGroupSpecs"]:
        assert group.keys() == GROUP
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_the_job_asks_for_a_token_and_its_head_runs_no_trials(cluster):
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_job_runs_ray_as_it_is_tested(cluster):
    assert cluster["rayVersion"] == ray.__version__


def test_parameters_of_ray_start_in_the_job_exist(cluster):
    for group in groups(cluster):
        assert {f"--{name}" for name in group["rayStartParams"]} <= options_of(ray_start())
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_the_entrypoint_is_a_command_of_ours(job):
    from study.commands.run import run

    words = job["spec"]["entrypoint"]
    assert words.startswith("lr-study run fashion ")
    check_options(words, run)


def test_every_pod_runs_as_nobody_in_particular(cluster):
    for group in groups(cluster):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= {
                volume["name"] for volume in pod["volumes"]
            }


# --- the image and the tracking server ----------------------------------------------------------------


@pytest.fixture
def image():
    return re.sub(r"\\\n\s*", "", (CLUSTER / "Dockerfile").read_text())


@pytest.fixture
def compose():
    return yaml.safe_load((CLUSTER / "compose.yaml").read_text())


def test_the_image_is_pinned_and_not_run_by_root(image):
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-\w+$", image, re.MULTILINE)
    assert re.search(r"pip install .*uv==\d+\.\d+\.\d+$", image, re.MULTILINE)
    assert re.findall(r"^USER (\S+)", image, re.MULTILINE)[-1] == "1000:1000"


def test_what_the_image_copies_exists_and_is_what_the_wheel_needs(image):
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", image, re.MULTILINE) for word in line.split()]
    assert sorted(copied) == ["README.md", "pyproject.toml", "study", "trainables"]
    assert all((ROOT / source).exists() for source in copied)


def test_dependency_groups_that_are_named_exist(image):
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    texts = [image, *(path.read_text() for path in LAUNCHED), README]
    named = {name for text in texts for name in re.findall(r"--group ([a-z]+)\b(?!-)", text)}
    assert {"packaged", "metrics", "cluster", "server"} == named
    assert named <= groups.keys()


def test_mlflow_is_started_with_options_that_it_has(compose):
    words = [*compose["services"]["mlflow"]["command"], *re.findall(r"mlflow server .*", README)[0].split()]
    line = [sys.executable, "-m", "mlflow", "server", "--help"]  # a process: MLflow warns when it is imported whole
    own = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    told = subprocess.run(line, capture_output=True, text=True, check=True, timeout=100, env=own)
    for option in {word for word in words if word.startswith("--")}:
        assert re.search(rf"{option}\b", told.stdout), option


def test_credentials_come_from_the_environment_alone(compose):
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|USERNAME|URI", name):
                assert re.search(r"\$\{\w+:\?\}", value), name


def test_only_mlflow_is_reached_from_outside_and_at_first_from_this_machine_alone(compose):
    assert "ports" not in compose["services"]["postgres"]
    assert compose["services"]["mlflow"]["ports"] == ["${LR_STUDY_ADDRESS:-127.0.0.1}:5000:5000"]


def test_images_are_pinned_and_named_without_a_host(compose, cluster):
    pods = [group["template"]["spec"]["containers"] for group in groups(cluster)]
    containers = [*compose["services"].values(), *(container for pod in pods for container in pod)]
    for container in containers:
        assert re.fullmatch(r"[a-z-]+:\d+\.\d+(\.\d+)?(-\w+)?", container["image"]), container["image"]
