"""The distribution: what pip users and people in a checkout install is the same, and runs."""

import ensurepip
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_extras_are_the_groups_of_the_same_names():
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    assert set(extras) == {"packaged", "metrics", "huggingface", "lightning", "accelerate", "cluster", "server"}
    assert extras == {name: groups[name] for name in extras}


def done(*words, cwd, env=None):
    """The output of a command that ended well."""
    ended = subprocess.run(list(map(str, words)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def installed(tmp_path):
    """A fresh environment with our wheel, by pip; what it depends on is that of this one, so nothing is downloaded."""
    done(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("lr_study-*.whl")
    done(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh", cwd=tmp_path)
    binaries = tmp_path / "fresh" / "bin"
    (pip,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")  # which runs as it is
    done(binaries / "python", pip / "pip", "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=tmp_path)
    (packages,) = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    (packages / "what_it_depends_on.pth").write_text(sysconfig.get_path("purelib"))
    return binaries


@pytest.mark.ray
@pytest.mark.usefixtures("one_slot")
@pytest.mark.timeout(300)
def test_the_wheel_runs_the_quickstart_and_its_page_tells_a_scheme_from_the_baseline(installed, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    where = done(installed / "python", "-c", "import study, trainables; print(study.__file__)", cwd=empty, env=env)
    assert where.startswith(str(tmp_path))
    said = done(installed / "lr-study", "run", "quickstart", cwd=empty, env=env)
    assert "On digits_mlp, curvature reaches the target of 0.96 accuracy for 0." in said
    page = (empty / ".lr-study" / "reports" / "quickstart" / "report.html").read_text(encoding="utf-8")
    assert "an example whose arms and trials were chosen" in page
