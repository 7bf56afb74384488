"""The files of cluster/: what the schemas of their readers refuse, or names what does not exist, fails here."""

import json
import re
from importlib import import_module
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "cluster"
SCHEMA = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
LAUNCHED = [path for path in sorted(CLUSTER.glob("*.yaml")) if "provider" in yaml.safe_load(path.read_text())]


def test_there_is_something_to_validate():
    assert "local.yaml" in {path.name for path in LAUNCHED}


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


def test_options_of_ray_start_exist(config):
    options = {option for parameter in import_module("ray.scripts.scripts").start.params for option in parameter.opts}
    text = " ".join(config["head_start_ray_commands"] + config["worker_start_ray_commands"])
    for option in re.findall(r"(?<!\S)--[a-z-]+", text):
        assert option in options, option
