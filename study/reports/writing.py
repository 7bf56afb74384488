"""A study's page: `report.html`, self-contained, with Markdown, JSON, figures and their data beside it.

The data of a figure is also inside the page, as a link that holds it: a page that is sent or kept alone keeps its
numbers. The same record gives the same bytes.
"""

import math
from pathlib import Path

from study.answers.asked import ReportOptions
from study.answers.results import Quantity
from study.answers.study import Answers, answers_of
from study.records.material import Material, of, of_file, of_study
from study.reports import advice, kept, knowledge, over_tasks
from study.reports.charts import draw
from study.reports.forms import as_json, html, markdown
from study.reports.kept import Said, Written, folder_of
from study.reports.page import page
from study.reports.sentences import sentence, sentence_text
from trainables.refusal import Refusal

__all__ = [
    "Material",
    "ReportOptions",
    "Said",
    "Written",
    "answers_of",
    "folder_of",
    "metrics",
    "of",
    "of_file",
    "of_study",
    "said",
    "write",
]


def write(material: Material, folder: Path, asked: ReportOptions = ReportOptions()) -> Written:  # noqa: B008 — immutable
    """Write the page of a record, its figures and their data.

    Args:
        material: the record, and what is known beside it.
        folder: made if it is not there.
        asked: against whom, to which target, in which unit.

    Returns:
        The files, and what the page says first.

    Raises:
        Refusal: where the folder cannot be written, or something is asked for that the record does not have.
    """
    every = answers_of(material, asked)
    made = page(material, every)
    charts = [*made.charts, *(chart for part in made.parts for chart in part.charts)]
    draw(charts)
    texts = {"report.html": html(made), "report.md": markdown(made), "report.json": as_json(made)}
    for chart in charts:
        texts |= {f"figures/{chart.name}.svg": chart.svg, f"figures/{chart.name}.csv": chart.csv}
    written = Written(folder / "report.html", [folder / name for name in texts], said(every), metrics(every))
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            kept.replace(folder / name, text)
        kept.keep(folder, kept.key_of(material, asked), written)
    except OSError as error:
        raise Refusal(
            f"the page cannot be written into {str(folder)!r} ({error.strerror}): give another folder"
        ) from error
    return written


def said(every: list[Answers]) -> Said:
    """The sentences that a page begins with."""
    over = over_tasks.sentence([result for answers in every for result in answers.results])
    return Said(
        [sentence_text(over)] if over else [],
        [sentence_text(sentence(answers)) for answers in every],
        [sentence_text(words) for answers in every for words in knowledge.sentences(answers.results)],
        [sentence_text(words) for answers in every if (words := advice.advice(answers))],
    )


def metrics(every: list[Answers]) -> dict[str, dict[str, float]]:
    """The numbers of every arm by name, for its runs in MLflow; what is not defined or infinite is left out."""
    told: dict[str, dict[str, float]] = {}
    for answers in every:
        arms = answers.trials.drop_duplicates("scheme").set_index("scheme")["arm"]
        for result in answers.results:
            values: dict[str, float | None] = {"trials": result.n, "hits": result.hits}
            values |= _ends("expected_trials", result.expected_trials)
            values |= _ends("share_to_target", result.share_to_target)
            values |= _ends("share_at_budget", result.share_at_budget)
            values |= _ends("share_over_tasks", result.share_over_tasks)
            for unit, paid in answers.paid.get(result.scheme, {}).items():
                values |= _ends(f"expected_{unit}", paid.cost)
            values |= {f"expected_best_{k}": best for k, best in result.expected_best.items()}
            kept = {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
            told[str(arms[result.scheme])] = kept
    return told


def _ends(name: str, quantity: Quantity) -> dict[str, float | None]:
    """An estimate and its ends; of what is only a bound, which MLflow could not say, the ends alone."""
    estimate = quantity.estimate if quantity.bound == "=" else None
    return {name: estimate, f"{name}_low": quantity.low, f"{name}_high": quantity.high}
