"""A new scheme is one file: the README's, dropped into a copy of the repository, passes every gate without an edit."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FILE = "trainables/schemes/my_scheme.py"
CATALOGUE = "test_spec or (test_readme and not in_the_readme)"  # what stands in the README knows no copy

GATES = {
    "lint": [BIN / "ruff", "check"],
    "format": [BIN / "ruff", "format", "--check"],
    "types": [BIN / "pyright", "--pythonpath", sys.executable, FILE, "trainables/components.py", "trainables/rules.py"],
    "layers": [BIN / "lint-imports"],
    "conformance, catalogue and README": [
        *(sys.executable, "-m", "pytest", "-n", "0", "-v", "-k", f"bold or refuses_a_direction or {CATALOGUE}"),
        *("tests/trainables/test_schemes.py", "tests/trainables/test_closure.py", "tests/trainables/test_optimizer.py"),
        *("tests/test_readme.py", "tests/plan/test_spec.py"),
    ],
    "list": [BIN / "lr-study", "list", "schemes"],
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Copy all that git tracks, and add one file."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("copy")
    for path in tracked:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_file():
            shutil.copy(ROOT / path, folder / path)
    blocks = re.findall(r"```python\n(.*?)```", "\n".join(readmes(folder)), flags=re.DOTALL)
    (scheme,) = (block for block in blocks if block.startswith("# my_scheme.py\n"))
    (folder / FILE).write_text(scheme, encoding="utf-8")
    return folder


def readmes(folder):
    """The example may stand in any of them."""
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("**/README.md"))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("gate", GATES)
def test_the_readmes_scheme_passes_every_gate_of_the_repository(copy, gate):
    env = {**os.environ, "PYTHONPATH": str(copy), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(GATES[gate], cwd=copy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if gate.startswith("conformance"):
        assert len(re.findall(r"bold.* PASSED", done.stdout)) >= 10, done.stdout  # on every direction
    if gate == "list":
        assert "bold" in done.stdout
