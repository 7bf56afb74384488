"""Falls of the rate: the effective rate falls by all of it at once, and by half of it (in decades) in the end."""

from typing import Any

import numpy as np
import pandas as pd

from study.answers.grids.cells import DECAY, TRIAL

FALL = 0.8  # a rate below this share of the one before has fallen
LONGEST = 3.0  # times 1/(ηλ) after the fall: until then nothing has settled
COLUMNS = ["arm", "seed", "tensor", "factor", "at_once", "in_the_end", "settled"]


def drops(record: pd.DataFrame) -> pd.DataFrame:
    """One row a training whose rate falls once and then stays, two records at least, and tensor: over the one before.

    Where η becomes η/f while λ stays, theory (Li, Lyu & Arora 2020, arXiv 2010.02916) has η/‖w‖² fall to 1/f at once,
    because ‖w‖ has not moved yet, and then relax to 1/√f, as √(ηλ) does. `at_once` is told by the first record after
    the fall, when some of the way may be over; `settled` says whether 3/(ηλ) steps followed.
    """
    rows: list[dict[str, Any]] = []
    if DECAY not in record:  # of rules that have another
        return pd.DataFrame(columns=COLUMNS)
    finished: Any = record[record["status"] == "finished"]
    tensors = [name.removeprefix("effective_lr.") for name in record.columns if name.startswith("effective_lr.")]
    for key, trial in finished.sort_values([*TRIAL, "record"]).groupby(TRIAL, sort=False):
        rates = trial["lr"].to_numpy(float)
        falls = np.flatnonzero(rates[1:] < FALL * rates[:-1]) + 1
        stays = len(falls) == 1 and falls[0] < len(rates) - 1 and np.allclose(rates[falls[0] :], rates[-1])
        if not stays or _changes(trial):
            continue
        place, steps = int(falls[0]), trial["steps"].to_numpy(float)
        known = {"arm": key[0], "seed": key[3], "factor": rates[place - 1] / rates[place]}
        slow = float(trial[DECAY].iloc[0]) * rates[-1] * (steps[-1] - steps[place - 1])
        for tensor in tensors:
            effective = (
                trial[f"effective_lr.{tensor}"].to_numpy(float) / trial[f"effective_lr.{tensor}"].iloc[place - 1]
            )
            told = {"at_once": effective[place], "in_the_end": effective[-1], "settled": slow >= LONGEST}
            rows.append({**known, "tensor": tensor, **told})
    return pd.DataFrame(rows, columns=COLUMNS).dropna(subset=["at_once"])


def _changes(trial: Any) -> bool:
    """Whether the weight decay of a training has a schedule."""
    return "decay.schedule" in trial and bool((trial["decay.schedule"] != "constant").any())
