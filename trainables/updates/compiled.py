"""The update of a composed rule, compiled: many parameters as one flat tensor, written over from step to step."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from trainables.components import floats, with_floats
from trainables.updates.flat import Packs, Tensors, packs_of

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any

FEW = 8
"""Up to so many parameters are compiled by name: their gradients then need not be gathered."""


class Standing(NamedTuple):
    """The memory that an update writes over, by name and as the compiled function takes it."""

    params: Tensors
    state: ComposedState
    packs: Packs
    flat: tuple[Tensors, ComposedState]
    grads: Tensors  # flat
    views: Tensors  # of these, by name
    numel: int  # of the parameters

    def holds(self, params: Tensors, state: ComposedState) -> bool:
        """Tell whether these are the very tensors of the step before.

        Args:
            params: by name
            state: of the rule

        Returns:
            True where none has to be laid into flat tensors.
        """
        parts = all(own is given for own, given in zip(self.state, state, strict=True))
        return parts and all(params[name] is own for name, own in self.params.items())


class CompiledUpdate:
    """`Composed.update`, compiled once for all rules that differ in real numbers only; other bits, same mathematics.

    It takes over the memory of parameters and state: what it returns stands where they stood. Out of place, every step
    would read the memory that it is about to write, which is a third of what such an update reads and writes.

    More than a few parameters lie in one flat tensor, for which the time to compile does not grow with their number.
    At the first step they are copied there; the parameters that are returned are views into it.
    """

    def __init__(self, rule: Composed) -> None:
        self._standing: Standing | None = None
        self._flat: bool | None = None
        self.follow(rule)

    def follow(self, rule: Composed) -> None:
        """Go on with a rule that differs in real numbers, such as a rate that a scheduler has set."""
        self._rule, numbers = rule, floats(rule)
        self._numbers = {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
        self._shape = with_floats(rule, dict.fromkeys(numbers, 0.0))

    def __call__(
        self, raw: Tensors, params: Tensors, state: ComposedState, progress: Tensor
    ) -> tuple[Tensors, ComposedState]:
        """Update the parameters.

        Args:
            raw: the gradient, by name
            params: by name; theirs is the memory that is written over
            state: from `init`, or from the step before; likewise
            progress: of the training, in [0, 1], a scalar

        Returns:
            The parameters after the step, and the state.
        """
        found = self._standing
        if found is None or not found.holds(params, state):
            if not self.gathers(params):
                return self._function(params)(self._numbers, raw, params, state, progress)
            found = self._standing = self._settled(raw, params, state)
        dense = self._rule.dense(raw, state)
        grads = [dense[name] for name in found.views]
        torch._foreach_copy_(list(found.views.values()), grads)  # type: ignore[attr-defined]  — torch has no public name
        self._function(found.flat[0])(self._numbers, found.grads, *found.flat, progress, found.numel)
        return found.params, found.state

    def _function(self, params: Tensors) -> Callable[..., Any]:
        """The compiled function for these parameters, or the flat tensors that stand for them."""
        return _compiled(self._shape, tuple((name, p.shape, p.dtype, p.device) for name, p in params.items()))

    def gathers(self, params: Tensors) -> bool:
        """True where gradients are copied, so that nothing that is remembered is one of them."""
        if self._flat is None:
            parts = self._rule.direction, self._rule.scheme
            elementwise = all(part.elementwise for part in parts)
            self._flat = len(params) > FEW and elementwise and ignores_zeros(self._rule)
        return self._flat

    def _settled(self, raw: Tensors, params: Tensors, state: ComposedState) -> Standing:
        """Parameters and state laid into flat tensors of their own."""
        apart = self._rule.decay.on == "matrices"
        packs = packs_of(params, raw, state.directions, apart, largest=None)
        own = state._replace(directions=packs.states(state.directions), scheme=packs.fields(state.scheme))
        flat, own = tree_map(torch.clone, (packs.joined(params), own))  # two places that hold one tensor hold two
        grads, views = {key: torch.zeros_like(tensor) for key, tensor in flat.items()}, packs.views()
        numel = sum(param.numel() for param in params.values())
        named = own._replace(directions=packs.named_states(own.directions), scheme=packs.named_fields(own.scheme))
        return Standing(views(flat), named, packs, (flat, own), grads, views(grads), numel)


def ignores_zeros(rule: Composed) -> bool:
    """True where zeros beside a tensor change nothing in what becomes of it, as a division of 0 by 0 would."""
    ends = []
    for padding in (0, 1):
        params = {"": torch.tensor([1.0] + [0.0] * padding)}
        state, progress = rule.init(params), torch.tensor(0.5, dtype=torch.float64)
        for _ in range(2):
            params, state = rule.update(params, params, state, progress, numel=1)
        ends.append([leaf.flatten()[:1].tolist() for leaf in tree_flatten((params, state))[0]])
    return ends[0] == ends[1]


def apart(old: Sequence[Tensor], new: Sequence[Tensor]) -> list[Tensor]:
    """The new tensors, cloned where one is handed on from one place to another: it would be overwritten there.

    Args:
        old: what is about to be written over, place by place
        new: with what
    """
    return [
        later.clone() if later is not here and any(later is other for other in old) else later
        for here, later in zip(old, new, strict=True)
    ]


@cache
def _compiled(shape: Composed, forms: tuple[Any, ...]) -> Callable[..., Any]:
    """The compiled update of every rule of this shape, for parameters of these forms: real numbers are inputs.

    With the number of elements given, parameters and state are flat, and nothing but written over.
    """

    def update(
        numbers: Mapping[str, Tensor],
        raw: Tensors,
        params: Tensors,
        state: ComposedState,
        progress: Tensor,
        numel: int | None = None,
    ) -> tuple[Tensors, ComposedState] | None:
        moved, after = with_floats(shape, numbers).update(raw, params, state, progress, numel=numel)
        old, _ = tree_flatten((params, state))
        new, structure = tree_flatten((moved, after))
        new = apart(old, new)
        flat = numel is not None  # then the next step gathers its gradient into the memory of this one
        given = () if flat else raw.values()
        for place, (here, later) in enumerate(zip(old, new, strict=True)):
            if (later.ndim > 0 or flat) and not any(later is kept for kept in (here, *given)):
                new[place] = here.copy_(later)
        return None if flat else tree_unflatten(new, structure)

    # Code of its own, for every `forms`, too: of one code torch compiles eight functions in a process, and runs all
    # others uncompiled, with other bits and without a word.
    update.__code__ = update.__code__.replace()
    return torch.compile(update, dynamic=False, backend=hoisted)


def hoisted(graph: GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Inductor, which would compute βᵗ anew for every element, for all but what is made of scalars alone.

    Args:
        graph: as torch.compile hands it to its backends
        inputs: likewise

    Returns:
        The compiled function.
    """
    from torch._inductor.compile_fx import compile_fx  # takes a second, of which only who compiles has to know
    from torch.fx.passes.split_module import split_module

    scalars: set[Node] = set()
    for node in graph.graph.nodes:
        made = node.op in ("call_function", "call_method") and not str(node.target).endswith("_")
        if _is_scalar(node) and (node.op == "placeholder" or (made and scalars.issuperset(node.all_input_nodes))):
            scalars.add(node)
    parts = split_module(graph, graph, lambda node: int(node not in scalars))  # type: ignore[arg-type]  — any module
    loop: Any = parts.submod_1
    likes = [node.meta["example_value"] for node in loop.graph.find_nodes(op="placeholder")]
    loop.forward = compile_fx(loop, likes)
    return parts


def _is_scalar(node: Node) -> bool:
    value = node.meta.get("example_value")
    return isinstance(value, Tensor) and value.dim() == 0 and value.device.type == "cpu"
