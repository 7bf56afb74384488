"""Published numbers beside ours, as a table of the page: one row an arm, one column a number."""

from typing import Any

from study.answers.published import beside, verdict
from study.records.material import Material
from study.reports.tables import Cell, Column, Row, Sheet


def sheets(material: Material, task: str) -> list[Sheet]:
    """Published numbers beside ours: one row an arm, one column a number.

    Args:
        material: the record, and its study file.
        task: whose arms are shown.

    Returns:
        One table; none where the file names no numbers of this task's arms.
    """
    published = material.file.published if material.file else None
    here: Any = material.record[material.record["task"] == task]
    if published is None or here.empty:
        return []
    found: Any = beside(here, published)
    found = found[found["trials"] > 0]
    names = list(dict.fromkeys(found["number"]))
    cells = {
        (row.arm, row.number): Cell(f"{row.ours:.4f}", f"theirs {row.theirs:.4f}; farthest {row.farthest:+.4f}")
        for row in found.itertuples()
    }
    rows = [Row(arm, [cells.get((arm, name), Cell("—")) for name in names]) for arm in dict.fromkeys(found["arm"])]
    columns = [Column(name, "our mean; theirs; the difference of our farthest trial") for name in names]
    return [Sheet("Published beside ours", verdict(found, published), columns, rows)] if rows else []
