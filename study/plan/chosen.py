"""One trial of a study, chosen by hand: an arm, values over its own, and defaults in place of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import Any, NamedTuple

from study.plan.file import Settings, read_file, text_of
from study.plan.key import checked_name
from study.plan.parse import path_of, without_search
from study.plan.plain_yaml import read_plain
from study.plan.study import STOPPER, Arm
from study.plan.tasks import overlaid
from trainables.components import slots
from trainables.plugins import trusted
from trainables.refusal import Refusal, unknown
from trainables.space import Value, middle, written
from trainables.trial import Trial


class Chosen(NamedTuple):
    """A trial, and what a user wants to be told of the choice."""

    trial: Trial
    study: str
    arm: str
    others: tuple[str, ...]  # arms that could have been chosen instead; none where one was named
    taken: dict[str, str]  # searched keys, each with its value and what that is


def choose(study: str, words: Sequence[str]) -> Chosen:
    """The trial that the words name.

    Args:
        study: a shipped study's name, or a path to a study file.
        words: an arm's name, where it is not the first; and `key=value`, as a study file would say it.

    Returns:
        The trial. What its arm searches is at the field's default, or in the middle of the domain where it has none.

    Raises:
        Refusal: in one line, for an arm, a key or a value that is none.

    >>> choose("quickstart", ["adam", "scheme.lr=0.5", "seed=3"]).trial.rule.scheme.lr
    0.5
    """
    path = path_of(study)
    file = read_file(text_of(path), checked_name("study", path.stem))
    arms = file.written_out()
    arm, given = _read(words, arms)
    name = next(iter(arms)) if arm is None else arm
    if "control_of" in arms[name]:
        raise Refusal(
            f"arm {name!r} replays the rates that a study has measured of {arms[name]['control_of']!r}: try that arm"
        )
    seed = slots(Trial, {})["seed"].checked(given.pop("seed", 0))
    chosen = without_search(name, {**overlaid(file.common, arms[name]), **given}, path.parent)
    trial, taken = _at_defaults(chosen, seed)
    others = () if arm else tuple(other for other in arms if other != name)
    return Chosen(trial, path.stem, name, others, taken)


def values_of(words: Sequence[str]) -> dict[str, Any]:
    """The values in words that are all `key=value`.

    Args:
        words: of a command line, as a study file would say them.

    Returns:
        The values by their dotted keys.

    Raises:
        Refusal: for a word that is none, or a value that cannot be read.

    >>> values_of(["batch_size=32", "scheme.schedule=wsd"])
    {'batch_size': 32, 'scheme.schedule': 'wsd'}
    """
    for word in words:
        if "=" not in word:
            raise Refusal(f"a value is written key=value, got {word!r}")
    return _read(words, {})[1]


def _read(words: Sequence[str], arms: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The arm and the values in the words of a command line."""
    arm: str | None = None
    given: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            given[key] = _value(key, value)
        elif arm is not None:
            raise Refusal(f"one trial has one arm, got {arm!r} and {word!r}; a value is written key=value")
        elif word not in arms:
            raise unknown("arm", word, arms)
        else:
            arm = word
    return arm, given


def _value(key: str, text: str) -> Any:
    """The value in the text, as YAML reads it; a path in it counts from the working directory."""
    if key in Settings.model_fields or key.startswith(STOPPER):
        raise Refusal(f"{key} belongs to a search, of which nothing is said here: leave it out")
    try:
        return trusted(read_plain(text))
    except Refusal as refusal:
        raise Refusal(f"{key}: {refusal}") from refusal


def _at_defaults(arm: Arm, seed: int) -> tuple[Trial, dict[str, str]]:
    """The trial of an arm without a searcher, and what stands in for what would have been searched."""
    known = slots(Trial, arm.fixed)
    fixed, between, taken = dict(arm.fixed), dict[str, Value](), dict[str, str]()
    for key, domain in arm.space.items():
        if known[key].default is MISSING:
            between[key] = middle(domain)
            ((name, bounds),) = written(domain).items()
            taken[key] = f"{_short(between[key])}, the middle of {name} {bounds}"
        else:
            fixed[key] = known[key].default
            taken[key] = f"{_short(fixed[key])}, its default"
    space = {key: arm.space[key] for key in between}
    return arm._replace(fixed=fixed, space=space).trial(between, seed), taken


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
