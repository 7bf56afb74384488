"""Figures and tables of grids: on the page of any study with both axes, and they say what the record says."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gridded import gridded, score_of

from study import page
from study.answers.grids import grids
from study.answers.grids.predictions import predictions
from study.figures import balance, collapse
from study.figures import grid as heat
from study.figures.style import ON_DARK, ON_LIGHT
from study.figures.svg import THEME, svg_text
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.trial import Trial

TENSORS = ("1.weight", "4.weight")


def blind(rate, decay):
    """A control: the score follows η alone."""
    return 0.85 - 0.02 * abs(math.log2(rate) + 2)


@pytest.fixture(scope="module")
def record():
    ours = gridded(seeds=2, noise=0.002, tensors=TENSORS)
    control = gridded("unnormalised", noise=0.002, law=blind, tensors=())
    return pd.concat([ours, control], ignore_index=True)


@pytest.fixture(scope="module")
def both(record):
    return grids(record, "max", 0.1)


def test_a_heat_map_tells_every_cell_joins_equal_products_and_hatches_what_has_not_settled(both):
    panels = {panel.title: panel for panel in heat.panels(both[0])}
    assert list(panels) == [
        "normalised: validation",
        "normalised: test",
        "normalised: effective rate",
        "normalised: angle",
    ]
    axes = panels["normalised: validation"].figure.axes[0]
    cells = both[0].mean("score")
    assert sorted(text.get_text() for text in axes.texts) == sorted(f"{score:.4f}"[1:] for score in cells["score"])
    assert sum(patch.get_hatch() is not None for patch in axes.patches) == (~cells["settled"]).sum() > 0
    assert len(axes.lines) == 11  # anti-diagonals of a square of 6
    assert all((np.diff(line.get_xdata()) == 1).all() and (np.diff(line.get_ydata()) == 1).all() for line in axes.lines)


def test_an_arm_without_scale_invariant_tensors_has_scores_only(both):
    assert [panel.title for panel in heat.panels(both[1])] == [
        "unnormalised: validation",
        "unnormalised: test",
    ]
    assert balance.panels(both[1]) == []


def test_the_collapse_has_a_point_a_training_hollow_where_it_had_not_settled(both):
    axes = collapse.panel(both[0]).figure.axes[0]
    points = [line for line in axes.lines if line.get_linestyle() == "None" and line.get_transform() != axes.transAxes]
    hollow = sum(len(line.get_xdata()) for line in points if line.get_markerfacecolor() == "none")
    assert hollow == (~both[0].cells["settled"]).sum()
    assert sum(len(line.get_xdata()) for line in points) >= len(both[0].cells)


def test_the_closed_forms_lie_on_the_lines_of_theory(both):
    norm, effective, angle, relaxed = balance.panels(both[0])
    for panel, x, y, slope in ((norm, "ratio", "norm", 0.25), (effective, "product", "effective_lr", 0.5)):
        fitted = np.polyfit(np.log(panel.data[x].astype(float)), np.log(panel.data[y].astype(float)), 1)[0]
        assert fitted == pytest.approx(slope, abs=0.01)
    assert angle.data["angle"].to_numpy() == pytest.approx(angle.data["angle_predicted"].to_numpy(float), rel=0.01)
    assert relaxed.data["steps"].to_numpy() == pytest.approx(relaxed.data["predicted"].to_numpy(), rel=0.01)


def test_predictions_hold_where_they_are_true_and_not_where_they_are_false(both):
    ours, control = both
    told = {(one.number, one.claim.split(":")[0]): one.verdict for one in predictions(ours, [control])}
    assert set(told.values()) == {"holds"}
    assert [one.verdict for one in predictions(control, [ours])] == ["does not", "does not"]
    twisted = replace(ours, turning=ours.turning.assign(norm=ours.turning["norm"] ** 2, angle=1.0))
    verdicts = {one.claim[:7]: one.verdict for one in predictions(twisted, [])}
    assert verdicts["Slope ¼"] == verdicts["The ang"] == "does not"


def test_nothing_settled_is_not_testable(both):
    young = replace(both[0], cells=both[0].cells.assign(settled=False), turning=both[0].turning.assign(settled=False))
    assert predictions(young, [])[0].verdict == "not testable here"


def test_the_page_of_a_study_with_both_axes_has_them_and_of_one_without_has_not(record, tmp_path):
    record.to_csv(tmp_path / "grid.csv", index=False)
    text = page(tmp_path / "grid.csv", tmp_path / "page").path.read_text(encoding="utf-8")
    for words in (
        "What weight decay and learning rate decide together",
        "(8) Negative control: unnormalised",
        "Hatched",
    ):
        assert words in text
    assert re.search(r"<h4>.*normalised: validation</h4>", text)
    record[record["scheme.lr"] == 1.0].to_csv(tmp_path / "line.csv", index=False)
    text = page(tmp_path / "line.csv", tmp_path / "other").path.read_text(encoding="utf-8")
    assert "anti-diagonal" not in text


def test_the_same_grid_gives_the_same_figure(both):
    first, second = (svg_text(collapse.panel(both[0]).figure, "x") for _ in range(2))
    assert first == second


def test_a_diverged_cell_stands_at_chance_on_the_map():
    law = lambda rate, decay: math.nan if rate > 1 else score_of(rate, decay)  # noqa: E731
    (grid,) = grids(gridded(law=law), "max", 0.1)
    texts = [text.get_text() for text in heat.panels(grid)[0].figure.axes[0].texts]
    assert texts.count(".1000") == 6


def test_a_trained_network_turns_as_predicted_whatever_rate_and_decay_have_that_product():
    """η = ½ and 2, ηλ = 2⁻⁵: settled after 3/(ηλ) = 96 steps; of 313, the last third is measured."""
    angles = []
    for rate in (0.5, 2.0):
        flat = {"task": "fashion_mlp_norm", "task.hidden": 16, "task.valid_size": 50_000, "batch_size": 32, "epochs": 1}
        flat |= {"scheme.lr": rate, "decay.weight_decay": 2**-5 / rate, "scale_invariance": True, "record_every": 1 / 3}
        try:
            last = list(Run(Trial.parse({**flat, "evaluate_test": "never"})))[-1].extras
        except Refusal as refusal:
            pytest.skip(f"data is not here: {refusal}")
        angles.append([last[f"angle.{tensor}"] for tensor in TENSORS])
        assert angles[-1] == pytest.approx([0.25, 0.25], rel=0.05)
    assert angles[0] == pytest.approx(angles[1], rel=0.05)


def test_words_on_a_map_keep_their_colour_on_a_dark_page(both):
    """The cells do: a page turns only the colours of its theme."""
    texts = heat.panels(both[0])[0].figure.axes[0].texts
    assert {text.get_color() for text in texts} == {ON_LIGHT, ON_DARK}
    assert not {ON_LIGHT, ON_DARK} & set(THEME)
