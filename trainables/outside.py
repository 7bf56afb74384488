"""Components from outside this project, by the name a study file gives them.

`package.module:Name` is imported; `./my_task.py:Name` is a file, read and run once per process.
"""

import sys
from hashlib import blake2b
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isabstract, isclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from trainables.refusal import Refusal, unknown

T = TypeVar("T")

_SPELLED: dict[str, str] = {}
"""The path as it was written, by the name of the module that was made of it."""


def is_outside(name: object) -> bool:
    """Whether the name is of the form `place:Name`."""
    return isinstance(name, str) and ":" in name


def spelled(member: type) -> str:
    """The name under which `imported` finds the class again."""
    return f"{_SPELLED.get(member.__module__, member.__module__)}:{member.__qualname__}"


def imported(family: type[T], name: str) -> type[T]:
    """The class of that name, which must be a member of the family; or a refusal that says what is missing."""
    place, _, wanted = name.rpartition(":")
    module = _file(place, name) if place.endswith(".py") else _module(place, name)
    found = getattr(module, wanted, None)
    if found is None:
        own = [key for key, value in vars(module).items() if isclass(value) and value.__module__ == module.__name__]
        raise unknown(f"{family.__name__.lower()} in {place}:", wanted, own)
    return _checked(family, name, found)


def _checked(family: type[T], name: str, found: Any) -> type[T]:
    what = family.__name__
    if not (isclass(found) and issubclass(found, family)):
        raise Refusal(f"{name} is no {what.lower()}: it must inherit {family.__module__}.{what}")
    if isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise Refusal(f"{name} is no {what.lower()} yet: it does not have {missing}")
    parameters = vars(found).get("__dataclass_params__")  # its own: an inherited one has not seen its fields
    if parameters is None or not parameters.frozen:
        raise Refusal(f"{name} must be a frozen dataclass: write @dataclass(frozen=True) above it")
    return found


def _module(place: str, name: str) -> ModuleType:
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            hint = "install it, put its folder on PYTHONPATH, or name its file, as in ./my_task.py:Name"
            raise Refusal(f"{name}: there is no module {error.name!r}: {hint}") from error
        raise _broken(name, error) from error
    except Exception as error:  # whatever other people's code raises
        raise _broken(name, error) from error


def _file(place: str, name: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    # Both the place and its spelling: `spelled` must give back what was written.
    module_name = f"{path.stem}_{blake2b(f'{path}:{place}'.encode(), digest_size=8).hexdigest()}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = spec_from_file_location(module_name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise Refusal(f"{name}: there is no file {path}")
    module = module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses and type hints look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever other people's code raises
        del sys.modules[module_name]
        raise _broken(name, error) from error
    _SPELLED[module_name] = place
    return module


def _broken(name: str, error: Exception) -> Refusal:
    reason = (str(error).splitlines() or [""])[0]
    return Refusal(f"{name} cannot be loaded: {type(error).__name__}: {reason}")
