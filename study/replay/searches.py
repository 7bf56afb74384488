"""Searches whose trials are looked up: the searchers and stoppers of a study, answered by recorded curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from study.answers.replayed import Found
from study.dispatch.outcome import Outcome, Status
from study.dispatch.searching import Searching
from study.plan.study import Search
from study.records.question import least
from study.replay.curves import Curves, Floats, place
from trainables.run.stopping import best_score, stopped_at
from trainables.seeds import seed_of
from trainables.space import Derived, Domain


def searches(
    curves: Curves, study: str, target: float | None, groups: int, size: int, seed: int = 0
) -> Iterator[list[Found]]:
    """Searches by the arm's searcher and stopper, each group of them over trials drawn anew.

    Args:
        curves: the recorded trials.
        study: the study's name, part of every seed.
        target: higher is better; None where no score ends the race.
        groups: how many draws of the trials.
        size: how many searches over each.
        seed: of all of them.

    Yields:
        The outcomes of one group.
    """
    for group in range(groups):
        generator = np.random.default_rng(seed_of("table", study, curves.arm.name, group, seed))
        among = drawn(curves.strata, generator)
        first = group * size + seed * 10**6
        yield [search(curves, Search(study, curves.arm, first + i), target, among) for i in range(size)]


def drawn(strata: NDArray[np.intp], generator: np.random.Generator) -> NDArray[np.intp]:
    """The trials in one draw with replacement, stratum by stratum: one that was drawn twice stands there twice.

    Args:
        strata: (n,) the stratum of each trial.
        generator: of the draw.

    Returns:
        The numbers of the trials, ascending.

    >>> drawn(np.array([0, 1, 2]), np.random.default_rng(0)).tolist()
    [0, 1, 2]
    """
    members = [np.flatnonzero(strata == number) for number in np.unique(strata)]
    return np.sort(np.concatenate([rows[generator.integers(len(rows), size=len(rows))] for rows in members]))


def search(curves: Curves, of: Search, target: float | None, among: NDArray[np.intp] | None = None) -> Found:
    """One search, suggestion by suggestion, answered by the nearest recorded trials.

    Args:
        curves: the recorded trials.
        of: the search whose searcher, stopper and budget are used.
        target: higher is better; None where no score ends the race.
        among: the numbers of the trials that may answer; None: all.
    """
    searching, arm = Searching(of), curves.arm
    sign, floor = 1 if arm.task.mode == "max" else -1, _floor(curves)
    visible = np.arange(len(curves.scores)) if among is None else among
    generator = np.random.default_rng(seed_of("equally close", of.study, arm.name, of.repetition))
    lengths: list[tuple[int, int]] = []
    while not searching.exhausted:
        suggestion = searching.suggest()
        i = curves.nearest(_asked(curves.space, suggestion.values), visible, generator)
        scores = curves.scores[i]
        length = stopped_at(suggestion.bars, scores) or len(scores)
        lost = curves.lost[i] and length == len(scores)
        worth = floor if lost else best_score(scores[:length])
        bad: Status = "failed" if curves.failed[i] else "diverged"
        status: Status = bad if lost else "finished" if length == len(scores) else "stopped"
        told = [sign * score for score in scores[:length]]
        rungs = () if status == "failed" else arm.rungs(suggestion.k, told, diverged=lost)
        searching.observe(suggestion.k, Outcome(status, sign * worth, rungs))
        lengths.append((i, length))
    return _found(curves, lengths, target)


def _floor(curves: Curves) -> float:
    """The least that a trial counts for: chance, as higher is better."""
    return (1 if curves.arm.task.mode == "max" else -1) * curves.arm.task.chance


def _asked(space: Mapping[str, Domain], values: Mapping[str, Any]) -> Floats:
    """Where a suggestion lies; of what is searched as a product it names the product."""
    named = {key: domain.inner if isinstance(domain, Derived) else domain for key, domain in space.items()}
    return place(named, values)


def _found(curves: Curves, lengths: Sequence[tuple[int, int]], target: float | None) -> Found:
    spent, first = 0.0, None
    floor = _floor(curves)  # what counts: study.records.trials
    bar = None if target is None else float(least(np.array(target)))
    tops: list[float] = []
    for number, (i, length) in enumerate(lengths, 1):
        scores = curves.scores[i][:length]
        hit = None if bar is None else next((at for at, score in enumerate(scores) if score >= bar), None)
        if hit is not None and first is None:
            first = number, spent + curves.costs[i][hit]
        spent += curves.costs[i][length - 1]
        lost = curves.lost[i] and length == len(curves.scores[i])
        tops.append(floor if lost else max(best_score(scores), floor))
    trials, cost = first or (len(lengths), spent)
    return Found(first is not None, trials, cost, max(tops), spent)
