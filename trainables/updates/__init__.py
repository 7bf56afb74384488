"""The move of the parameters: many tensors as one, written over from step to step, compiled or not."""

from typing import Any, TypeAlias

from trainables.updates.compiled import CompiledUpdate, ignores_zeros
from trainables.updates.compiled_flat import CompiledFlat
from trainables.updates.flat_update import FlatUpdate
from trainables.updates.tensorwise import is_tensorwise

Update: TypeAlias = FlatUpdate | CompiledFlat | CompiledUpdate
Composed: TypeAlias = Any  # `trainables.rules.Composed`: that file imports this one


def update_of(rule: Composed, compile: bool) -> Update:  # noqa: A002 — the word of a trial
    """The update of a rule that writes over its own memory.

    Args:
        rule: whose `update` it is
        compile: whether it is compiled, as it must be where the rule is not tensorwise
    """
    if not compile:
        return FlatUpdate(rule)
    elementwise = rule.direction.elementwise and rule.scheme.elementwise
    flat = is_tensorwise(rule) or (elementwise and ignores_zeros(rule))
    return CompiledFlat(rule) if flat else CompiledUpdate(rule)
