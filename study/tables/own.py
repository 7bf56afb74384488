"""Our own record as a table of tuning cost."""

import pandas as pd

from study.tables import validated
from trainables.refusal import unknown

UNITS = {"passes": "passes", "flops": "flops", "steps": "steps", "epochs": "epoch", "seconds": "seconds"}


def read_own(study: str, uri: str, unit: str | None) -> pd.DataFrame:
    """The validated table of a recorded study: an arm is a scheme, its validation score the score.

    Costs are in `unit`, one of passes (gradient equivalents, the default), flops, steps, epochs and seconds. Trials
    that are still open are left out; a failed trial is charged for what it used.
    """
    from study.tracking import read

    unit = unit or "passes"
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    table = read(study, uri)
    table = table[table["status"] != "running"]
    named = {
        "task": table["task"],
        "scheme": table["arm"],
        "repetition": table["repetition"],
        "trial": table["k"],
        "seed": table["seed_number"],
        "epoch": table["epoch"],
        "score": table["valid_score"],
        "cost": table[UNITS[unit]],
        "status": table["status"],
        "searcher": table["searcher"],
    }
    optional = {"lr": "scheme.lr", "test_score": "test_score"}
    named |= {ours: table[theirs] for ours, theirs in optional.items() if theirs in table}
    return validated(pd.DataFrame(named))
