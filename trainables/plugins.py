"""Components from outside this project, by the name a study file gives them.

`package.module:Name` is imported; `./my_task.py:Name` is a file, read and run once per process. Its path counts from
the study file's folder, elsewhere from the working directory. A worker may run in another folder or on another
machine, so what travels to it is the text that the driver has read: all trials of a study run the same code, and it
need lie nowhere but beside the study.

To import is to run, so a name is imported only where it is `Trusted`: a user gave it, in a study file to be run or on
a command line. The same text out of a table or a store is refused: reading runs no code.
"""

import sys
import sysconfig
import traceback
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isabstract, isclass, isfunction, signature
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from trainables.refusal import Refusal, first_line, unknown

T = TypeVar("T")


class Trusted(str):
    """A name that a user gave, as it was written, which knows the folder that its path counts from."""

    folder: Path


class File(NamedTuple):
    """A file of other people's, as it travels to a worker."""

    place: str  # its path as it was written
    path: str  # where it lay when it was read
    text: str


_LOADED: dict[str, tuple[File, Path]] = {}
"""The files that were read and run, and the folder that its path counts from, by the name of the module made of it."""
_SHIPPED: dict[str, File] = {}
"""The files that came from the driver, by the path as it was written."""


def is_outside(name: object) -> bool:
    """Tell whether the name is of the form `place:Name`."""
    return isinstance(name, str) and ":" in name


def trusted(value: Any, folder: Path = Path()) -> Any:
    """Mark a value as the user's word, so that the code which it may name is imported.

    Args:
        value: of any kind; only a text of the form `place:Name` is marked.
        folder: where the path of a file counts from; the working directory if none is named.

    Returns:
        The same value, equal to what it was.

    >>> name = trusted("./my_task.py:Mine", Path("/somewhere"))
    >>> name == "./my_task.py:Mine", name.folder.name, trusted(0.1)
    (True, 'somewhere', 0.1)
    """
    if not is_outside(value) or isinstance(value, Trusted):
        return value
    name = Trusted(value)
    name.folder = folder.resolve()
    return name


def untrusted(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The same values as plain texts and numbers, which a checkpoint may hold; nobody's word comes out of a file."""
    return {key: str(value) if isinstance(value, Trusted) else value for key, value in flat.items()}


def word_of(family: type) -> str:
    """The word for a member of a family: the one that the family gives, else its own name in lower case."""
    return getattr(family, "word", "") or family.__name__.lower()


def spelled(member: type) -> Trusted:
    """The name under which `imported` finds the class again; trusted, for its code has run here already."""
    file, folder = _LOADED.get(member.__module__, (None, Path()))
    return trusted(f"{file.place if file else member.__module__}:{member.__qualname__}", folder)


def file_of(member: type) -> File | None:
    """The file that the class came from; None where it came from an importable module."""
    return _LOADED[member.__module__][0] if member.__module__ in _LOADED else None


def receive(files: Iterable[File]) -> None:
    """Take the text of these files from here on, not from the paths that name them."""
    _SHIPPED.update({file.place: file for file in files})


def imported(family: type[T], name: str) -> type[T]:
    """Import the class of that name, running its module.

    Args:
        family: the abstract class that it must be a final member of.
        name: `place:Name`, trusted.

    Returns:
        The class.

    Raises:
        Refusal: where the name is not trusted; else in one line, with what is missing of such a class.
    """
    if not isinstance(name, Trusted):
        raise Refusal(
            f"{name[:80]!r} names other people's code, which is not run on the word of a record: name it in a study "
            "file that you run, or on the command line"
        )
    place, _, wanted = name.rpartition(":")
    module = _file(place, name, name.folder) if place.endswith(".py") else _module(place, name)
    found = getattr(module, wanted, None)
    if found is None:
        own = [key for key, value in vars(module).items() if isclass(value) and _is_of(value, module)]
        raise unknown(f"{word_of(family)} in {place}:", wanted, own)
    return _checked(family, name, _adopted(family, found, module))


def _is_of(value: type, module: ModuleType) -> bool:
    """True for a class that was written in a module, or below it."""
    return f"{value.__module__}.".startswith(f"{module.__name__}.")


def _adopted(family: type, found: Any, module: ModuleType) -> Any:
    """The member that a family makes of a class from outside, where it takes such; else what was found."""
    adopts = getattr(family, "adopted", None)
    if adopts is None or not isclass(found) or issubclass(found, family):
        return found
    return adopts(found, module.__name__) or found


def _checked(family: type[T], name: str, found: Any) -> type[T]:
    what = word_of(family)
    if not (isclass(found) and issubclass(found, family)):
        wanted = getattr(family, "inherit", "") or f"{family.__module__}.{family.__name__}"
        raise Refusal(f"{name} is no {what}: it must inherit {wanted}")
    if isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise Refusal(f"{name} is no {what} yet: it does not have {missing}")
    parameters = vars(found).get("__dataclass_params__")  # its own: an inherited one has not seen its fields
    if parameters is None or not parameters.frozen:
        raise Refusal(f"{name} must be a frozen dataclass: write @dataclass(frozen=True) above it")
    for base in found.__mro__[1:]:
        if issubclass(base, family) and base.__module__.startswith(f"{__package__}."):
            for method in (name for name in dir(base) if not name.startswith("_")):
                _check_call(name, method, getattr(base, method), getattr(found, method))
    return found


def _check_call(name: str, method: str, asked: Any, written: Any) -> None:
    """Refuses a method that cannot be called as its family calls it."""
    if not (isfunction(asked) and isfunction(written)):
        return
    try:
        signature(written).bind(*signature(asked).parameters)
    except TypeError:
        want, got = (f"{method}({', '.join(signature(each).parameters)})" for each in (asked, written))
        raise Refusal(f"{name}: write {want} where it has {got}") from None


def _module(place: str, name: str) -> ModuleType:
    if place.startswith((".", "/", "~")):
        raise Refusal(f"{name}: {place} is no module: a file is named with its ending, as in ./my_task.py:Name")
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            hint = "install it, put its folder on PYTHONPATH, or name its file, as in ./my_task.py:Name"
            raise Refusal(f"{name}: there is no module {error.name!r}: {hint}") from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # whatever other people's code raises
        raise _broken(name, error) from error


def _file(place: str, name: str, folder: Path) -> ModuleType:
    shipped = _SHIPPED.get(place)
    path = Path(shipped.path) if shipped else (folder / Path(place).expanduser()).resolve()
    # Both the place and its spelling: `spelled` must give back what was written.
    module_name = f"{path.stem}_{blake2b(f'{path}:{place}'.encode(), digest_size=8).hexdigest()}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    file = shipped or File(place, str(path), _text(path, name))
    spec = spec_from_file_location(module_name, file.path)
    if spec is None:
        raise Refusal(f"{name}: {path} is no Python file")
    module = module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses and type hints look their module up
    _LOADED[module_name] = file, folder
    try:
        exec(compile(file.text, file.path, "exec"), vars(module))  # noqa: S102 — what an import does with a file
    except (Exception, SystemExit) as error:  # whatever other people's code raises
        del sys.modules[module_name], _LOADED[module_name]
        raise _broken(name, error) from error
    return module


def _text(path: Path, name: str) -> str:
    if not path.is_file():
        raise Refusal(f"{name}: there is no file {path}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{name} cannot be loaded: {type(error).__name__}: {first_line(error)}") from error


def _broken(name: str, error: BaseException) -> Refusal:
    place = f" ({told})" if (told := place_of(error)) else ""
    return Refusal(f"{name} cannot be loaded: {type(error).__name__}: {first_line(error)}{place}")


def place_of(error: BaseException) -> str:
    """The last line of the user's own code in a traceback, else the last of all; empty where it is in none.

    Args:
        error: that was raised.

    Returns:
        The name of the file and the line.
    """
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith("<")]
    here = tuple(f"{Path(__file__).parents[1] / name}/" for name in ("trainables", "study"))
    theirs = (*here, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))
    own = [one for one in frames if not one.filename.startswith(theirs)]
    rest = [one for one in frames if one.filename != __file__]  # else it was not found, or is no Python
    last = next(iter((own or rest)[-1:]), None)
    return f"{Path(last.filename).name}, line {last.lineno}" if last else ""
