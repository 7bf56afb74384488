"""The README's results, made from the tables in study/results/ and nothing else.

uv run python tests/results.py

writes them, and their figures beside the tables, again: the same bytes, unless the statistics or the tables change.
"""

import re
from collections.abc import Callable
from pathlib import Path

from study import pages
from study.pages.answered import answered
from study.pages.cells import Cell, Sheet
from study.pages.page import Page, page, said

GRIDS = "What weight decay and learning rate decide together", "What theory predicts of such a grid"
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "study" / "results"
README = ROOT / "README.md"


def schemes(made: Page) -> list[str]:
    """What each scheme's target costs against the baseline's, a column a task."""
    sheets = {part.task: _sheet(part.sheets, "What the target costs") for part in made.parts}
    rows = {task: {row.scheme: row.cells for row in sheet.rows} for task, sheet in sheets.items()}
    names = list(dict.fromkeys(row.scheme for sheet in sheets.values() for row in sheet.rows))
    return [
        *(f"> {said(part.sentence)}\n>" for part in made.parts),
        f"> {made.counts}",
        "",
        f"| scheme | {' | '.join(sheets)} |",
        "|---|" + "---|" * len(sheets),
        *(f"| {name} | {' | '.join(_share(rows[task][name]) for task in sheets)} |" for name in names),
    ]


def grid(made: Page) -> list[str]:
    """How far scores collapse on anti-diagonals, and what theory predicts."""
    sheets = [sheet for part in made.parts for sheet in part.sheets if sheet.title in GRIDS]
    return [f"> {made.counts}", "", *(line for sheet in sheets for line in _table(sheet))]


def _table(sheet: Sheet) -> list[str]:
    lines = [[sheet.of, *(column.name for column in sheet.columns)], ["---"] * (1 + len(sheet.columns))]
    lines += [[row.scheme, *(_cell(cell) for cell in row.cells)] for row in sheet.rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _cell(cell: Cell) -> str:
    return f"{cell.text} [{cell.interval}]" if cell.interval else cell.text


def _share(cells: list[Cell]) -> str:
    """Cost against the baseline's with its interval; hits and trials."""
    share, trials, hits = cells[:3]
    return f"{_cell(share)}; {hits.text} of {trials.text}"


def _sheet(sheets: list[Sheet], title: str) -> Sheet:
    return next(sheet for sheet in sheets if sheet.title == title)


SECTIONS: dict[str, tuple[Callable[[Page], list[str]], tuple[str, ...]]] = {
    "schemes": (schemes, ("cost_to_target-fashion_mlp", "profile-all")),
    "wd-lr-grid": (
        grid,
        (
            "grid-fashion_mlp_norm-normalised%3A%20validation",
            "collapse-fashion_mlp_norm-normalised",
            "collapse-fashion_mlp_norm-unnormalised",
        ),
    ),
}
"""By study: what is said of it, and its figures."""


def section(name: str) -> tuple[str, dict[Path, str]]:
    """The text of one study's results, and the files of its figures."""
    say, chosen = SECTIONS[name]
    material = pages.of_file(RESULTS / f"{name}.parquet")
    made = page(material, answered(material, pages.Asked()))
    groups = [group for part in made.parts for group in part.figures] + made.figures
    drawn = {panel.name: (group.title, panel) for group in groups for panel in group.panels}
    figures = {RESULTS / f"{name}-{re.sub('(%..)+', '-', figure)}.svg": drawn[figure] for figure in chosen}
    shown = [
        f"![{title}: {panel.title}]({path.relative_to(ROOT).as_posix()})" for path, (title, panel) in figures.items()
    ]
    text = "\n".join([*say(made), "", *shown])
    return text, {path: panel.file for path, (_, panel) in figures.items()}


def replaced(readme: str, name: str, text: str) -> str:
    """The README with another text between a study's two marks."""
    begin, end = f"<!-- study/results/{name}.parquet says: -->", f"<!-- that was {name} -->"
    inside = re.escape(begin) + ".*?" + re.escape(end)
    changed, times = re.subn(inside, lambda _: f"{begin}\n\n{text}\n\n{end}", readme, flags=re.DOTALL)
    if times != 1:
        raise ValueError(f"README.md has {times} sections between {begin!r} and {end!r}")
    return changed


def main() -> None:
    """Write every section and figure."""
    readme = README.read_text(encoding="utf-8")
    for name in SECTIONS:
        text, figures = section(name)
        readme = replaced(readme, name, text)
        for path, figure in figures.items():
            path.write_text(figure, encoding="utf-8")
    README.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()
