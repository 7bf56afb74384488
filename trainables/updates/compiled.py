"""The update of a composed rule, compiled by name: for every set of parameters anew."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils._pytree import tree_flatten, tree_unflatten

from trainables.components import floats, with_floats
from trainables.updates.flat import Tensors

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any


class CompiledUpdate:
    """`Composed.update`, compiled once for all rules that differ in real numbers only; other bits, same mathematics.

    It takes over the memory of parameters and state: what it returns stands where they stood. Out of place, every step
    would read the memory that it is about to write, which is a third of what such an update reads and writes.
    """

    gathers: ClassVar[bool] = False  # what is remembered may be a gradient that was given

    def __init__(self, rule: Composed) -> None:
        self.follow(rule)

    def follow(self, rule: Composed) -> None:
        """Go on with a rule that differs in real numbers, such as a rate that a scheduler has set."""
        self._rule, numbers = rule, floats(rule)
        self._numbers = {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
        self._shape = with_floats(rule, dict.fromkeys(numbers, 0.0))

    def __call__(
        self, raw: Tensors, params: Tensors, state: ComposedState, progress: Tensor, frozen: Collection[str] = ()
    ) -> tuple[Tensors, ComposedState]:
        """Update the parameters.

        Args:
            raw: the gradient, by name
            params: by name; theirs is the memory that is written over
            state: from `init`, or from the step before; likewise
            progress: of the training, in [0, 1], a scalar
            frozen: the parameters that do not train: no mean over elements is over theirs

        Returns:
            The parameters after the step, and the state.
        """
        raw = self._rule.dense(raw, state)
        forms = tuple((name, p.shape, p.dtype, p.device) for name, p in params.items())
        return _compiled(self._shape, forms, tuple(frozen))(self._numbers, raw, params, state, progress)


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
def _compiled(shape: Composed, forms: tuple[Any, ...], frozen: tuple[str, ...]) -> Callable[..., Any]:
    """The compiled update of every rule of this shape, for parameters of these forms: real numbers are inputs."""

    def update(
        numbers: Mapping[str, Tensor], raw: Tensors, params: Tensors, state: ComposedState, progress: Tensor
    ) -> tuple[Tensors, ComposedState]:
        moved, after = with_floats(shape, numbers).update(raw, params, state, progress, frozen=frozen)
        old, _ = tree_flatten((params, state))
        new, structure = tree_flatten((moved, after))
        new = apart(old, new)
        for place, (here, later) in enumerate(zip(old, new, strict=True)):
            if later.ndim > 0 and not any(later is kept for kept in (here, *raw.values())):
                new[place] = here.copy_(later)
        return tree_unflatten(new, structure)

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
