"""The cost of the target to each scheme: expected, with its interval, the cheapest first."""

from study.answers.results import Quantity, Result
from study.figures import ranked
from study.figures.style import Look
from study.figures.vega import Chart, spec_of
from study.plan.tasks import label

CAPTION = (
    "Point: expected cost up to the first hit. Bar: 95 % interval; an arrow where nothing bounds it from above, a "
    "hollow point where the target was missed and the cost is a lower bound. Dashed: the baseline."
)


def chart(here: list[Result], look: dict[str, Look], baseline: str | None) -> Chart | None:
    """One task's costs up to the target; None where no scheme has a cost.

    Args:
        here: the results of one task.
        look: of every scheme.
        baseline: the scheme whose cost is a line across all; None: there is none.
    """
    known = sorted(
        (result for result in here if (result.expected_cost.estimate or 0) > 0),
        key=lambda result: (result.censored, result.expected_cost.estimate),
    )
    if not known:
        return None
    costs = {result.scheme: result.expected_cost for result in known}
    data = ranked.table(costs, "expected_cost").assign(label=[_label(one) for one in costs.values()])
    unit, task = known[0].expected_cost.unit or "cost", label(known[0].task)
    rule = costs[baseline].estimate if baseline in costs else None
    sentence = f"The {unit} up to the first hit on {task}, the cheapest scheme first: {_listed(costs)}."
    spec = spec_of(ranked.drawn(data, "expected_cost", f"{unit} up to the first hit", rule, look), sentence)
    alive, still = spec | {"width": "container"}, spec | ranked.still(330)
    return Chart("cost_to_target", "Cost to the target", CAPTION, sentence, alive, still, data)


def _label(cost: Quantity) -> str:
    """The number above a point.

    >>> _label(Quantity(1625.4)), _label(Quantity(3.25e12)), _label(Quantity(0.134, bound=">"))
    ('1,625', '3.25e+12', '≥ 0.134')
    """
    value = cost.estimate or 0.0
    text = f"{value:,.0f}" if 1000 <= value < 1e7 else f"{value:.3g}"
    return f"≥ {text}" if cost.bound == ">" else text


def _listed(costs: dict[str, Quantity]) -> str:
    return ", ".join(f"{scheme} {_label(cost)}" for scheme, cost in costs.items())
