"""Looks of schemes: told apart by hue, mark and line together, by hue and mark alone where there are twenty."""

import itertools
import re

import numpy as np
import pytest
from conftest import ROOT

from study.figures.style import COLOURS, looks

DEUTAN = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]])
PROTAN = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]])
"""Machado, Oliveira and Fernandes (2009), table 1, severity 1, on linear light."""
CSS = (ROOT / "study" / "reports" / "page.css").read_text(encoding="utf-8")
TWENTY = [f"{family}{end}" for family in ("sgd", "adam", "cprop", "dog", "lion") for end in ("", "-a", "-b", "-c")]


LIGHT, DARK = (re.findall(r"--c\d: (#\w+)", part) for part in CSS.split("prefers-color-scheme: dark")[:2])
MANY = {
    "families": TWENTY,
    "unlike": [f"s{place}" for place in range(28)],
    "one": [f"s-{place}" for place in range(28)],
}


@pytest.mark.parametrize("schemes", MANY.values(), ids=list(MANY))
def test_no_two_schemes_look_alike(schemes):
    made = looks(schemes).values()
    assert len({str(look) for look in made}) == len({(look.colour, look.marker) for look in made}) == len(schemes)


def test_a_family_has_one_hue_where_there_are_more_schemes_than_hues():
    made = looks(TWENTY)
    hues = [
        {look.colour for scheme, look in made.items() if scheme.startswith(family)} for family in ("sgd", "adam", "dog")
    ]
    assert [len(hue) for hue in hues] == [1, 1, 1]
    assert len(set.union(*hues)) == 3


def test_a_page_on_white_has_the_hues_of_files():
    assert LIGHT == COLOURS


@pytest.mark.parametrize("seen", [np.eye(3), DEUTAN, PROTAN], ids=["all", "without green", "without red"])
@pytest.mark.parametrize("hues", [LIGHT, DARK], ids=["light", "dark"])
def test_hues_differ_for_people_who_do_not_see_all_colours(seen, hues):
    places = [_lab(seen @ _linear(colour)) for colour in hues]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(places, 2)) > 14


def _linear(colour):
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(linear):
    """CIE L*a*b* of linear sRGB, D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(to_xyz @ linear, 1e-6, None) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
