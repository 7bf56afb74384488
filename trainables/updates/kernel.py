"""Functions of tensors, compiled for every length, that may be called on several tensors and see the sums over all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from trainables.updates.tanh import tanh

Function: TypeAlias = Callable[..., Sequence[Tensor]]
aten = torch.ops.aten

FUSED = {"cpp.enable_floating_point_contract_flag": "fast"}
"""A product and the sum that it goes into are rounded once: a sixth less time for what is bound by arithmetic."""

SUMS = (aten.sum.default, aten.sum.dim_IntList, aten.dot.default)
"""The operations whose result over several tensors is that of each, added up."""


class NotAdditive(Exception):
    """Raised for a function that makes a scalar of a tensor in another way than by a sum."""


class Kernel:
    """A function that writes over flat tensors, compiled in stages: one more for every sum that a later one waits for.

    A stage computes what is made of scalars alone, once and eagerly: inductor would compute it anew for every element,
    a double's βᵗ for instance in six times what Adam takes without. Then it loops over the tensors. What a later stage
    needs of an earlier one but its sums is computed anew: cheaper than to keep it. And nobody asks at a call whether it
    is given what it was compiled for, as torch.compile does in twenty times what a small loop takes: that is up to who
    calls.
    """

    def __init__(self, function: Function, *like: Tensor) -> None:
        """Compile a function.

        Args:
            function: of tensors; without branches on their values; it returns scalars
            like: examples: of scalars, and of tensors whose first length, one for all of them, is open but above 1

        Raises:
            NotAdditive: a scalar is made of a tensor, and is no sum.
        """
        traced, fakes = _traced(function, like)
        cut = Cut(list(traced.graph.nodes))
        self.stages = [_stage(traced, cut, fakes, place) for place in range(cut.count)]
        output = cut.nodes[-1]
        self.end = _part(traced, [*cut.given, *cut.sums()], list(output.args[0]))  # type: ignore[arg-type]


@dataclass
class Stage:
    """One loop over the tensors, and the scalars that it is given."""

    scalars: Callable[..., Sequence[Tensor]]  # of all that is given, and of the sums before
    loop: Callable[..., Sequence[Tensor]]  # of some that is given, and of these scalars; returns its own sums
    used: list[int]  # the places of those among what is given
    types: list[torch.dtype]  # of the sums

    def totals(self, parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """The sums over all tensors, of those over each."""
        columns = zip(self.types, zip(*parts, strict=True), strict=True)
        return [torch.stack([part.double() for part in column]).sum().to(dtype) for dtype, column in columns]


class Cut:
    """The operations of a function by stage: a scalar has the first one at which it is known, a tensor's likewise."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes, self.given = nodes, [node for node in nodes if node.op == "placeholder"]
        self._at: dict[Node, int] = {}
        self._sums: dict[Node, int] = {}  # each with the stage whose loop makes it
        for node in nodes[:-1]:
            at = max((self._at[other] for other in node.all_input_nodes), default=0)
            if _is_scalar(node) and any(not _is_scalar(other) for other in node.all_input_nodes):
                if node.target not in SUMS:
                    raise NotAdditive(str(node.target))
                self._sums[node], at = at, at + 1
            self._at[node] = at
        self.written = [node for node in nodes if node.target == aten.copy_.default]
        self.count = 1 + max([*(self._at[node] for node in self.written), *self._sums.values()], default=0)

    def sums(self, before: int | None = None) -> list[Node]:
        """The sums that the loops before a stage have made; without one, all of them."""
        return [node for node, at in self._sums.items() if before is None or at < before]

    def made(self, place: int) -> list[Node]:
        """The sums that the loop of a stage makes, and in the last one what is written."""
        own = [node for node, at in self._sums.items() if at == place]
        return own + (self.written if place == self.count - 1 else [])

    def loop(self, place: int) -> list[Node]:
        """All that a loop takes: what is given, and scalars."""
        found: dict[Node, None] = {}
        seen: set[Node] = set()
        open_ = [other for node in self.made(place) for other in node.all_input_nodes]
        while open_:
            node = open_.pop()
            if node not in seen:
                seen.add(node)
                if node.op == "placeholder" or _is_scalar(node):
                    found[node] = None
                else:
                    open_ += node.all_input_nodes
        return [node for node in self.nodes if node in found]


def _stage(traced: GraphModule, cut: Cut, fakes: Sequence[Tensor], place: int) -> Stage:
    taken, made = cut.loop(place), cut.made(place)
    used = [at for at, node in enumerate(cut.given) if node in taken]
    ready = [node for node in taken if node.op != "placeholder"]
    sums = [node for node in made if _is_scalar(node)]
    loop = _part(traced, [*(cut.given[at] for at in used), *ready], made, returned=sums)
    if len(sums) < len(made):
        likes = [*(fakes[at] for at in used), *(node.meta["val"] for node in ready)]
        run = _compiled(loop, likes)
    else:  # nothing but sums: torch's own are exact to the last place, and as fast as memory is
        run = loop.forward
    scalars = _part(traced, [*cut.given, *cut.sums(place)], ready)
    return Stage(scalars.forward, run, used, [node.meta["val"].dtype for node in sums])


def _compiled(loop: GraphModule, likes: Sequence[Tensor]) -> Any:
    """A loop compiled; its sums in double precision, as inductor adds up millions of numbers one after the other."""
    from torch._inductor.compile_fx import compile_fx  # takes a second, of which only who compiles has to know

    for node in loop.graph.nodes:
        if node.target == aten.dot.default:
            with loop.graph.inserting_before(node):
                node.args = (loop.graph.call_function(aten.mul.Tensor, node.args),)
            node.target = aten.sum.default
        if node.target in SUMS:
            node.kwargs = {**node.kwargs, "dtype": torch.float64}
    loop.recompile()
    return compile_fx(loop, list(likes), config_patches=FUSED)


def _traced(function: Function, like: Sequence[Tensor]) -> tuple[GraphModule, list[Tensor]]:
    """The operations of a function, for every first length of its tensors."""
    from torch._dispatch.python import enable_python_dispatcher
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    mode, fakes = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True), []  # constants of the function
    for tensor in like:
        sizes = [DimDynamic.STATIC if place else DimDynamic.DUCK for place in range(tensor.dim())]
        context = StatelessSymbolicContext(sizes)
        fakes.append(mode.from_tensor(torch.empty_like(tensor), symbolic_context=context))
    with enable_python_dispatcher():  # without it some operations know no open lengths
        return make_fx(function, decomposition_table={aten.tanh.default: tanh})(*fakes), fakes


def _is_scalar(node: Node) -> bool:
    """True of a tensor whose size does not depend on the open length."""
    value = node.meta.get("val")
    if node.op == "get_attr":
        return True
    return isinstance(value, Tensor) and not any(isinstance(size, torch.SymInt) for size in value.shape)


def _part(
    whole: GraphModule, given: Sequence[Node], made: Sequence[Node], returned: Sequence[Node] | None = None
) -> GraphModule:
    """The function that makes some of the operations from what is given; it returns all of them unless told which."""
    needed, open_ = set(), [node for node in made if node not in given]
    while open_:
        node = open_.pop()
        if node not in needed:
            needed.add(node)
            open_ += [other for other in node.all_input_nodes if other not in given]
    graph = Graph()
    own = {node: graph.placeholder(node.name) for node in given}
    for node in whole.graph.nodes:
        if node in needed:
            own[node] = graph.node_copy(node, own.__getitem__)
    graph.output(tuple(own[node] for node in (made if returned is None else returned)))
    return GraphModule(whole, graph)
