"""Write a table of a million rows, to be timed from disk to JSON.

    python tests/benchmarks/million_rows.py FILE [EPOCHS]
    /usr/bin/time -v lr-study cost FILE --target 0.9 --chance 0.1 --baseline scheme0 --json out.json

Ten schemes on one task share the rows; with EPOCHS 100 (default) 1,000 trials each, with EPOCHS 1
100,000 trials each.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def million_rows(epochs: int, schemes: int = 10, rows: int = 1_000_000) -> pd.DataFrame:
    """Saturating accuracy curves whose level depends on a log-uniform learning rate."""
    rng = np.random.default_rng(0)
    trials = rows // epochs // schemes
    scheme, trial, epoch = (axis.ravel() for axis in np.mgrid[0:schemes, 0:trials, 1 : epochs + 1])
    lr = 10 ** rng.uniform(-5, 2, schemes * trials)
    level = np.maximum(0.1, 0.93 - 0.0125 * (np.log10(lr) + 1.5) ** 2 + rng.normal(0, 0.004, lr.size))
    place = scheme * trials + trial
    score = 0.1 + (level[place] - 0.1) * (1 - np.exp(-5 * epoch / epochs)) + rng.normal(0, 0.001, rows)
    columns = {"task": "simulated", "scheme": np.char.add("scheme", scheme.astype(str)), "trial": trial}
    return pd.DataFrame({**columns, "lr": lr[place], **({"epoch": epoch} if epochs > 1 else {}), "score": score})


if __name__ == "__main__":
    table = million_rows(int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    path = Path(sys.argv[1])
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
