"""Steps until a loss over two hyper-parameters: light is soon, dark is late, hatched is never."""

from typing import Any

import numpy as np

from study.answers.heat_map import cell_text, steps_until, value_text
from study.figures import maps
from study.figures.vega import Chart, spec_of
from study.plan.file import Heat

CAPTION = "Steps of the first record whose loss is low enough, the darker the more; hatched: not within those given."


def chart(record: Any, heat: Heat) -> Chart | None:
    """The map of steps with its numbers; None where there is nothing in it.

    Args:
        record: as `study.tracking.read` gives it.
        heat: what the study file asks for.
    """
    cells: Any = steps_until(record, heat)
    if cells.empty:
        return None
    decades = np.log10(np.maximum(cells["steps"].to_numpy(float), 1.0))
    depths = (decades - decades.min()) / ((decades.max() - decades.min()) or 1.0)
    data = cells.rename(columns={"row": heat.rows, "column": heat.columns}).assign(
        across=cells["column"].map(value_text),
        down=cells["row"].map(value_text),
        label=[cell_text(cell) for cell in cells.itertuples()],
        shade=maps.shades(depths),
        hatched=~cells["reached"].astype(bool),
    )
    columns = list(dict.fromkeys(cells.sort_values("column", na_position="first")["column"].map(value_text)))
    rows = list(dict.fromkeys(data["down"]))
    title = f"Steps until {heat.loss} ≤ {heat.until:g}"
    sentence = f"{title}, by {heat.rows} and {heat.columns}."
    spec = spec_of(maps.drawn(columns, rows, (heat.columns, heat.rows)), sentence)
    return Chart("heat", title, CAPTION, sentence, spec, spec, data)
