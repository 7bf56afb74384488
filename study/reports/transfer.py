"""Tables about transfer: what a scheme loses on a task whose configuration was chosen on the others."""

from collections.abc import Sequence

from study.answers.study import Answers
from study.answers.transfer import budget
from study.cost import Interval
from study.cost.best_of import FEWEST_TRIALS
from study.plan.tasks import label
from study.reports.cells import Cell, Column, Row, Sheet


def sheets(answers: Answers) -> list[Sheet]:
    """One table, one row a scheme and one column a budget; none where nothing drew the same configurations."""
    told = answers.transfers
    if not told:
        return []
    ks = sorted({k for transfer in told for k in transfer.regret})
    columns = [Column(f"best of {k}", f"{answers.metric} lost against the best of {k} on this task") for k in ks]
    columns += [Column(f"all tasks, of {ks[-1]}", "mean over the tasks, each chosen on the others")]
    rows = [
        Row(
            transfer.scheme,
            [
                *(_cell(transfer.regret.get(k), transfer.interval.get(k)) for k in ks),
                _cell(transfer.mean.get(ks[-1]), transfer.mean_interval.get(ks[-1])),
            ],
        )
        for transfer in told
    ]
    lead = (
        "Of K configurations, the one with the best mean rank on the other tasks is trained here, at the cost of one "
        f"trial: {answers.metric} (test) that it loses against the best validation score here. Over random "
        f"draws of K of the {_counts([transfer.trials for transfer in told])} configurations that all its tasks have; "
        f"an interval is printed from {FEWEST_TRIALS} of them on that random search drew."
    )
    return [Sheet("Tuned elsewhere", lead, columns, rows)]


def side_by_side(every: Sequence[Answers]) -> list[Sheet]:
    """One table of all tasks, one row a scheme, at the largest budget that all have; none where nothing drew the same
    configurations.

    Args:
        every: the answers of all tasks.
    """
    tasks = [answers for answers in every if answers.transfers]
    told = {answers.task: {one.scheme: one for one in answers.transfers} for answers in tasks}
    rows, k = [], budget(one for answers in tasks for one in answers.transfers) if tasks else 0
    for scheme in dict.fromkeys(scheme for of_task in told.values() for scheme in of_task):
        here = [of_task.get(scheme) for of_task in told.values()]
        losses = [_cell(one.regret.get(k), one.interval.get(k)) if one else _cell(None, None) for one in here]
        first = next(one for one in here if one)
        mean = _cell(first.mean.get(k), first.mean_interval.get(k))
        rows.append(Row(scheme, [Cell(str(k)), *losses, mean]))
    columns = [Column("K", "configurations that are compared")]
    alike = len({answers.metric for answers in tasks}) == 1
    columns += [
        Column(
            label(answers.task) + ("" if alike else f" ({answers.metric})"),
            f"{answers.metric} lost there, chosen on the other tasks",
        )
        for answers in tasks
    ]
    columns += [Column("mean", "over all tasks, where they have one metric")]
    lead = "What a scheme loses on each task whose configuration is chosen on the others: see the tables of the tasks."
    return [Sheet("Tuned elsewhere, task by task", lead, columns, rows)] if rows else []


def _cell(loss: float | None, ends: Interval | None) -> Cell:
    between = "" if ends is None else f"{ends.low:+.4f} – {ends.high:+.4f}"
    return Cell("—") if loss is None else Cell(f"{loss:+.4f}", between)


def _counts(numbers: Sequence[int]) -> str:
    return f"{min(numbers)}" if len(set(numbers)) == 1 else f"{min(numbers)} to {max(numbers)}"
