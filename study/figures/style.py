"""The look of every figure: one colour, line and marker a scheme, everywhere the same; names beside their lines."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d"]
"""Okabe and Ito's, told apart by people who do not see all colours; without yellow, lost on white."""
STYLES = ["-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5))]
FEW = 4  # families from which hues tell them
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
INK, MUTED, LINE, BAD = "#1c1e21", "#646a73", "#d5d9de", "#b3261e"
ON_LIGHT, ON_DARK = "#10202f", "#fdfdfd"  # on a cell of a map, which is the same on a light and on a dark page
FONT: dict[Any, Any] = {"font.family": "sans-serif", "font.size": 9, "axes.edgecolor": MUTED, "text.color": INK,
        "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED, "axes.linewidth": 0.8}  # fmt: skip
WIDTH = 4.7  # inches: a panel is as wide on a phone as half a desktop's page
TOP = 0.12  # inches above a plot
CHARACTER = 0.068  # inches of an average letter at 9 points
LONGEST = 24  # letters of a name beside its line


class Look(NamedTuple):
    """A scheme's colour, line and marker."""

    colour: str
    line: Any
    marker: str


class Panel(NamedTuple):
    """One figure of one task, and the numbers that it draws."""

    title: str
    figure: Figure
    data: pd.DataFrame


class LineEnd(NamedTuple):
    """The end of a line, and the scheme whose line it is."""

    x: float
    y: float
    scheme: str


def looks(schemes: Iterable[str]) -> dict[str, Look]:
    """One look a scheme, no two alike among the first 28: a hue of its own, or where there are more schemes than hues,
    one of its family, told by the first word of its name, with marks and lines of their own within.

    >>> looks(["sgd", "adam"])["adam"].colour
    '#d55e00'
    >>> many = looks(["sgd", "sgd-hd", "adam-cosine", "adam-wsd", "cprop", "cprop-adam", "prodigy", "dog"])
    >>> many["sgd"].colour == many["sgd-hd"].colour != many["cprop"].colour, many["sgd"].marker, many["sgd-hd"].marker
    (True, 'o', 's')
    """
    names = list(schemes)
    families = list(dict.fromkeys(map(_family, names)))
    alone = len(names) <= len(COLOURS) or len(families) < FEW  # a study of one family would have one hue
    made: dict[str, Look] = {}
    for place, scheme in enumerate(names):
        hue = (place if alone else families.index(_family(scheme))) % len(COLOURS)
        member = sum(look.colour == COLOURS[hue] for look in made.values())
        made[scheme] = Look(COLOURS[hue], STYLES[member % len(STYLES)], MARKERS[(hue + member) % len(MARKERS)])
    return made


def _family(scheme: str) -> str:
    return re.split(r"[-_ ]", scheme, maxsplit=1)[0]


def canvas(height: float, *, width: float = WIDTH, left: float = 0.62, right: float = 0.12, bottom: float = 0.5) -> Any:
    """A figure with one axes; margins in inches, so that they do not depend on what is drawn.

    Args:
        height: of the figure, in inches, as all that follow.
        width: of the figure.
        left: the margin for the names of the y axis.
        right: the margin for names beside lines.
        bottom: the margin for the names of the x axis.

    Returns:
        The axes.
    """
    with mpl.rc_context(FONT):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + TOP) / height))
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, width=0.8)
    return axes


def logarithmic(axis: Any, most: int = 8) -> None:
    """Make an axis one of decades, with 2 and 5 between them where there are few.

    Args:
        axis: matplotlib's, of axes on which all is drawn.
        most: how many ticks it may have.
    """
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = sorted(axis.get_view_interval())
    subs = (1.0, 2.0, 5.0) if low > 0 and high / low < 300 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_major_formatter(plainly)
    axis.set_minor_formatter(NullFormatter())


def margin(names: Iterable[str]) -> float:
    """The width of the longest name, in inches."""
    return CHARACTER * min(LONGEST, max((len(name) for name in names), default=0)) + 0.1


def short(name: str) -> str:
    """The name, cut where it would not fit beside its line."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def name_ends(axes: Any, ends: list[LineEnd], look: Mapping[str, Look]) -> None:
    """Write each name to the right of the plot beside the end of its line, moved apart where two would touch.

    Args:
        axes: on which the lines are drawn.
        ends: of the lines.
        look: of their schemes.
    """
    if not ends:
        return
    last = max(end.x for end in ends)
    for end in ends:
        if end.x < last:  # it ends within the plot: its name stands there
            where = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
            axes.annotate(short(end.scheme), (end.x, end.y), color=INK, fontsize=9, **where)
    to_axes = axes.transData + axes.transAxes.inverted()
    at = {end.scheme: to_axes.transform((end.x, end.y)) for end in ends if end.x == last}
    height = axes.get_position().height * axes.figure.get_figheight() * 72
    order = sorted(at, key=lambda scheme: at[scheme][1])
    places = spread(np.array([at[scheme][1] for scheme in order]), 11 / height)
    for scheme, place in zip(order, places, strict=True):
        x, y = at[scheme]
        axes.plot([x, 1.035], [y, place], color=look[scheme].colour, linewidth=0.8, alpha=0.7,
                  transform=axes.transAxes, clip_on=False)  # fmt: skip
        axes.text(1.05, place, short(scheme), transform=axes.transAxes, va="center", color=INK, fontsize=9)


def spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """(n,) ascending places as near to the wanted ones as a gap between neighbours allows, inside [0, 1] if they fit.

    Args:
        wanted: (n,) ascending.
        gap: the least distance of two places.

    >>> spread(np.array([0.5, 0.5, 0.9]), 0.2).round(9).tolist()
    [0.4, 0.6, 0.9]
    """
    blocks: list[tuple[float, int]] = []  # (sum of wanted starts, size): neighbours that touch move as one
    for place, value in enumerate(wanted):
        total, size = value - place * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / size:
            before = blocks.pop()
            total, size = total + before[0], size + before[1]
        blocks.append((total, size))
    starts = np.concatenate([np.full(size, total / size) for total, size in blocks])
    room = 1 - gap * (len(wanted) - 1)
    return (
        np.clip(starts, 0, room) + gap * np.arange(len(wanted)) if room > 0 else starts + gap * np.arange(len(wanted))
    )


def plainly(value: float, _: Any = None) -> str:
    """A tick's number without an exponent where it is short: 1,000 but 1e-05."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:g}"
