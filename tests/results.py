"""The results' README and the project's first answer, made from the tables in study/results/ and nothing else.

uv run python tests/results.py

writes them, and their figures beside the tables, again: the same bytes, unless the statistics or the tables change.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import diagnoses
import first_answer
import pandas as pd
import replays
import rivals
from rivals import RESULTS

from study.answers.grids.drops import drops
from study.figures import apart, vega
from study.reports import networks, terminal
from study.reports.cells import Cell, Row, Sheet
from study.reports.page import Page, page
from study.reports.sentences import Words, sentence_text

Figures: TypeAlias = dict[str, tuple[str, str]]  # by name: title and SVG
GRIDS = "What weight decay and learning rate decide together", "What theory predicts of such a grid"
LEARN = ["hd-paper", "hd-searched", "hd-multiplicative"]
MEASURE = ["curvature-paper", "curvature-averaged", "curvature-annealed"]
"""The arms of `diagnoses` along the raw gradient, whose rates are held against a constant one."""
README, FIRST = RESULTS / "README.md", RESULTS.parents[1] / "README.md"


class Section(NamedTuple):
    """The README's part about a study: its lines and figures, the targets asked for, what is drawn beside it."""

    say: Callable[[Page], list[str]]
    figures: tuple[str, ...]
    targets: rivals.Targets = ()
    beside: Callable[[], Figures] = dict
    record: str = ""  # its file or folder; empty: the one of its name


def schemes(made: Page) -> list[str]:
    """The cost of each scheme's target against the baseline's, a column a task, and the worth of knowing the rate."""
    said = [words for part in made.parts for words in (part.sentence, *part.known)]
    return [*_quoted([made.sentence, *said], made.counts), *_by_task(made)]


def costs(made: Page) -> list[str]:
    """The cost of each scheme's target against the baseline's, a column a task."""
    return [*_quoted([made.sentence, *(part.sentence for part in made.parts)], made.counts), *_by_task(made)]


def _quoted(sentences: Iterable[Words], counts: str) -> list[str]:
    return [*(f"> {sentence_text(words)}\n>" for words in sentences if words), f"> {counts}", ""]


def _by_task(made: Page) -> list[str]:
    sheets = {part.task: _sheet(part.sheets, "What the target costs") for part in made.parts}
    cells = {task: {row.scheme: _share(sheet, row) for row in sheet.rows} for task, sheet in sheets.items()}
    if len(sheets) > 1:
        over = made.sheets[0]
        cells["over all"] = {row.scheme: _cell(_named(over, row, "over all")) for row in over.rows}
    names = list(dict.fromkeys(name for of_task in cells.values() for name in of_task))
    return [
        f"| scheme | {' | '.join(cells)} |",
        "|---|" + "---|" * len(cells),
        *(f"| {name} | {' | '.join(of_task.get(name, '—') for of_task in cells.values())} |" for name in names),
    ]


def elsewhere(made: Page) -> list[str]:
    """The loss of a scheme whose configuration is chosen on the other tasks."""
    return _table(_sheet(made.sheets, "Tuned elsewhere, task by task"))


def grid(made: Page) -> list[str]:
    """How far scores collapse on anti-diagonals, and what theory predicts."""
    sheets = [sheet for part in made.parts for sheet in part.sheets if sheet.title in GRIDS]
    return [f"> {made.counts}", "", *(line for sheet in sheets for line in _table(sheet))]


def search(made: Page) -> list[str]:
    """What the target costs, and what a budget buys."""
    lines = [*(f"> {sentence_text(part.sentence)}\n>" for part in made.parts), f"> {made.counts}", ""]
    for part in made.parts:
        costs, buys = _sheet(part.sheets, "What the target costs"), _sheet(part.sheets, "What a budget buys")
        lines += [*_table(_columns(costs, 4)), *_table(_columns(buys, 6))]
    return lines


def forgetting(made: Page) -> list[str]:
    """What a fall of the rate does, and what averages of weights are worth."""
    fell = networks.fall_table(drops(pd.read_parquet(RESULTS / "intrinsic-schedules.parquet")))
    means = networks.network_tables(_distances(), pd.read_csv(RESULTS / "intrinsic-schedules-averages.csv"))[1]
    return [f"> {made.counts}", "", terminal.markdown([fell, means])]


def _stills(every: Iterable[vega.Chart]) -> Figures:
    return {chart.name: (chart.title, vega.still(chart)) for chart in every}


def _distances() -> pd.DataFrame:
    return pd.read_csv(RESULTS / "intrinsic-schedules-distances.csv")


def labels() -> Figures:
    """How far apart arms are as functions."""
    chart = apart.chart(_distances())
    return {"labels": (f"As functions: {chart.title}", vega.still(chart))} if chart else {}


def _rates(record: str, learn: list[str], measure: list[str]) -> list[terminal.TextTable]:
    told = rivals.shipped(record).record
    return [diagnoses.learned(told, learn), diagnoses.measured(told, measure)]


def _columns(sheet: Sheet, first: int) -> Sheet:
    rows = [row._replace(cells=row.cells[:first]) for row in sheet.rows]
    return replace(sheet, columns=sheet.columns[:first], rows=rows)


def _table(sheet: Sheet) -> list[str]:
    lines = [[sheet.of, *(column.name for column in sheet.columns)], ["---"] * (1 + len(sheet.columns))]
    lines += [[row.scheme, *(_cell(cell) for cell in row.cells)] for row in sheet.rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _cell(cell: Cell) -> str:
    return f"{cell.text} [{cell.interval}]" if cell.interval else cell.text


def _share(sheet: Sheet, row: Row) -> str:
    """Cost against the baseline's with its interval; hits and trials."""
    against = next((column.name for column in sheet.columns if column.name.startswith("against ")), "")
    share, trials, hits = (_named(sheet, row, name) for name in (against, "trials", "hits"))
    return f"{_cell(share)}; {hits.text} of {trials.text}"


def _named(sheet: Sheet, row: Row, name: str) -> Cell:
    """The cell under a name; a dash where the table has no such column."""
    return next((cell for column, cell in zip(sheet.columns, row.cells, strict=True) if column.name == name), Cell("—"))


def _sheet(sheets: list[Sheet], title: str) -> Sheet:
    return next(sheet for sheet in sheets if sheet.title == title)


def _grid_figures(task: str) -> tuple[str, ...]:
    """Those of a grid's page that the README shows."""
    return f"grid-{task}-normalised", f"collapse-{task}"


def _both(task: str) -> tuple[str, ...]:
    """The figures of a task's cost to the target, and of the worth of knowing the rate."""
    return f"cost_to_target-{task}", f"known_cost-{task}"


SECTIONS = {
    "schemes": Section(schemes, (*_both("fashion_mlp"), "profile-all")),
    "rivals": Section(schemes, tuple(name for task, _ in rivals.FAR for name in _both(task)), record="rivals"),
    "rivals-far": Section(costs, (), rivals.FAR, record="rivals"),
    "rivals-elsewhere": Section(elsewhere, ("transfer-all",), record="rivals"),
    "rivals-half": Section(costs, (), rivals.AT_HALF),
    "rivals-double": Section(costs, (), rivals.AT_DOUBLE, record="rivals-double"),
    "diagnoses": Section(costs, ()),
    "wd-lr-grid": Section(grid, _grid_figures("fashion_mlp_norm")),
    "wd-lr-grid-mnist": Section(grid, _grid_figures("mnist_cnn4_bn")),
    "intrinsic-search": Section(search, ("expected_best-fashion_mlp_norm",), (("", 0.8728),)),
    "intrinsic-schedules": Section(forgetting, ("labels",), beside=labels),
}
"""By study, or part of one."""
TABLES: dict[str, Callable[[], Iterable[terminal.TextTable]]] = {
    "rivals-untuned": lambda: [rivals.first_trials(rivals.answers("rivals", at)) for at in ((), rivals.FAR)],
    "rivals-claims": lambda: [rivals.claims(rivals.answers("rivals", at)) for at in ((), rivals.FAR)],
    "rivals-rates": lambda: _rates("rivals", ["sgd-hd", "global-layer"], ["curvature"]),
    "rivals-replay": lambda: map(replays.table, replays.tasks()),
    "rivals-horizons": rivals.over_horizons,
    "diagnoses-settings": lambda: [rivals.claims(rivals.answers("diagnoses.parquet"), rivals.SETTINGS)],
    "diagnoses-rates": lambda: _rates("diagnoses.parquet", LEARN, MEASURE),
    "rivals-agreement": lambda: [rivals.agreements("schemes.parquet", "rivals")],
}
"""By what they are about: tables that no page has."""
DRAWN: dict[str, Callable[[], Figures]] = {"rivals-replay": lambda: _stills(map(replays.figure, replays.tasks()))}
"""The figures of such tables."""


def section(name: str) -> tuple[str, dict[Path, str]]:
    """The text of one study's results, and the files of its figures."""
    if name in TABLES:
        lines, drawn = [terminal.markdown(TABLES[name]()).rstrip("\n")], DRAWN.get(name, dict)()
    else:
        lines, drawn = _of_page(name)
    figures = {f"{name}-{re.sub('(%..)+', '-', figure)}.svg": told for figure, told in drawn.items()}
    shown = [f"![{title}]({file})" for file, (title, _) in figures.items()]
    text = "\n".join([*lines, "", *shown]).rstrip("\n")
    return text, {RESULTS / file: figure for file, (_, figure) in figures.items()}


def _of_page(name: str) -> tuple[list[str], Figures]:
    """The lines and figures of one of SECTIONS."""
    say, chosen, targets, beside, record = SECTIONS[name]
    record = record or f"{name}.parquet"
    made = page(rivals.shipped(record), rivals.answers(record, targets))
    drawn = _drawn(made, chosen) | beside()
    return say(made), {figure: drawn[figure] for figure in chosen}


def _drawn(made: Page, chosen: tuple[str, ...]) -> Figures:
    places = [("all tasks", made.charts), *((part.task, part.charts) for part in made.parts)]
    charts = [(place, chart) for place, there in places for chart in there if chart.name in chosen]
    return {chart.name: (f"{chart.chart.title}: {place}", chart.svg) for place, chart in charts}


def first() -> str:
    """The project's first answer."""
    return first_answer.bullets(rivals.answers("rivals", ()), rivals.answers("rivals", rivals.FAR))


def replaced(readme: str, name: str, text: str) -> str:
    """The README with another text between two marks.

    Args:
        readme: its text.
        name: in the marks.
        text: that stands between them.
    """
    begin, end = f"<!-- {name} says: -->", f"<!-- that was {name} -->"
    inside = re.escape(begin) + ".*?" + re.escape(end)
    changed, times = re.subn(inside, lambda _: f"{begin}\n\n{text}\n\n{end}", readme, flags=re.DOTALL)
    if times != 1:
        raise ValueError(f"the README has {times} sections between {begin!r} and {end!r}")
    return changed


def main() -> None:
    """Write every section and figure."""
    readme = README.read_text(encoding="utf-8")
    for name in (*SECTIONS, *TABLES):
        text, figures = section(name)
        readme = replaced(readme, name, text)
        for path, figure in figures.items():
            path.write_text(figure, encoding="utf-8")
    README.write_text(readme, encoding="utf-8")
    FIRST.write_text(replaced(FIRST.read_text(encoding="utf-8"), "rivals", first()), encoding="utf-8")


if __name__ == "__main__":
    main()
