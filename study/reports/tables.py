"""The tables of a page: one row a scheme, every number with its interval, its doubts and the runs behind it."""

from dataclasses import replace

from study.answers import defaults
from study.answers.arms import TRIALS
from study.answers.results import Quantity, Result
from study.answers.study import Answers
from study.cost import NotDefined
from study.records.material import Material
from study.reports.cells import (
    NOT_RUN,
    Cell,
    Column,
    Row,
    Sheet,
    between,
    cost_cell,
    defined,
    digits,
    doubts,
    links_of,
    quantity_cell,
    share_cell,
)

MEANING = {
    "passes": "gradient equivalents",
    "gradients": "gradient equivalents, as a clock measured them",
    "steps": "steps",
    "seconds": "seconds in steps (as recorded, side by side; an interval holds if none lasts longer than the longest)",
    "flops": "floating-point operations",
    "epochs": "epochs",
}
SHOWN = 1, 4, 16, 64  # of the k at which the expected best is told


def sheets(answers: Answers, material: Material) -> list[Sheet]:
    """Tables of what a budget buys, and what the learning rate asks for.

    Args:
        answers: of one task.
        material: the record, for the addresses of runs and what arms search.

    Returns:
        The tables; none where nothing was validated.
    """
    if not answers.results:
        return []
    answers, links = replace(answers, results=by_cost(answers.results)), links_of(answers, material)
    return [_budgets(answers, links), _rates(answers, links, material)]


def target_sheet(answers: Answers, material: Material) -> list[Sheet]:
    """The table of what reaching the target costs, in the unit of the answers; none where there is no target.

    Args:
        answers: of one task, in one unit.
        material: the record, for the addresses of runs.
    """
    if answers.target is None or not answers.results:
        return []
    return [_target(replace(answers, results=by_cost(answers.results)), links_of(answers, material))]


def by_cost(results: list[Result]) -> list[Result]:
    """The cheapest first, as the ranked chart has them; then those of which only a bound, or nothing, is known."""
    return sorted(results, key=_by_cost)


def _by_cost(result: Result) -> tuple[bool, bool, float]:
    cost = result.expected_cost.estimate
    return cost is None, result.censored, cost or 0.0


def _target(answers: Answers, links: dict[str, str | None]) -> Sheet:
    units, alike = _units(answers)
    columns = [
        Column(
            f"against {answers.baseline}", f"its {answers.unit} as a share of the baseline's; below 1 it saves tuning"
        ),
        Column("trials", "that ended; of these, those that diverged"),
        Column("hits", "trials that reached the target"),
        Column("trials to the target", "expected, the first hit included"),
        *(
            Column(
                unit,
                f"{MEANING[unit]} expected up to the first hit, misses and diverged trials included"
                + (f"; as many {' and '.join(alike)}" if alike and unit == answers.unit else ""),
            )
            for unit in units
        ),
    ]
    rows = []
    for result in answers.results:
        link, paid = links[result.scheme], answers.paid[result.scheme]
        cells = [
            share_cell(paid[answers.unit].share, link, result.scheme == answers.baseline),
            _trials(answers, result, link),
            Cell("—" if result.hits is None else str(result.hits), "", doubts(result, "hits"), link),
            cost_cell(result.expected_trials, link),
            cost_cell(paid[units[0]].cost, link, doubts(result, "expected_cost")),
            *(cost_cell(paid[unit].cost, link) for unit in units[1:]),
        ]
        rows.append(Row(result.scheme, cells))
    lead = f"A trial is a hit where its {answers.metric} on validation data reaches {answers.target:.6g} at any epoch."
    return defined(Sheet("What the target costs", lead, columns, rows, unit=answers.unit))


def _units(answers: Answers) -> tuple[list[str], list[str]]:
    """The units that have a column, that of the answers first; those that say the same as it have none, nor trials."""
    kept = [unit for unit in [answers.unit] if unit != TRIALS]
    alike = []
    for unit in next(iter(answers.paid.values()), {}):
        if unit not in (answers.unit, TRIALS):
            same = [other for other in kept if _alike(answers, unit, other)]
            kept += [] if same else [unit]
            alike += [unit] if same[:1] == [answers.unit] else []
    return kept, alike


def _alike(answers: Answers, unit: str, other: str) -> bool:
    return all(alike_in(one[unit].cost, one[other].cost) for one in answers.paid.values())


def alike_in(cost: Quantity, other: Quantity) -> bool:
    """Tell if two costs say the same number, with the same interval.

    Args:
        cost: in one unit.
        other: in another.
    """
    return (cost.estimate, cost.low, cost.high) == (other.estimate, other.low, other.high)


def _budgets(answers: Answers, links: dict[str, str | None]) -> Sheet:
    results = answers.results
    shown = [k for k in SHOWN if any(k in result.expected_best for result in results)]
    k = next((result.budget for result in results if result.budget), None)
    of_best = f"best of {k}" if k else "best"
    columns = [
        *(Column(f"best of {k}", f"expected best {answers.metric} on validation data of {k} trials") for k in shown),
        Column("test of all", "test score of the trial chosen, by validation, among all"),
        Column("typical trial", "interquartile mean of the trials' scores"),
        Column(f"beats {answers.baseline}", "probability that a random trial beats one of the baseline's"),
        Column(
            f"cost of its {of_best}",
            f"what the baseline's {of_best} costs here, in {answers.unit}, as a share of the baseline's",
        ),
        Column("untuned", "what its default configuration loses against the best of all the baseline's trials"),
    ]
    rows = []
    for result in results:
        link, base = links[result.scheme], result.scheme == answers.baseline
        at = result.expected_test.get(max(result.expected_test, default=0))
        weak = doubts(result, "expected_best")
        cells = [
            *(_score(result, k, link, weak if place == 0 else ()) for place, k in enumerate(shown)),
            Cell(digits(at), link=link),
            quantity_cell(result.interquartile_mean, link),
            quantity_cell(result.improvement, link) if not base else Cell("baseline"),
            share_cell(result.share_at_budget, link, base),
            _regret(answers.regret[result.scheme], link),
        ]
        rows.append(Row(result.scheme, cells))
    return defined(
        Sheet(
            "What a budget buys",
            "Scores are those of the best epoch; a diverged trial counts at chance.",
            columns,
            rows,
        )
    )


def _rates(answers: Answers, links: dict[str, str | None], material: Material) -> Sheet:
    columns = [
        Column(
            "best trial's rate",
            "learning rate of the best trial on validation data, as given: under a schedule its highest. Of a scheme "
            "that finds its own (curvature, Prodigy, …), the median of those in that trial's records",
        ),
        Column("its score", "best validation score of that trial"),
        Column("its test", "test score of that trial"),
        Column("diverged", "trials that diverged"),
        Column("sensitivity", "mean loss of score over the grid of rates"),
        Column("±1 decade", "the same within a decade of the best rate"),
        Column("width", "decades of rate within a point of the best"),
        Column("step price", f"seconds a step, × {answers.baseline}'s; middle half of the trials"),
    ]
    best = answers.best.set_index("scheme")
    rows = []
    for result in answers.results:
        link, scheme = links[result.scheme], result.scheme
        top = best.loc[scheme] if scheme in best.index else None
        run = None if top is None else material.link(top["run_id"])
        of_trial = [None if top is None else float(top[name]) for name in ("lr", "score", "test_score")]
        cells = [
            Cell(digits(of_trial[0], ".3g"), "", doubts(result, "learning_rate"), run),
            *(Cell(digits(value), link=run) for value in of_trial[1:]),
            Cell(str(_diverged(answers, scheme)), "", doubts(result, "diverged"), link),
            *(Cell(digits(result.sensitivity[name]), link=link) for name in ("full", "window")),
            Cell("—" if result.width_decades is None else f"{result.width_decades:.1f} decades", link=link),
            _price(answers.price.get(scheme), link),
        ]
        rows.append(Row(scheme, cells))
    lead = "Sensitivity and width are told where the rates lie on an even logarithmic grid."
    return defined(Sheet("What the learning rate asks for", lead, columns, rows))


def _diverged(answers: Answers, scheme: str) -> int:
    of, status = answers.trials["scheme"], answers.trials["status"]  # rows are not taken: that asks for all columns
    return int(((of == scheme) & (status == "diverged")).to_numpy().sum())


def _trials(answers: Answers, result: Result, link: str | None) -> Cell:
    diverged = _diverged(answers, result.scheme)
    return Cell(str(result.n), f"{diverged} diverged" if diverged else "", doubts(result, "n"), link)


def _score(result: Result, k: int, link: str | None, flags: tuple[str, ...]) -> Cell:
    if k not in result.expected_best:
        return Cell("—")
    low, high = result.expected_best_interval.get(k, (None, None))
    return Cell(digits(result.expected_best[k]), between(Quantity(0.0, low, high), digits), flags, link)


def _regret(value: float | NotDefined, link: str | None) -> Cell:
    if isinstance(value, NotDefined):
        return Cell(NOT_RUN if value == defaults.NOT_RUN else "—")
    return Cell(f"{value:+.4f}", link=link)


def _price(price: tuple[float, float, float] | None, link: str | None) -> Cell:
    return Cell("—") if price is None else Cell(f"{price[0]:.2f}", f"{price[1]:.2f} – {price[2]:.2f}", (), link)
