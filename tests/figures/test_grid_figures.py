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
from study.figures import balance, collapse, vega
from study.figures import grid as heat
from study.figures.maps import DARK, HATCH, ON_DARK, ON_LIGHT, SHADES
from study.figures.vega import THEME
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.trial import Trial

TENSORS = ("1.weight", "4.weight")
approx = pytest.approx
QUANTITIES = ["validation", "test", "effective rate", "angle"]


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
    drawn = heat.chart(both[0])
    assert drawn.title.endswith(": normalised")
    assert [panel["title"]["text"] for panel in drawn.spec["concat"]] == QUANTITIES
    assert list(dict.fromkeys(drawn.data["quantity"])) == QUANTITIES
    cells, shown = both[0].mean("score"), drawn.data[drawn.data["quantity"] == "validation"]
    assert list(shown["label"]) == [f"{score:.4f}"[1:] for score in cells["score"]]
    assert shown["hatched"].sum() == (~cells["settled"]).sum() > 0
    assert shown["group"].nunique() == 11  # anti-diagonals of a square of 6
    assert all(np.ptp(line["rate"] * line["decay"]) < 1e-12 for _, line in shown.groupby("group"))
    still = vega.still(drawn)
    assert all(still.count(f">{text}<") >= 2 for text in shown["label"])  # once to keep what is beneath away from it
    hatches = re.findall(rf'<line [^>]*stroke="(?:{HATCH}|{ON_DARK})"', still)
    assert len(hatches) == 2 * drawn.data["hatched"].sum()  # two corners a cell


def test_an_arm_without_scale_invariant_tensors_has_scores_only(both):
    assert set(heat.chart(both[1]).data["quantity"]) == {"validation", "test"}
    assert balance.chart(both[1]) is None


def test_the_collapse_has_a_point_a_training_hollow_where_it_had_not_settled(both):
    drawn = collapse.chart(both)
    assert [panel["title"]["text"] for panel in drawn.spec["concat"]] == ["normalised", "unnormalised"]
    points = drawn.data.groupby("scheme")["settled"].agg(["size", "sum"])
    assert points.loc["normalised"].tolist() == [len(both[0].cells), both[0].cells["settled"].sum()]
    still = vega.still(drawn)
    assert still.count('fill="white" stroke="#') == (~drawn.data["settled"]).sum() > 0


def test_the_closed_forms_lie_on_the_lines_of_theory(both):
    drawn = balance.chart(both[0])
    panels = dict(list(drawn.data.groupby("quantity")))
    for quantity, slope in (("norm", 0.25), ("effective rate", 0.5)):
        assert np.polyfit(np.log(panels[quantity]["x"]), np.log(panels[quantity]["y"]), 1)[0] == approx(slope, abs=0.01)
    for quantity in ("angle", "relaxation"):
        assert panels[quantity]["y"].to_numpy() == approx(panels[quantity]["x"].to_numpy(), rel=0.01)
    for panel in drawn.spec["concat"]:  # theory goes through the points: from the first to the last
        ends = pd.DataFrame(panel["layer"][0]["data"]["values"])
        here = panels[panel["title"]["text"]]
        for tensor, line in ends.groupby("tensor"):
            mine = here[here["tensor"] == tensor] if tensor in TENSORS else here
            assert [line["y"].iloc[0], line["y"].iloc[-1]] == approx([mine["y"].min(), mine["y"].max()], rel=0.02)


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
    names = "grid-fashion_mlp_norm-normalised", "collapse-fashion_mlp_norm", "balance-fashion_mlp_norm-normalised"
    assert all(f'id="{name}"' in text for name in names)
    assert all(
        (tmp_path / "page" / "figures" / f"{name}.{kind}").is_file() for name in names for kind in ("svg", "csv")
    )
    record[record["scheme.lr"] == 1.0].to_csv(tmp_path / "line.csv", index=False)
    text = page(tmp_path / "line.csv", tmp_path / "other").path.read_text(encoding="utf-8")
    assert "anti-diagonal" not in text


def test_the_same_grid_gives_the_same_figure(both):
    assert vega.still(collapse.chart(both)) == vega.still(collapse.chart(both))


def test_a_diverged_cell_stands_at_chance_on_the_map():
    law = lambda rate, decay: math.nan if rate > 1 else score_of(rate, decay)  # noqa: E731
    (grid,) = grids(gridded(law=law), "max", 0.1)
    shown = heat.chart(grid).data
    assert list(shown[shown["quantity"] == "validation"]["label"]).count(".1000") == 6


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
        assert angles[-1] == approx([0.25, 0.25], rel=0.05)
    assert angles[0] == approx(angles[1], rel=0.05)


def test_words_on_a_map_keep_their_colour_on_a_dark_page(both):
    """The cells do: a page turns only the colours of its theme."""
    still = vega.still(heat.chart(both[0]))
    assert all(f'fill="{colour}"' in still for colour in (ON_LIGHT, ON_DARK))
    assert not {ON_LIGHT, ON_DARK, *SHADES} & set(THEME)
    for place, shade in enumerate(SHADES):
        assert contrast(shade, ON_DARK if place >= DARK else ON_LIGHT) >= 4.2


def contrast(one, other):
    """WCAG's ratio of two colours."""
    channels = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (one, other)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (light + 0.05) / (dark + 0.05)
