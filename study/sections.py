"""What a study file asks its report to show beside the table: published numbers, a heat map."""

import pandas as pd

from study import beside, heat
from study.printing import Sheet
from study.reading import StudyFile


def sections(record: pd.DataFrame, file: StudyFile | None) -> list[Sheet]:
    """The tables that the file asks for, in the order of its fields; none where there is no file."""
    made: list[Sheet] = []
    if file and file.published:
        made.append(beside.sheet(record, file.published))
    if file and file.heat:
        made.append(heat.sheet(record, file.heat))
    return made
