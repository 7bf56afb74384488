"""The rivals under a cleverer searcher and under early stopping, by replay of their recorded trials.

uv run python tests/replays.py

writes study/results/rivals-replay.csv: minutes a task. tests/results.py makes a table of it.
"""

from typing import Any

import pandas as pd
from rivals import RESULTS, interval_text

from study import replay
from study.plan.tasks import entry_of
from study.reports.terminal import TextTable

RECORD = RESULTS / "rivals"
REPLAYED = RESULTS / "rivals-replay.csv"
REPETITIONS, TRIALS = 200, 16
SETTINGS = {"TPE": None, "TPE and ASHA": "asha", "TPE and Hyperband": "hyperband", "TPE and median": "median"}
"""By their title: the stopper; each first judges a trial at a tenth of it, its first record."""


def replayed(record: pd.DataFrame, study: Any, task: str, setting: str) -> pd.DataFrame:
    """The searches of all arms on one task that the record holds, one row an arm.

    Args:
        record: a row a record of a trial.
        study: that it is of.
        task: whose arms.
        setting: one of SETTINGS.
    """
    here: Any = record[record["task"] == task]
    stopper, tenth = SETTINGS[setting], float(here["record_every"].iloc[0])
    fields = {"min_epochs": tenth} if stopper else {}
    asked = replay.ReplayOptions(
        searcher="tpe", stopper=stopper, stopper_fields=fields, trials=TRIALS, repetitions=REPETITIONS
    )
    (rows,) = replay.replay(here, study, asked).values()
    told = [
        (
            row.reached,
            row.searches,
            row.cost.estimate,
            row.share.estimate,
            row.share.low,
            row.share.high,
            row.share.bound,
        )
        for row in rows
    ]
    names = "reached", "searches", "cost", "share", "low", "high", "bound"
    made = pd.DataFrame(told, columns=list(names)).round(6)
    made.insert(0, "scheme", [entry_of(row.arm, task) for row in rows])
    return made.assign(task=task, setting=setting)


def table(task: str) -> TextTable:
    """Shares of the baseline's cost on a task, a row a scheme and a column a setting; the cheapest under TPE first.

    task: of which trials were replayed.
    """
    rows: Any = pd.read_csv(REPLAYED)
    rows = rows[rows["task"] == task]
    order = rows[rows["setting"] == "TPE"].sort_values(["share", "scheme"], na_position="first")["scheme"]
    cells = {(row.scheme, row.setting): _text(row) for row in rows.itertuples()}
    lines = [[scheme, *(cells[scheme, setting] for setting in SETTINGS)] for scheme in order]
    return TextTable("", [f"on {task}", *SETTINGS], lines, [])


def _text(row: Any) -> str:
    share = "baseline"
    if row.share == row.share:
        share = interval_text(row.share, row.low, None if row.high != row.high else row.high, row.bound)
    return f"{share}; {row.reached} of {row.searches}"


def main() -> None:
    """Replay every task under every setting, and write the table."""
    told, study = replay.read_record(str(RECORD), None, "")
    tasks = dict.fromkeys(told["task"])
    every = [replayed(told, study, task, setting) for task in tasks for setting in SETTINGS]
    pd.concat(every, ignore_index=True).to_csv(REPLAYED, index=False)


if __name__ == "__main__":
    main()
