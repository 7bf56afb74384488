"""Other people's published curves, reproduced: minutes to an hour on a CPU, so only with `-m slow`.

pytest -m slow tests/trainables/run/test_published.py -s
"""

import csv
from statistics import mean

import pytest
from conftest import SHARED

from trainables.run.loop import Run
from trainables.trial import Trial

ANCHORS = SHARED / "anchors" / "deepobs_fmnist_2c2d.csv"


def published(scheme, lr):
    """DeepOBS's test accuracy after each epoch, from 0 on."""
    with ANCHORS.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["scheme"] == scheme and float(row["lr"]) == lr]
    return [float(row["score"]) for row in sorted(rows, key=lambda row: int(row["epoch"]))]


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.skipif(not ANCHORS.exists(), reason="needs ../shared/anchors, which is not here")
@pytest.mark.parametrize(
    ("scheme", "direction", "lr"),
    [("sgd", {}, 0.1), ("momentum", {"direction.momentum": 0.99}, 0.001), ("adam", {}, 0.001)],
)
def test_fashion_2c2d_is_within_a_point_and_a_half_of_deepobs_after_every_epoch(scheme, direction, lr):
    """The mean of two seeds: one seed's accuracy after the first epoch moves by two points, theirs is one seed."""
    protocol = {"task.valid_size": 0, "batch_size": 128, "epochs": 3.0, "evaluate_test": "epoch"}
    flat = {"task": "fashion_2c2d", "direction": scheme, **direction, "scheme.lr": lr, **protocol}
    runs = [[r.flat()["test_score"] for r in Run(Trial.parse({**flat, "seed": seed}))] for seed in range(2)]
    means = [mean(scores) for scores in zip(*runs, strict=True)]
    for epoch, (ours, theirs) in enumerate(zip(means, published(scheme, lr)[1:4], strict=True), start=1):
        print(f"| {scheme} | {lr:g} | {epoch} | {ours:.4f} | {theirs:.4f} | {100 * (ours - theirs):+.2f} |")
    assert means == pytest.approx(published(scheme, lr)[1:4], abs=0.015)
