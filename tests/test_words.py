"""Docstrings say what a thing does or is, as its caller would say it."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

RIDDLES = {"What", "Whether", "Where", "How", "Which", "Why"}
FILES = sorted(path for room in ("study", "trainables") for path in (ROOT / room).rglob("*.py"))


def riddles(text: str) -> list[str]:
    """The public things of a module whose docstring opens with a question word."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            name = getattr(node, "name", "the module")
            words = (ast.get_docstring(node) or "-").split()
            if not name.startswith("_") and words[0].strip(",.:;") in RIDDLES:
                found.append(name)
    return found


@pytest.mark.parametrize("room", ["study", "trainables"])
def test_no_docstring_opens_with_a_question_word(room):
    found = {path.relative_to(ROOT): riddles(path.read_text(encoding="utf-8")) for path in FILES if room in path.parts}
    assert {str(path): names for path, names in found.items() if names} == {}
    assert len(found) > 50


def test_a_riddle_is_seen():
    assert riddles('"""Rungs."""\n\n\ndef best():\n    """Whether it is."""\n') == ["best"]
    assert riddles(Path(__file__).read_text(encoding="utf-8")) == []
