"""Choose the trial that runs next: all searches of a study side by side, each of them in strict order."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from study.dispatch.controls import Following, Reader
from study.dispatch.outcome import Outcome, Recorded, SourceRecord, Suggestion, joined
from study.dispatch.searching import Searching
from study.plan.key import Key
from study.plan.study import Search, Study
from trainables.refusal import Refusal
from trainables.run.stopping import Rung
from trainables.trial import Trial


class Assignment(NamedTuple):
    """A trial to be run."""

    search: Search
    key: Key
    trial: Trial
    bars: tuple[Rung, ...]  # what it must reach to go on
    recorded: bool = False  # its outcome is: it is trained again because others are trained beside it
    group: tuple["Assignment", ...] = ()  # all that are trained as one program with it, in the order of their lanes

    @property
    def lanes(self) -> tuple["Assignment", ...]:
        """All that are trained with it: its group, or itself alone."""
        return self.group or (self,)


def _unread(key: Key) -> Sequence[SourceRecord]:
    raise LookupError(f"a control asks what {key.path} measured, and nobody reads records here")


class Dispatcher:
    """Hands out the trials that are missing from the record, re-asking the recorded ones in passing.

    A restart asks every search again from its beginning. A configuration whose outcome is recorded is told and not
    run; its parameters must be the recorded ones, or the versions of the parts have changed. `measured` reads what a
    trial that has ended recorded; the configurations of controls are made from it, as soon as it can be read.
    """

    def __init__(
        self,
        study: Study,
        recorded: Mapping[Key, Recorded],
        measured: Reader = _unread,
    ) -> None:
        self._study, self._searchings = study.name, _searchings(study, measured)
        self._recorded = recorded
        self._waiting: list[Assignment] = []
        self._filling: dict[tuple[str, int], list[Assignment]] = {}  # groups that are not yet whole
        self._outcomes: dict[tuple[str, int, int], dict[int, Outcome]] = {}
        self._advance()

    @property
    def done(self) -> bool:
        """True once every outcome is in."""
        return all(searching.done for searching in self._searchings.values())

    @property
    def num_ended(self) -> int:
        """Trials whose outcome is in."""
        return sum(len(seeds) for seeds in self._outcomes.values())

    @property
    def failed_first(self) -> list[str] | None:
        """The trials that have failed, where all that have ended did; None once one has not."""
        every = [(Key(self._study, *of, seed), one) for of, own in self._outcomes.items() for seed, one in own.items()]
        return [key.path for key, _ in every] if all(one.status == "failed" for _, one in every) else None

    def next(self) -> Assignment | None:
        """A trial that may start now, from the search that is least far; None where all wait for outcomes.

        Of a group that is trained as one program, the first that is missing, with all the others.
        """
        while not self._waiting:
            ready = [searching for searching in self._searchings.values() if searching.ready]
            if not ready:
                return None
            self._draw(min(ready, key=lambda searching: searching.num_asked))
        return self._waiting.pop(0)

    def requeue(self, assignment: Assignment) -> None:
        """Put back a trial that never started; it is next."""
        self._waiting.insert(0, assignment)

    def observe(self, key: Key, outcome: Outcome) -> None:
        """Take in the end of a training; its search is told of the configuration once all its seeds have ended.

        Args:
            key: of the training.
            outcome: how it ended.
        """
        seeds = self._outcomes.setdefault((key.arm, key.repetition, key.k), {})
        seeds[key.seed_number] = outcome
        searching = self._searchings[key.arm, key.repetition]
        if len(seeds) == searching.search.arm.settings.seeds:
            searching.observe(key.k, joined(dict(sorted(seeds.items()))))

    def _advance(self) -> None:
        """Ask again what is recorded, up to the first configuration of each search that is not finished."""
        for searching in self._searchings.values():
            while searching.ready and searching.search.key(searching.num_asked) in self._recorded:
                self._draw(searching)

    def _draw(self, searching: Searching | Following) -> None:
        search, suggestion = searching.search, searching.suggest()
        for seed_number in range(search.arm.settings.seeds):
            key = search.key(suggestion.k, seed_number)
            trial = search.arm.trial(suggestion.values, key.seed)
            recorded = self._recorded.get(key)
            if recorded is not None:
                _check(key, suggestion, trial, recorded)
            status = None if recorded is None else recorded.status
            if recorded is not None and status is not None:
                self.observe(key, Outcome(status, recorded.score, recorded.rungs))
            self._seat(Assignment(search, key, trial, suggestion.bars, status is not None))

    def _seat(self, assignment: Assignment) -> None:
        """Let a trial wait: by itself, or with its group, which is whole after `fuse` trials or the search's last one.

        A trial that is recorded takes its place in the group, too: another width of the program rounds otherwise.
        """
        search, key, width = assignment.search, assignment.key, assignment.trial.fuse or 1
        filling = self._filling.setdefault((key.arm, key.repetition), [])
        filling.append(assignment)
        settings = search.arm.settings
        last = (key.k + 1, key.seed_number + 1) == (settings.trials, settings.seeds)
        if len(filling) < width and not last:
            return
        del self._filling[key.arm, key.repetition]
        missing = [each for each in filling if not each.recorded]
        if missing:
            group = tuple(filling) if assignment.trial.fuse else ()
            self._waiting.append(missing[0]._replace(group=group))


def _searchings(study: Study, measured: Reader) -> dict[tuple[str, int], Searching | Following]:
    """Every search under way; controls stand last, so that their sources are always asked first."""
    found: dict[tuple[str, int], Searching | Following] = {}
    sources: dict[tuple[str, int], Searching] = {}
    for search in study.searches():
        if search.arm.settings.control_of is None:
            sources[search.arm.name, search.repetition] = Searching(search)
    for search in study.searches():
        of = search.arm.settings.control_of
        if of is not None:
            found[search.arm.name, search.repetition] = Following(search, sources[of, search.repetition], measured)
    return {**sources, **found}


def _check(key: Key, suggestion: Suggestion, trial: Trial, recorded: Recorded) -> None:
    if not recorded.params:
        return  # the driver died before it wrote them
    flat = trial.flat()
    for name in suggestion.values:
        value = flat[name]
        if recorded.params.get(name) != value:
            raise Refusal(
                f"trial {key.path} is recorded with {name}={recorded.params.get(name)}, but asked again it is {value}; "
                f"it was recorded with {recorded.versions}: go on with those versions, or rename the study"
            )
