"""Measured prices of steps beside a record: the cost of its trainings in gradients, and where nobody measured it."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from trainables.price import Price
from trainables.refusal import Refusal

GRADIENTS = "gradients"  # the unit: passes, each at what it took by the clock, in gradients of the same mini-batch
NOT_MEASURED = "no worker has measured it"
Prices: TypeAlias = Mapping[str, Sequence[Price]]  # by arm


def in_gradients(record: pd.DataFrame, prices: Prices) -> pd.Series:
    """The cost of every row in measured gradients: its passes, at the price of a pass in its arm.

    Args:
        record: as `study.tracking.read` gives it.
        prices: by arm.

    Returns:
        (rows,) NaN where no price, or more than one, was measured for the row's configuration.
    """
    found = pd.Series(float("nan"), index=record.index)
    for arm in dict.fromkeys(record["arm"]):
        here: Any = record["arm"] == arm
        measured = [price for price in prices.get(str(arm), ()) if not price.why]
        held = [(price, here & _holds(record, price)) for price in measured]
        number = sum((rows.astype(int) for _, rows in held), pd.Series(0, index=record.index))
        for price, rows in held:
            found = found.mask(rows & (number == 1), price.gradients_a_pass)
    return found * record["passes"]


def refuse_unmeasured(record: pd.DataFrame, prices: Prices) -> None:
    """Refuse a cost in gradients where a row has none.

    Args:
        record: as `study.tracking.read` gives it.
        prices: by arm.

    Raises:
        Refusal: in one line, which names the first such arm and why it has none.
    """
    for arm in dict.fromkeys(record["arm"][in_gradients(record, prices).isna()]):
        why = why_none(prices.get(str(arm), ()))
        raise Refusal(f"what a step of arm {arm!r} costs in gradients is not known: {why}")


def why_none(prices: Sequence[Price]) -> str:
    """Say why an arm has no price, or not one for each of its trainings.

    >>> why_none([Price("cpu", "cpu, 1 thread", 1.1, 1.0, 20), Price("cuda", "a GPU", 1.3, 1.0, 20)])
    'it was measured on two kinds of device, cpu (1.10) and cuda (1.30)'
    """
    if any(price.why for price in prices):
        return f"not measured, {next(price.why for price in prices if price.why)}"
    kinds = {price.device: price for price in prices}
    if len(kinds) > 1:
        told = " and ".join(f"{kind} ({price.gradients:.2f})" for kind, price in sorted(kinds.items()))
        return f"it was measured on two kinds of device, {told}"
    return f"not measured for one of its configurations: {NOT_MEASURED}" if prices else f"not measured, {NOT_MEASURED}"


def _holds(record: pd.DataFrame, price: Price) -> Any:
    """(rows,) true where a configuration has the sizes, names and switches that the price was measured at."""
    holds = pd.Series(data=True, index=record.index)
    for key, value in price.of.items():
        holds &= record[key] == value if key in record else False
    return holds
