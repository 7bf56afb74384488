"""YAML read strictly: what stands twice, refers elsewhere or means something else than it says is refused."""

import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from trainables.refusal import Refusal

_TEXT = "tag:yaml.org,2002:str"
# YAML 1.1 reads 1e-5 and 1.5e3 as texts, because they lack a dot or a sign; nobody who writes a number means one.
_EXPONENT = re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_OCTAL = re.compile(r"^[-+]?0[0-9_]+$")  # 020 is 16 there
_SIXTIES = re.compile(r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$")  # 1:30 is 90 there


def read_plain(text: str) -> Any:
    """Read YAML that means what it says.

    Args:
        text: what stands in the file.

    Returns:
        Mappings, lists, texts, numbers, truth values, dates and None; every key of a mapping is a text.

    Raises:
        Refusal: where it is no YAML, a key stands twice or is no text, an alias refers to another place, or a number
            has YAML 1.1's octal or sexagesimal form. One line, with the line of the file where there is one.

    >>> read_plain("{lr: 1e-3, epochs: 1.5e1}")
    {'lr': 0.001, 'epochs': 15.0}
    >>> read_plain("trials: 020")
    Traceback (most recent call last):
    trainables.refusal.Refusal: line 1: 020 has a leading zero, octal in YAML: write 20, or '020' if it is a text
    """
    try:
        return yaml.load(text, Loader=_Strict)  # noqa: S506 — a SafeLoader, made stricter
    except Refusal:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # the last of a date or number that is none
        raise Refusal(f"not plain YAML: {' '.join(str(error).split()) or type(error).__name__}") from error


def write_plain(value: Any) -> str:
    """Write what `read_plain` reads back as the same, in the order in which it was given.

    >>> print(write_plain({"scheme.lr": 1e-05, "task": "./my_task.py:Ring"}), end="")
    scheme.lr: 1.0e-05
    task: ./my_task.py:Ring
    """
    return yaml.dump(_as_builtin(value), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)


def _as_builtin(value: Any) -> Any:
    """The value without classes of our own: a name that is trusted is a text."""
    if isinstance(value, dict):
        return {str(key): _as_builtin(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value


class _Strict(yaml.SafeLoader):
    """A safe loader that checks."""

    def compose_node(self, parent: Any, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):  # so that a small file cannot unfold into a large one
            raise yaml.YAMLError("aliases (*name) are not allowed")
        node = super().compose_node(parent, index)
        if isinstance(node, ScalarNode) and node.style is None:
            _refuse_two_meanings(node)
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag != _TEXT:
                raise Refusal(f"line {line}: {_named(key)} is no name; where it is meant as one, quote it")
            if key.value in first:
                first_line = first[key.value]
                raise Refusal(f"line {line}: the key {key.value!r} stands twice, first in line {first_line}; keep one")
            first[key.value] = line
        return super().construct_mapping(node, deep)


class _Plain(yaml.SafeDumper):
    """A safe dumper that quotes a text which would be read as a number, or refused as one."""


_FIRST = list("-+.0123456789")
_Strict.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, _FIRST)
for _number in (_EXPONENT, _OCTAL, _SIXTIES):
    _Plain.add_implicit_resolver("tag:yaml.org,2002:float", _number, _FIRST)


def _refuse_two_meanings(node: ScalarNode) -> None:
    """Refuse a number that is another one to YAML 1.1 than to whoever wrote it."""
    line, text = node.start_mark.line + 1, node.value
    if _OCTAL.match(text):
        plain = int(text.replace("_", ""))
        raise Refusal(
            f"line {line}: {text} has a leading zero, octal in YAML: write {plain}, or {text!r} if it is a text"
        )
    if _SIXTIES.match(text):
        raise Refusal(
            f"line {line}: {text} is a number to the base of 60 in YAML: write the number, or {text!r} if it is a text"
        )


def _named(key: Node) -> str:
    """A key as it was written, and what YAML makes of it."""
    if not isinstance(key, ScalarNode):
        return "a list or mapping as a key"
    kind = key.tag.rpartition(":")[2]
    meant = {"bool": "a truth value", "int": "a number", "float": "a number", "null": "nothing", "merge": "a merge"}
    return f"the key {key.value} ({meant.get(kind, f'a {kind}')} in YAML)"
