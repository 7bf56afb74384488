"""Pages that stand already: the same record, options and program make the same page, which is not made again.

Beside a page lies a file with its key, the digest of each of its files, and what it says first. A page of which one
file is gone or was changed is made again.
"""

import hashlib
import io
import json
import pickle
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import trainables
from study.answers.asked import ReportOptions
from study.records.material import Material

FILE = ".made.json"
PACKAGES = Path(__file__).parents[1], Path(trainables.__file__).parent
SOURCES = {".py", ".jinja", ".css", ".js", ".yaml"}
LIBRARIES = "jinja2", "numpy", "optuna", "pandas", "scipy", "vl-convert-python"
"""Those whose versions may change a byte of a page."""

BESIDE = {"file", "storage"}  # of a material: the first is read from its text, the second is on no page


class Said(NamedTuple):
    """The answer in sentences."""

    over_tasks: list[str]  # one for the study, where it has several tasks
    sentences: list[str]  # one a task
    known: list[str]  # what knowing the rate changes
    advice: list[str]  # what to do, a sentence a task where something follows


class Written(NamedTuple):
    """The page that was written, what it says first, and the numbers of every arm."""

    path: Path
    files: list[Path]  # all of them, the page among them
    said: Said
    metrics: dict[str, dict[str, float]]
    unchanged: bool = False  # true where it stood there already

    @property
    def sentences(self) -> list[str]:
        """The answer, a sentence a task."""
        return self.said.sentences


def folder_of(storage: Path, study: str) -> Path:
    """The folder of a study's page by default: inside `storage`, whatever the study is called.

    Args:
        storage: the folder of all that a study keeps.
        study: its name; what no folder can be called is quoted.

    >>> folder_of(Path("here"), "../x"), folder_of(Path("here"), "..")
    (PosixPath('here/reports/..%2Fx'), PosixPath('here/reports/%2E%2E'))
    """
    name = quote(study, safe="")
    return storage / "reports" / (name if name.strip(".") else name.replace(".", "%2E"))


def key_of(material: Material, asked: ReportOptions) -> str:
    """The digest of all that a page follows from: record, options, and the program with its libraries.

    Args:
        material: the record, and what is known beside it.
        asked: against whom, to which target, in which unit.
    """
    parts = {name: value for name, value in vars(material).items() if name not in BESIDE}
    text = material.file.model_dump_json() if material.file else ""  # pickled, a set in it has another order each time
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.fast = True  # equal strings are written alike, whether or not they are one object
    pickler.dump((parts, text, asked))
    return hashlib.sha256(buffer.getvalue() + _program()).hexdigest()


def find(folder: Path, key: str) -> Written | None:
    """The page in a folder, where it has this key and all its files are as they were written; else None.

    Args:
        folder: of the page.
        key: from `key_of`.
    """
    try:
        made = json.loads((folder / FILE).read_text(encoding="utf-8"))
        whole = made["key"] == key and all(_digest(folder / name) == there for name, there in made["files"].items())
        files = [folder / name for name in made["files"]]
        return Written(folder / "report.html", files, Said(**made["said"]), made["metrics"], True) if whole else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, or of another version of this program
        return None


def keep(folder: Path, key: str, written: Written) -> None:
    """Write down what a page was made of.

    Args:
        folder: of the page.
        key: from `key_of`.
        written: its files, as they are there.
    """
    files = {file.relative_to(folder).as_posix(): _digest(file) for file in written.files}
    _replace(folder, {"key": key, "files": files, "said": written.said._asdict(), "metrics": written.metrics})


def is_published(folder: Path, place: str) -> bool:
    """True where the page in a folder has been written into the store of that name as it is.

    Args:
        folder: of a page that `find` has found.
        place: the store's.
    """
    return json.loads((folder / FILE).read_text(encoding="utf-8")).get("published") == place


def publish(folder: Path, place: str) -> None:
    """Write down that the page in a folder has been written into a store.

    Args:
        folder: of the page.
        place: the store's name, without a password.
    """
    _replace(folder, json.loads((folder / FILE).read_text(encoding="utf-8")) | {"published": place})


def replace(file: Path, text: str) -> None:
    """Write a file, whole or not at all: whoever reads it meanwhile reads the one before.

    Args:
        file: in a folder that is there.
        text: its contents.
    """
    fresh = file.with_name(f".{file.name}.part")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


def _replace(folder: Path, told: dict) -> None:
    replace(folder / FILE, json.dumps(told))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@cache
def _program() -> bytes:
    """The digest of this program's files and its libraries' versions."""
    digest = hashlib.sha256(json.dumps({name: version(name) for name in LIBRARIES}).encode())
    for package in PACKAGES:
        for file in sorted(each for each in package.rglob("*") if each.suffix in SOURCES):
            digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.digest()
