"""Samplers: a new release of Optuna changes no study unseen."""

import json

import pytest
from suggestions import CASES, GOLDEN, TRIALS, suggestions

ROUNDING = {"gp": 1e-3}  # it climbs by gradients, whose last digits are those of torch and the machine


@pytest.mark.parametrize("name", CASES)
def test_sixteen_suggestions_are_those_of_the_golden_list(name):
    wanted = json.loads(GOLDEN.read_text())[name]
    assert len(wanted) == TRIALS
    for found, golden in zip(suggestions(CASES[name]), wanted, strict=True):
        assert found == pytest.approx(golden, rel=ROUNDING.get(name, 1e-9))
