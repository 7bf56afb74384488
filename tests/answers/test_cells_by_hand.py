"""Cells of the shipped answers, computed again from the tables by a script that knows nothing of `study/`."""

import re
from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(__file__).parents[2] / "study" / "results"
CELLS = [  # README's words, the table, task, scheme
    ("0.25 [0.12 – 0.40]; 62 of 64", "schemes", "fashion_mlp", "prodigy"),
    ("7.16 [2.59 – 36.6]; 4 of 64", "schemes", "fashion_mlp", "curvature"),
    ("0.51 [0.15 – 1.28]; 13 of 64", "schemes", "mnist_logreg", "adamw-wsd"),
    ("0.91 [0.51 – 1.64]; 25 of 128", "rivals/mnist_logreg", "mnist_logreg", "schedule-free"),
    ("4.29 [1.90 – 16.6]; 5 of 128", "rivals/mnist_logreg", "mnist_logreg", "prodigy"),
    ("3.20 [1.48 – 9.56]; 7 of 128", "rivals/mnist_logreg", "mnist_logreg", "cprop"),
    ("0.23 [0.15 – 0.31]; 128 of 128", "rivals/fashion_mlp", "fashion_mlp", "prodigy"),
    ("7.00 [3.69 – 16.8]; 10 of 128", "rivals/fashion_mlp", "fashion_mlp", "curvature"),
    ("1.81 [1.02 – 3.43]; 19 of 128", "rivals/fashion_mlp", "fashion_mlp", "cprop"),
    ("0.083 [0.051 – 0.12]; 128 of 128", "rivals/mnist_lenet5", "mnist_lenet5", "prodigy"),
    ("0.68 [0.38 – 1.18]; 34 of 128", "rivals/mnist_lenet5", "mnist_lenet5", "schedule-free"),
    ("2.15 [1.09 – 5.03]; 11 of 128", "rivals/mnist_lenet5", "mnist_lenet5", "cprop"),
    ("0.52 [0.30 – 0.84]; 46 of 128", "rivals/mnist_lenet5_more", "mnist_lenet5", "adamw-wsd"),
    ("0.79 [0.46 – 1.26]; 54 of 128", "rivals/mnist_lenet5_more", "mnist_lenet5", "curvature"),
    ("1.21 [0.58 – 3.05]; 10 of 64", "rivals/mnist_lenet5_more", "mnist_lenet5", "cprop-adam"),
    ("0.17 [0.096 – 0.27]; 48 of 64", "rivals/mnist_lenet5_rest", "mnist_lenet5", "momo-adam"),
    ("0.24 [0.14 – 0.38]; 45 of 64", "rivals/mnist_lenet5_rest", "mnist_lenet5", "sps"),
    ("0.06 [0.016 – 0.13]; 48 of 48", "rivals/shakespeare_transformer", "shakespeare_transformer", "prodigy"),
    ("0.35 [0.09 – 0.96]; 14 of 48", "rivals/shakespeare_transformer", "shakespeare_transformer", "adam-cosine"),
    ("0.29 [0.17 – 0.45]; 48 of 48", "rivals/cifar10_preresnet_small", "cifar10_preresnet_small", "prodigy"),
    ("2.88 [1.50 – 5.75]; 15 of 48", "rivals/cifar10_preresnet_small", "cifar10_preresnet_small", "dog"),
    ("1.63 [0.83 – 3.30]; 20 of 48", "rivals/cifar10_preresnet_small", "cifar10_preresnet_small", "schedule-free"),
]


def expected_cost(rows: pd.DataFrame) -> tuple[float, int]:
    """Passes up to the first of n trials in random order that reaches the target, and the number h that do.

    A miss costs all of its passes, a hit those up to its first record at the target. Each miss comes before all hits
    once in h + 1 orders.
    """
    hits, misses, sign = [], [], -1 if set(rows["mode"]) == {"min"} else 1
    for _, records in rows.sort_values("epoch").groupby("k"):
        reached = records[sign * records["valid_score"] >= sign * records["target"]]
        ended_well = len(reached) and not records["diverged"].any()
        (hits if ended_well else misses).append((reached if ended_well else records.tail(1))["passes"].iloc[0])
    return sum(misses) / (len(hits) + 1) + sum(hits) / len(hits), len(hits)


def _two(share: float) -> str:
    """Two decimals, or two digits below a tenth."""
    return f"{share:.2f}" if share >= 0.1 else f"{share:.2g}"


@pytest.mark.parametrize(("words", "table", "task", "scheme"), CELLS, ids=lambda value: str(value)[:20])
def test_a_cell_of_the_readme_is_that_of_the_table(words, table, task, scheme):
    rows = pd.read_parquet(RESULTS / f"{table}.parquet").dropna(subset=["epoch"])
    whole = (
        rows if f"momentum-cosine-{task}" in set(rows["arm"]) else pd.read_parquet(RESULTS / f"rivals/{task}.parquet")
    )
    cost, hits = expected_cost(rows[rows["arm"] == f"{scheme}-{task}"])
    base, _ = expected_cost(whole[whole["arm"] == f"momentum-cosine-{task}"])
    assert re.match(r"([\d.]+) .*; (\d+) of", words).groups() == (_two(cost / base), str(hits))
    assert words in (RESULTS / "README.md").read_text(encoding="utf-8")
