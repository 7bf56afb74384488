"""The one field of every arm whose values were drawn log-uniformly: what it costs to know it can be told."""

from collections.abc import Mapping
from math import nan
from typing import Any, NamedTuple

import pandas as pd

from trainables.rates import RATES, SIDES
from trainables.refusal import Refusal, unknown
from trainables.space import LogUniform, domain_of

FIELD, LOW, HIGH, VALUE = "drawn_field", "drawn_low", "drawn_high", "drawn"  # the columns that say it


class Drawn(NamedTuple):
    """A field, and the ends between which its values were drawn, every logarithm equally likely."""

    field: str  # empty: there is nothing to know better
    low: float = nan  # NaN: not drawn so
    high: float = nan


def drawn_of(searched: Mapping[str, Any]) -> Drawn:
    """The field of an arm that whoever knows more would search less of: its rate, else the only one it searches.

    Args:
        searched: what the arm searches: a domain, as a study file writes it, by dotted key.

    >>> drawn_of({"scheme.lr": {"log_uniform": [1e-5, 10]}, "decay.weight_decay": {"uniform": [0, 1]}})
    Drawn(field='scheme.lr', low=1e-05, high=10.0)
    >>> drawn_of({"scheme.level": {"log_uniform": [0.1, 4]}}).field, drawn_of({}).field
    ('scheme.level', '')
    """
    told = {key: Drawn(key, *_ends(domain)) for key, domain in searched.items()}
    rates = [side + rate for side in ("", *SIDES) for rate in RATES]
    rate = next((told[key] for key in rates if key in told), None)
    only = [one for one in told.values() if one.low == one.low] if len(told) == 1 else []
    return rate or next(iter(only), Drawn(""))


def _ends(domain: Any) -> tuple[float, float]:
    """The ends of a log-uniform domain; of any other, which may be of another version of this program, NaN."""
    try:
        found = domain_of(domain)
    except Refusal:
        return nan, nan
    return (float(found.low), float(found.high)) if isinstance(found, LogUniform) else (nan, nan)


def with_drawn(table: pd.DataFrame, record: pd.DataFrame, searched: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A table of our own with what was drawn in four columns more; empty for arms of which nobody knows it.

    Args:
        table: a row a row of the record, with the column arm.
        record: as `study.tracking.read` gives it.
        searched: by arm, as `study.records.material.Material` has it.
    """
    told = {arm: drawn_of(domains) for arm, domains in searched.items()}
    arm, value = table["arm"].astype(str), pd.Series(nan, index=table.index, dtype=float)
    for field in {one.field for one in told.values()} & {*record.columns}:
        here = arm.isin([name for name, one in told.items() if one.field == field])
        given: Any = pd.to_numeric(record[field], errors="coerce")
        value = value.mask(here, given.astype(float))
    return _assigned(table, arm, told, value)


def with_rates(table: pd.DataFrame, asked: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Other people's table with the ends between which its learning rates were drawn.

    Args:
        table: validated; a scheme without any rate has none to know better.
        asked: the ends by scheme, '' for all others.

    Returns:
        The table with the four columns of `with_drawn`.

    Raises:
        Refusal: for a scheme that is not there, without a column lr, and for a rate outside of its ends.
    """
    scheme = table["scheme"].astype(str)
    if "lr" not in table:
        raise Refusal("--rates says from where to where learning rates were drawn, and there is no column lr")
    for name in asked:
        if name and name not in set(scheme):
            raise unknown("scheme in --rates", name, list(dict.fromkeys(scheme)))
    told: dict[str, Drawn] = {}
    for name, rates in table["lr"].groupby(scheme, sort=False):
        ends, tried = asked.get(str(name), asked.get("")), rates.dropna().to_numpy(float)
        if tried.size == 0:
            told[str(name)] = Drawn("")
        elif ends is not None:
            told[str(name)] = Drawn("lr", *ends)
            if not ends[0] <= tried.min() <= tried.max() <= ends[1]:
                found = f"{tried.min():g} to {tried.max():g}"
                raise Refusal(f"--rates {ends[0]:g},{ends[1]:g}, and trials of {name} have rates from {found}")
    return _assigned(table, scheme, told, table["lr"])


def _assigned(table: pd.DataFrame, name: Any, told: Mapping[str, Drawn], value: Any) -> pd.DataFrame:
    """The table with the four columns, of each row that which its name says."""
    columns = {FIELD: "field", LOW: "low", HIGH: "high"}
    parts = {ours: name.map({key: getattr(one, its) for key, one in told.items()}) for ours, its in columns.items()}
    return table.assign(**parts, **{VALUE: value})
