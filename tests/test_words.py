"""Docstrings say what a thing does or is, as its caller would say it, and name every argument."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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


# --- lengths ---------------------------------------------------------------------------------------------


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring and decorators."""
    return _lines(function) - (_lines(function.body[0]) if ast.get_docstring(function) else 0)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def test_no_function_is_longer_than_forty_lines():
    long = {
        f"{path.relative_to(ROOT)}: {node.name}": length(node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length(node) > 40
    }
    assert long == {}


def test_a_docstring_adds_nothing_to_the_length_of_a_function():
    (function,) = ast.parse('@a\ndef f(\n    x,\n):\n    """One.\n\n    Two.\n    """\n    return x\n').body
    assert isinstance(function, ast.FunctionDef)
    assert length(function) == 4


# --- arguments -------------------------------------------------------------------------------------------


@dataclass
class House:
    """The classes of some modules, and the names that each module takes from outside of them, by text."""

    texts: list[str]

    def __post_init__(self):
        self.trees = [ast.parse(text) for text in self.texts]
        nodes = [node for tree in self.trees for node in ast.walk(tree)]
        self.classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}

    def unnamed(self, tree: ast.Module) -> list[str]:
        """Public functions of more than one argument, with the arguments that their docstring does not name.

        A method may leave that to the method of its base class that it carries out. Four kinds say it elsewhere: a
        command's options have their help, a test's fixtures theirs, a jet takes what its torch function takes, and a
        method of other people's interface is described there.
        """
        found = []
        for function, home in _public(tree.body):
            if len(arguments(function)) < 2 or _says_elsewhere(function) or _others(tree, home):
                continue
            said = "\n".join(self._docstrings(function, home))
            left = [name for name in arguments(function) if not re.search(rf"(?m)^ *{name}: \S|`{name}`", said)]
            found += [f"{function.name}({', '.join(left)})"] if left else []
        return found

    def _docstrings(self, function: ast.FunctionDef, home: ast.ClassDef | None) -> Iterator[str]:
        yield ast.get_docstring(function) or ""
        for name in map(_last_name, home.bases if home else []):
            above = self.classes.get(name)
            for node in above.body if above and above is not home else []:
                if isinstance(node, ast.FunctionDef) and node.name == function.name:
                    yield from self._docstrings(node, above)


def arguments(function: ast.FunctionDef) -> list[str]:
    """The names that a caller may give; a leading underscore says that nobody should."""
    given = function.args
    found = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return [each.arg for each in found if each.arg not in ("self", "cls") and not each.arg.startswith("_")]


def _public(body, home=None) -> Iterator[tuple[ast.FunctionDef, ast.ClassDef | None]]:
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node, home
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(node.body, node)


def _says_elsewhere(function: ast.FunctionDef) -> bool:
    marks = {ast.unparse(mark).partition("(")[0] for mark in function.decorator_list}
    lifts = function.returns is not None and ast.unparse(function.returns).split(" | ")[0] in ("Lifted", "Parts")
    return bool(marks & {"click.command", "overload"}) or function.name.startswith("test_") or lifts


def _others(tree: ast.Module, home: ast.ClassDef | None) -> bool:
    """Tell if the class carries out other people's interface: Ray's, click's, a trainer's."""
    packages = dict(_imports(tree))
    bases = [ast.unparse(base).partition("[")[0].partition(".")[0] for base in (home.bases if home else [])]
    ours = {"study", "trainables", *sys.stdlib_module_names}
    return any(packages.get(base, "study") not in ours for base in bases)


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that the module imports from elsewhere, each with the package that it comes from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((each.asname or each.name, node.module.partition(".")[0]) for each in node.names)
        elif isinstance(node, ast.Import):
            for each in node.names:
                package = each.name.partition(".")[0]
                yield each.asname or package, package


def _last_name(base: ast.expr) -> str:
    return ast.unparse(base).partition("[")[0].rpartition(".")[2]


def test_every_argument_of_a_public_function_is_named():
    house = House([path.read_text(encoding="utf-8") for path in FILES])
    found = {path.relative_to(ROOT): house.unnamed(tree) for path, tree in zip(FILES, house.trees, strict=True)}
    assert {str(path): names for path, names in found.items() if names} == {}
    checked = [function for tree in house.trees for function, _ in _public(tree.body) if len(arguments(function)) > 1]
    assert len(checked) > 300


def unnamed(text: str) -> list[str]:
    house = House([text])
    return house.unnamed(house.trees[0])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('def best(scores, mode):\n    """The best.\n\n    Args:\n        scores: (n,)\n    """', ["best(mode)"]),
        ('def best(scores, mode):\n    """The best of the scores in this mode."""', ["best(scores, mode)"]),
        ('def best(scores, mode):\n    """The best of `scores` in `mode`."""', []),
        ('def _best(scores, mode):\n    """The best."""', []),
        ("def best(scores, mode): ...", ["best(scores, mode)"]),
        ('class Rule:\n    def step(self, state, *, rate):\n        """A step of `rate` from `state`."""', []),
        ('class Rule:\n    def step(self, state, *, rate):\n        """A step."""', ["step(state, rate)"]),
        (
            'class Rule:\n    def step(self, a, b):\n        """From `a` by `b`."""\n'
            'class Own(Rule):\n    def step(self, a, b):\n        """a − b."""',
            [],
        ),
        ("from ray.tune import Callback\nclass Own(Callback):\n    def on_trial_start(self, trial, info): ...", []),
        ("import lightning\nclass Own(lightning.Callback):\n    def on_fit_start(self, trainer, module): ...", []),
        ("@click.command()\ndef run(study, cluster): ...", []),
    ],
)
def test_an_argument_without_a_word_is_seen(text, found):
    assert unnamed(text) == found


# --- errors ----------------------------------------------------------------------------------------------


def unsaid(text: str) -> list[str]:
    """Public functions of more than one argument that raise without a word of it: "Raises:", or "Refuse …"."""
    tree = ast.parse(text)
    ours = [
        function for function, home in _public(tree.body) if not _says_elsewhere(function) and not _others(tree, home)
    ]
    raising = [function for function in ours if len(arguments(function)) > 1 and _raises(function)]
    return [each.name for each in raising if not re.search(r"Raises:|^Refuse", ast.get_docstring(each) or "")]


def _raises(function: ast.FunctionDef) -> bool:
    """Tell if the function itself raises something; what is left to others to write raises nothing."""
    raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc]
    return any("NotImplementedError" not in ast.unparse(each) for each in raised)


def test_a_public_function_that_raises_says_so():
    found = {path.relative_to(ROOT): unsaid(path.read_text(encoding="utf-8")) for path in FILES}
    assert {str(path): names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("docstring", "found"),
    [("The sum.", ["add"]), ("The sum.\n\n    Raises:\n        ValueError: never.\n    ", []), ("Refuse a sum.", [])],
    ids=["silent", "said", "refusing"],
)
def test_an_error_without_a_word_is_seen(docstring, found):
    assert unsaid(f'def add(a, b):\n    """{docstring}"""\n    raise ValueError(a)') == found
