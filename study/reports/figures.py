"""The figures of a page, and the data that each of them draws."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd

from study.answers.study import Answers
from study.figures import (
    Panel,
    balance,
    collapse,
    grid,
    heat,
    svg,
)
from study.records.material import Material


@dataclass(frozen=True)
class Drawn:
    """One panel: as a file, and inside a page; its data as CSV. It is drawn when it is first asked for."""

    name: str  # of its files, without an ending
    figure: str  # the title of the figure that it is a panel of
    panel: Panel

    @property
    def title(self) -> str:
        """The title of the panel."""
        return self.panel.title

    @property
    def label(self) -> str:
        """A description for those who do not see it."""
        return f"{self.figure}: {self.title}"

    @cached_property
    def file(self) -> str:
        """The SVG on white."""
        return svg.svg_text(self.panel.figure, self.name)

    @cached_property
    def inline(self) -> str:
        """The SVG in the page's colours."""
        return svg.inline(self.file, self.label)

    @cached_property
    def csv(self) -> str:
        """The numbers that it draws, as CSV."""
        return self.panel.data.to_csv(index=False)


class Group(NamedTuple):
    """A figure: its panels, what it shows, and how to read it."""

    title: str
    caption: str
    panels: list[Drawn]
    csv: str  # of all its panels
    name: str
    kind: str  # 'wide' where it has many small panels, 'large' where it has many


CAPTIONS = {
    "heat": (
        "Steps until a loss",
        "Steps of the first record whose loss is low enough, the darker the more; '>': not within those given.",
    ),
    "grid": (
        "Learning rate and weight decay",
        "The mean of a cell's seeds; the darker the more. Lines join cells of equal ηλ. Hatched: rates were constant "
        "for less than 3/(ηλ) steps, so nothing had settled. Test scores are those of the weights that were best on "
        "validation. Effective rate η/‖w‖² and angle a step, in rad: when rates last were constant, the geometric mean "
        "over scale-invariant tensors.",
    ),
    "collapse": (
        "Score against ηλ",
        "One point a training, coloured by η, hollow where its cell had not settled; lines join the means of equal η. "
        "Where only the product matters, all lie on one curve.",
    ),
    "balance": (
        "The balance of noise and decay",
        "Every settled training and scale-invariant tensor, when rates last were constant. Dashed: theory, which fixes "
        "the slopes ¼ and ½, and leaves nothing free in angle and relaxation time.",
    ),
}
MANY = {"grid": "large", "collapse": "wide", "balance": "wide"}
"""Figures of many panels, one a quantity or a scheme: small ones in rows of three, or large ones in rows of two."""


def of_task(answers: Answers, material: Material) -> list[Group]:
    """The figures of one task; those that nothing defines are left out.

    Args:
        answers: of the task.
        material: the record, for what the study file asks to be drawn and for the addresses of runs.

    Returns:
        One group a kind of figure.
    """
    panels: dict[str, list[Panel | None]] = {
        "grid": [panel for one in answers.grids for panel in grid.panels(one)],
        "collapse": [collapse.panel(one) for one in answers.grids],
        "balance": [panel for one in answers.grids for panel in balance.panels(one)],
        "heat": [heat.panel(_of(answers, material), material.file.heat)]
        if material.file and material.file.heat
        else [],
    }
    made = [_group(name, [panel for panel in found if panel], answers.task) for name, found in panels.items()]
    return [group for group in made if group.panels]


def _of(answers: Answers, material: Material) -> pd.DataFrame:
    """The task's part of the record."""
    rows: Any = material.record[material.record["task"] == answers.task]
    return rows


def _group(name: str, panels: list[Panel], place: str) -> Group:
    title, caption = CAPTIONS[name]
    file = quote(f"{name}-{place}", safe="")
    many = name in MANY
    drawn = [Drawn(f"{file}-{quote(panel.title, safe='')}" if many else file, title, panel) for panel in panels]
    data = pd.concat([panel.data for panel in panels]) if panels else pd.DataFrame()
    return Group(title, caption, drawn, data.to_csv(index=False), file, MANY.get(name, ""))
