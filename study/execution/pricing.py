"""Choose the trials that measure what a step costs before they train: the first of every arm on each kind of device."""

import json
from typing import Any, NamedTuple

from study.dispatch.dispatcher import Assignment
from study.tracking import Tracker
from study.tracking.store import parameter_text, shown
from trainables.price import read
from trainables.training import Training

NOT_NOW = "null"  # to a worker: measure nothing


class Case(NamedTuple):
    """An arm, and the sizes, names and switches of a trial that it searches, as JSON."""

    arm: str
    of: str


class Pricing:
    """Hands out the measurements of a study, so that each is made once, and writes them beside it.

    A price belongs to an arm, to the sizes, names and switches that its trials differ in, and to a kind of device. It
    is wall clock, and stands in no trial's record.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._known: dict[Case, set[str]] = {}  # kinds of device
        self._measuring: dict[Case, str] = {}  # by which of Tune's trials
        for arm, prices in tracker.prices.items():
            for price in prices:
                self._known.setdefault(Case(arm, _written(price.of)), set()).add(price.device)

    def asked(self, trial_id: str, assignment: Assignment) -> str:
        """The kinds of device, as JSON, on which a worker need not measure; `NOT_NOW` while another trial does.

        Args:
            trial_id: Tune's.
            assignment: what it trains.
        """
        case = _case(assignment)
        if case in self._measuring:
            return NOT_NOW
        self._measuring[case] = trial_id
        return json.dumps(sorted(self._known.get(case, ())))

    def told(self, trial_id: str, assignment: Assignment, text: str) -> None:
        """Take in the answer of a worker.

        Args:
            trial_id: Tune's.
            assignment: what it trains.
            text: what was measured; empty where nothing was to be.
        """
        case = _case(assignment)
        for price in read(text) if text else ():
            self._known.setdefault(case, set()).add(price.device)
            self._tracker.price(assignment.search, price._replace(why=shown(price.why), of=json.loads(case.of)))
        self.left(trial_id)

    def left(self, trial_id: str) -> None:
        """Let another trial measure: this one has answered, or will not."""
        for case in [case for case, measuring in self._measuring.items() if measuring == trial_id]:
            del self._measuring[case]


def _case(assignment: Assignment) -> Case:
    """Real numbers and seeds change nothing in how long a step takes; a loop of its own has no price."""
    flat = {} if isinstance(assignment.trial.task, Training) else assignment.trial.flat()
    searched = {key: flat[key] for key in assignment.search.arm.space if key in flat}
    return Case(assignment.search.arm.name, _written({k: v for k, v in searched.items() if not isinstance(v, float)}))


def _written(of: Any) -> str:
    told = {key: parameter_text(value) if isinstance(value, list | tuple) else value for key, value in of.items()}
    return json.dumps(told, sort_keys=True)
