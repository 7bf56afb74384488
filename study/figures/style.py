"""The look of every figure: one colour, line and marker a scheme, everywhere the same."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d"]
"""Okabe and Ito's, told apart by people who do not see all colours; without yellow, lost on white."""
STYLES = ["-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5))]
FEW = 4  # families from which hues tell them
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
INK, MUTED, LINE, BAD = "#1c1e21", "#646a73", "#d5d9de", "#b3261e"


class Look(NamedTuple):
    """A scheme's colour, line and marker."""

    colour: str
    line: Any
    marker: str


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


def plainly(value: float) -> str:
    """A number without an exponent where it is short: 1,000 but 1e-05."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:g}"
