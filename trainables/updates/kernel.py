"""Functions of tensors, compiled for every length, that cost no more to call than what they compute."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

Function: TypeAlias = Callable[..., Sequence[Tensor]]


class Kernel:
    """A function that writes over flat tensors and returns scalars, compiled by inductor in two parts.

    What is made of scalars alone is computed once and eagerly: inductor would compute it anew for every element, a
    double's βᵗ for instance in six times what Adam takes without. And nobody asks at a call whether it is given what it
    was compiled for, as torch.compile does in twenty times what a small loop takes: that is up to who calls.
    """

    def __init__(self, function: Function, *like: Tensor) -> None:
        """Compile a function.

        Args:
            function: of tensors; without branches on their values
            like: examples: of scalars, and of tensors whose first length, one for all of them, is open but above 1
        """
        from torch._inductor.compile_fx import compile_fx  # takes a second, of which only who compiles has to know

        traced, fakes = _traced(function, like)
        nodes = list(traced.graph.nodes)
        given = [node for node in nodes if node.op == "placeholder"]
        scalars = _scalars(nodes)
        ready = [node for node in scalars if any(user not in scalars for user in node.users)]
        loop = _part(traced, [*given, *ready], [node for node in nodes if node not in scalars])
        self._scalars = _part(traced, given, scalars, ready).forward
        self._loop: Any = compile_fx(loop, [*fakes, *(node.meta["val"] for node in ready)])

    def scalars(self, *given: Tensor) -> Sequence[Tensor]:
        """All that the loop needs of scalars: the same for all tensors that are given with the same ones."""
        return self._scalars(*given)

    def loop(self, scalars: Sequence[Tensor], *given: Tensor) -> Sequence[Tensor]:
        """Write over the tensors.

        Args:
            scalars: from the method of that name
            given: of the types and shapes, but for the first length, of the examples

        Returns:
            The function's results.
        """
        return self._loop(*given, *scalars)


def _traced(function: Function, like: Sequence[Tensor]) -> tuple[GraphModule, list[Tensor]]:
    """The operations of a function, for every first length of its tensors."""
    from torch._dispatch.python import enable_python_dispatcher
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    mode, fakes = FakeTensorMode(shape_env=ShapeEnv()), []
    for tensor in like:
        sizes = [DimDynamic.STATIC if place else DimDynamic.DUCK for place in range(tensor.dim())]
        context = StatelessSymbolicContext(sizes)
        fakes.append(mode.from_tensor(torch.empty_like(tensor), symbolic_context=context))
    with enable_python_dispatcher():  # without it some operations know no open lengths
        return make_fx(function)(*fakes), fakes


def _scalars(nodes: Sequence[Node]) -> list[Node]:
    """The operations on the CPU that make a scalar of scalars."""
    found: dict[Node, None] = {}
    for node in nodes:
        pure = node.op == "get_attr" or (node.op == "call_function" and not str(node.target).endswith("_.default"))
        made = all(each in found or (each.op == "placeholder" and _is_scalar(each)) for each in node.all_input_nodes)
        if pure and made and _is_scalar(node):
            found[node] = None
    return list(found)


def _is_scalar(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.dim() == 0 and value.device.type == "cpu"


def _part(
    whole: GraphModule, given: Sequence[Node], nodes: Sequence[Node], results: Sequence[Node] | None = None
) -> GraphModule:
    """Some of the operations as a function of what is given; of `results`, unless the output is among them."""
    graph = Graph()
    own = {node: graph.placeholder(node.name) for node in given}
    for node in nodes:
        if node not in own:
            own[node] = graph.node_copy(node, own.__getitem__)
    if results is not None:
        graph.output(tuple(own[node] for node in results))
    return GraphModule(whole, graph)
