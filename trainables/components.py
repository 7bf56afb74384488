"""Components: frozen dataclasses whose fields are hyper-parameters, found by name and written flat.

A *family* is an abstract class (`Direction`, `Scheme`, `Task`, …); its members are the final classes in the
folder where it is defined, found by importing that folder: a new member is a new file and nothing else.
Other people's are named by where they are, `package.module:Name` or `./my_task.py:Name`, and found where a user gave
the name (trainables/plugins.py).
"""

import math
import pkgutil
from abc import ABC
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields, replace
from functools import cache
from importlib import import_module
from inspect import isabstract
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, get_type_hints

from trainables.plugins import File, file_of, imported, is_outside, spelled, word_of
from trainables.refusal import Refusal, unknown
from trainables.space import Domain, Limits, Value
from trainables.values import converted


class Component(ABC):
    """A frozen dataclass that can be written as a flat mapping and read from one."""

    elsewhere: ClassVar[tuple[str, ...]] = ()  # of a family: modules outside of its folder that hold members too
    word: ClassVar[str] = ""  # of a family: what one of its members is called, where that is not the family's name
    inherit: ClassVar[str] = ""  # of a family: what other people's members inherit, where that is not the family

    @classmethod
    def implied(cls, given: Collection[str]) -> str | None:
        """Of a family: the name of the member that is meant where none is named; None where that is the default.

        Args:
            given: the keys of the fields that are given of it, without what is in front of all of them.
        """
        return None

    def flat(self) -> dict[str, Value]:
        """Every field under a dotted key; a field that is a component by its name, its own fields below it."""
        return _flat(self, "")

    @classmethod
    def parse(cls, flat: Mapping[str, Any]) -> Self:
        """The component that `flat` describes; absent keys take their defaults, unknown ones are refused."""
        known = slots(cls, flat)
        for key in flat:
            if key not in known:
                raise unknown("key", key, known)
        return _build(cls, {key: slot.checked(flat[key]) for key, slot in known.items() if key in flat}, "")

    def check(self) -> None:  # noqa: B027 — most components have nothing to refuse
        """Refuses fields that are each allowed but do not go together; called when a component is read."""


F = TypeVar("F", bound=Component)


class Slot(NamedTuple):
    """One hyper-parameter: its dotted key and what may stand there."""

    key: str
    annotation: Any
    default: Any
    domain: Domain | None
    valid: Limits | None

    @property
    def family(self) -> type[Component] | None:
        """The family whose members may stand here, where the field is a component."""
        return self.annotation if _is_family(self.annotation) else None

    def checked(self, value: Any) -> Any:
        """The value in the type of its field, or a refusal that names key and value."""
        if self.family:
            find(self.family, value)
            return value
        typed = converted(self.key, self.annotation, value)
        number = isinstance(typed, (int, float)) and not isinstance(typed, bool)
        if number and math.isnan(typed):
            raise Refusal(f"{self.key} must be a number, got {value!r}")
        if number and self.valid and not self.valid.low <= typed <= self.valid.high:
            raise Refusal(f"{self.key} must lie in [{self.valid.low:g}, {self.valid.high:g}], got {value!r}")
        if number and self.domain and math.isinf(typed):
            raise Refusal(f"{self.key} must be finite, got {value!r}")
        return typed


@cache
def members(family: type[F]) -> dict[str, type[F]]:
    """The final classes of a family by name, from every module in the folder where it is defined."""
    package = import_module(family.__module__)
    for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
        import_module(f"{package.__name__}.{module.name}")
    for module in family.elsewhere:
        import_module(module)
    places = (package.__name__, *family.elsewhere)
    found = {name_of(member): member for member in _final(family, places)}
    return dict(sorted(found.items()))


def _final(family: type[F], places: tuple[str, ...]) -> list[type[F]]:
    inside = [child for child in family.__subclasses__() if child.__module__.startswith(places)]
    below = [member for child in inside for member in _final(child, places)]
    return below if isabstract(family) or below else [family]


def name_of(member: type[Component]) -> str:
    """The name users type: the module's where the class is named after it, else the class's in lower case.

    A class from outside this project is named by its place, as in `package.module:Name`.
    """
    if not member.__module__.startswith(f"{__package__}."):
        return spelled(member)
    module = member.__module__.rpartition(".")[2]
    lower = member.__name__.lower()
    return module if module.replace("_", "") == lower else lower


def find(family: type[F], name: object) -> type[F]:
    """Find a member by name.

    Args:
        family: the abstract class, such as Scheme
        name: of a file or class in the family's folder, or the place of one's own, as in `./my_task.py:Name`

    Returns:
        The class.

    Raises:
        Refusal: there is none; the nearest name is offered.
    """
    if isinstance(name, str) and is_outside(name):
        return imported(family, name)
    known = members(family)
    if not isinstance(name, str):
        remedy = "give each an arm of its own" if isinstance(name, (list, tuple)) else f"one of {', '.join(known)}"
        raise Refusal(f"{word_of(family)} takes one name, got {name!r}: {remedy}")
    if name not in known:
        raise unknown(word_of(family), name, known)
    return known[name]  # type: ignore[return-value]  — pyright loses F through the cache


def slots(cls: type[Component], chosen: Mapping[str, Any], prefix: str = "") -> dict[str, Slot]:
    """Every hyper-parameter of `cls` by dotted key, in the order of its fields.

    Args:
        cls: the component
        chosen: says which member stands where (`{"direction": "adam"}`), hence which keys lie below it
        prefix: of every key

    Returns:
        One slot a key, with its default, its domain and what is valid.

    Raises:
        Refusal: for a member that is not there
    """
    found: dict[str, Slot] = {}
    hints = _hints(cls)
    for entry in fields(cls):  # type: ignore[arg-type]  — every component is a dataclass
        key, family, default = prefix + entry.name, hints[entry.name], _default(entry)
        if not _is_family(family):
            meta = entry.metadata
            found[key] = Slot(key, family, default, meta.get("domain"), meta.get("valid"))
            continue
        below = "" if entry.metadata.get("inline") else f"{key}."
        name = _named(family, key, below, chosen, default)
        found[key] = Slot(key, family, name, None, None)
        if name is not MISSING:
            given = _given(default, name, below, chosen)
            inner = slots(find(family, name), {**given, **chosen}, below)
            given_slots = {key: slot._replace(default=given.get(key, slot.default)) for key, slot in inner.items()}
            kept = [below + name for name in entry.metadata.get("kept", ())]  # searched elsewhere, not in this field
            found |= {key: slot._replace(domain=None) if key in kept else slot for key, slot in given_slots.items()}
    return found


def _named(family: type[Component], key: str, below: str, chosen: Mapping[str, Any], default: Any) -> Any:
    """The name of the member that stands in a field: as it is chosen, as the keys below it imply, or by default."""
    implied = family.implied([given.removeprefix(below) for given in chosen if given.startswith(below)])
    return chosen.get(key, implied or (MISSING if default is MISSING else name_of(type(default))))


def _given(default: Any, name: object, prefix: str, chosen: Mapping[str, Any]) -> dict[str, Value]:
    """The values that a field's default gives below its key, except below names chosen otherwise."""
    if not isinstance(default, Component) or name != name_of(type(default)):
        return {}
    given = _flat(default, prefix)
    replaced = tuple(f"{key}." for key, value in given.items() if chosen.get(key, value) != value)
    return {key: value for key, value in given.items() if not key.startswith(replaced)}


@cache
def _hints(cls: type[Component]) -> dict[str, Any]:
    """The types of a component's fields; to read them from its source's words takes a while."""
    return get_type_hints(cls)


def _default(entry: Any) -> Any:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _is_family(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Component)


def _flat(component: Component, prefix: str) -> dict[str, Value]:
    written: dict[str, Value] = {}
    for entry in fields(component):  # type: ignore[arg-type]
        value, key = getattr(component, entry.name), prefix + entry.name
        if isinstance(value, Component):
            below = "" if entry.metadata.get("inline") else f"{key}."
            written |= {key: name_of(type(value)), **_flat(value, below)}
        else:
            written[key] = value
    return written


def _build(cls: type[F], flat: Mapping[str, Any], prefix: str) -> F:
    arguments: dict[str, Any] = {}
    hints = _hints(cls)
    for entry in fields(cls):  # type: ignore[arg-type]
        key, family, default = prefix + entry.name, hints[entry.name], _default(entry)
        if _is_family(family):
            below = "" if entry.metadata.get("inline") else f"{key}."
            name = _named(family, key, below, flat, default)
            if name is MISSING:
                raise Refusal(f"{key} is missing: one of {', '.join(members(family))}")
            arguments[entry.name] = _build(find(family, name), {**_given(default, name, below, flat), **flat}, below)
        elif key in flat:
            arguments[entry.name] = flat[key]
        elif default is MISSING:
            raise Refusal(f"{key} is missing")
    component = cls(**arguments)
    component.check()
    return component


def check_values(component: Component, prefix: str = "") -> None:
    """Refuse a component, built by hand, that no study file could have described.

    Args:
        component: its fields and those of the components in it are checked, and how they go together
        prefix: of the keys in the refusals
    """
    hints = _hints(type(component))
    for entry in fields(component):  # type: ignore[arg-type]
        key, value, hint = prefix + entry.name, getattr(component, entry.name), hints[entry.name]
        if not _is_family(hint):
            Slot(key, hint, None, None, entry.metadata.get("valid")).checked(value)
        elif isinstance(value, hint):
            check_values(value, "" if entry.metadata.get("inline") else f"{key}.")
        else:
            raise Refusal(f"{key} must be a {hint.__name__}, got {value!r}")
    component.check()


def files_of(component: Component) -> set[File]:
    """The files from outside this project that the component and those inside it came from."""
    inner = (getattr(component, entry.name) for entry in fields(component))  # type: ignore[arg-type]
    below = {file for value in inner if isinstance(value, Component) for file in files_of(value)}
    own = file_of(type(component))
    return {own, *below} if own else below


def floats(component: Component) -> dict[str, float]:
    """The hyper-parameters that are real numbers, by dotted key."""
    return {key: value for key, value in component.flat().items() if isinstance(value, float)}


def with_floats(component: F, values: Mapping[str, Any], prefix: str = "") -> F:
    """The same component with other real numbers, tensors for instance: what `vmap` and `compile` need.

    Args:
        component: whose numbers are replaced, inside of its members too
        values: by dotted key; what is not among them stays
        prefix: of every key of this component
    """
    changed: dict[str, Any] = {}
    for entry in fields(component):  # type: ignore[arg-type]
        value, key = getattr(component, entry.name), prefix + entry.name
        if isinstance(value, Component):
            changed[entry.name] = with_floats(value, values, "" if entry.metadata.get("inline") else f"{key}.")
        elif key in values:
            changed[entry.name] = values[key]
    return replace(component, **changed)  # type: ignore[type-var]
