"""Grids over learning rate η and weight decay λ: what only their product decides, and what theory says of it.

After Li, Lyu & Arora 2020 (arXiv 2010.02916): where the loss does not see the length of a tensor w, noise and decay
balance after a few 1/(ηλ) steps, and then only the intrinsic rate ηλ matters. `cells` reads a record; `collapse`,
`slopes` and `relaxation` take arrays.
"""

from study.answers.grids.cells import Grid, grids
from study.answers.grids.collapse import Collapse, collapse
from study.answers.grids.relaxation import relaxation_rate
from study.answers.grids.slopes import Slope, slope_across, slope_within

__all__ = [
    "Collapse",
    "Grid",
    "Slope",
    "collapse",
    "grids",
    "relaxation_rate",
    "slope_across",
    "slope_within",
]
