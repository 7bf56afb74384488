"""The answer over all tasks that have a target: one sentence for the study, and one table."""

from study.answers.results import Quantity, Result, ShareOverTasks
from study.plan.tasks import label
from study.reports.sentences import Word, Words, listed, not_compared, verdicts
from study.reports.terminal import TextTable, quantity_text

TITLE = "Over all tasks"
LEAD = (
    "Its {unit} up to the target as a share of those of {baseline}: the geometric mean over these tasks, each counted "
    "alike. The interval is of what other trials on these tasks might have said; of other tasks it says nothing. Where "
    "a scheme never, or in some of its searches did not, reach the target of a task, the share is a lower bound."
)


def told_over_tasks(results: list[Result]) -> dict[str, ShareOverTasks]:
    """The share of every scheme over all tasks; empty where there is one task at most, or no baseline.

    Args:
        results: of all tasks.
    """
    return {result.scheme: result.share_over_tasks for result in results if result.share_over_tasks.tasks}


def sentence(results: list[Result]) -> Words:
    """Say in one sentence what each scheme costs over all tasks that have a target; empty where that is nothing.

    Args:
        results: of all tasks.
    """
    told = told_over_tasks(results)
    if not told:
        return []
    first = next(iter(told.values()))
    start = [Word("Over "), *listed([label(task) for task in first.tasks], kind="task")]
    base = told.get(first.against)
    if base is None or base.missing:
        return [*start, Word(f", no share is defined: {first.missing}.")]
    others = {scheme: share for scheme, share in told.items() if scheme != first.against}
    compared = {scheme: share for scheme, share in others.items() if share.estimate is not None}
    never = {result.scheme for result in results if result.target is not None and not result.hits}
    bounds = [scheme for scheme in compared if scheme in never and compared[scheme].verdict != "costs"]
    kept = {scheme: share for scheme, share in compared.items() if scheme not in bounds}
    of = f" of the {first.unit} of "
    said = verdicts(kept, first.against, "reaches the targets for ", of, bounds, "missed a target altogether")
    words = [*start, Word(" (geometric mean), "), *said]
    left = [scheme for scheme in others if scheme not in compared]
    return [*words, *not_compared(left), Word(".")]


def tables(results: list[Result]) -> list[TextTable]:
    """One table of the shares on every task and over all; none where there is one task at most, or no baseline.

    Args:
        results: of all tasks.
    """
    told = told_over_tasks(results)
    if not told:
        return []
    first = next(iter(told.values()))
    on = {(result.scheme, result.task): result.share_to_target for result in results}
    rows = [
        [scheme, *(quantity_text(on.get((scheme, task), Quantity())) for task in first.tasks), quantity_text(share)]
        for scheme, share in told.items()
    ]
    missing = [share.missing for share in told.values() if share.missing]
    said = "".join(word.text for word in sentence(results))
    title = f"{TITLE}: {first.unit} to target, as a share of those of {first.against}"
    return [
        TextTable(title, ["scheme", *map(label, first.tasks), "over all"], rows, list(dict.fromkeys([said, *missing])))
    ]
