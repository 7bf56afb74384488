"""Answers as figures: one module a figure, each with the numbers that it draws.

The same results give the same bytes: no dates, no random names.
"""

from pathlib import Path

from study.answers.results import Result
from study.figures import best, known, target, vega
from study.figures.style import Look, looks

__all__ = ["Look", "looks", "save"]


def save(results: list[Result], folder: Path, baseline: str | None = None, mode: str = "max") -> list[Path]:
    """Write the figures of a summary into a folder, one PNG and one CSV each a task.

    Args:
        results: of one or more tasks.
        folder: made if it is not there.
        baseline: the scheme whose cost is marked; None: none is.
        mode: max or min: the sense of scores.

    Returns:
        The paths of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    look, made = looks(dict.fromkeys(result.scheme for result in results)), []
    tasks = list(dict.fromkeys(result.task for result in results))
    for place, task in enumerate(tasks):
        here = [result for result in results if result.task == task]
        drawn = best.chart(here, look, baseline, mode), *(kind.chart(here, look, baseline) for kind in (target, known))
        for chart in drawn:
            if chart is not None:
                stem = folder / (f"{chart.name}-{place + 1}" if len(tasks) > 1 else chart.name)
                stem.with_suffix(".png").write_bytes(vega.picture(chart))
                vega.numbers(chart).to_csv(stem.with_suffix(".csv"), index=False)
                made += [stem.with_suffix(".png"), stem.with_suffix(".csv")]
    return made
