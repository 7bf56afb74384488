"""Steps recorded as CUDA graphs: a network too small for its GPU waits for launches, and a graph is launched once.

Off unless the environment says LR_STUDY_CUDA_GRAPHS=1: until a recorded step has been held against a plain one on a GPU
(`pytest -m gpu tests/trainables/run/test_fused.py`), nobody gets one unasked.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from trainables.refusal import first_line

ASKED = "LR_STUDY_CUDA_GRAPHS"
WARM_UP = 3  # calls before recording: libraries choose their kernels, and take their memory, in the first ones


def captured(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """A pure function of tensors, recorded as a CUDA graph on a GPU where that is asked for; else the function itself.

    What it returns stays as it is until the next call.

    Args:
        function: of nestings of tensors on the device; it draws nothing at random and never looks at a value
        device: where it runs
    """
    return Captured(function) if device.type == "cuda" and os.environ.get(ASKED) == "1" else function


class Captured:
    """One graph for every form and shape of the arguments; what cannot be recorded, or differs, runs as it is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._graphs: dict[Any, Graph | None] = {}

    def __call__(self, *arguments: Any) -> Any:
        leaves, form = tree_flatten(arguments)
        shapes = [(leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        key = (str(form), *map(str, shapes))
        if key not in self._graphs:
            self._graphs[key] = self._recorded(arguments)
        graph = self._graphs[key]
        return self._function(*arguments) if graph is None else graph(*arguments)

    def _recorded(self, arguments: tuple[Any, ...]) -> "Graph | None":
        """The graph, once it has given what the function gives."""
        try:
            graph = Graph(self._function, arguments)
            ours, theirs = (tree_flatten(call(*arguments))[0] for call in (graph, self._function))
            torch.testing.assert_close(ours, theirs, equal_nan=True)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError) as error:
            sys.stderr.write(f"the step is not captured as a CUDA graph and runs as it is: {first_line(error)}\n")
            return None
        return graph


class Graph:
    """A recorded call: its arguments are copied to where they lay, and everything is launched at once."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Record one call.

        Args:
            function: pure.
            arguments: not written into.
        """
        leaves, form = tree_flatten(arguments)
        kept = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        own = tree_unflatten(kept, form)
        self._inputs = [leaf for leaf in kept if isinstance(leaf, Tensor)]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(*own)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = function(*own)

    def __call__(self, *arguments: Any) -> Any:
        given = [leaf for leaf in tree_flatten(arguments)[0] if isinstance(leaf, Tensor)]
        torch._foreach_copy_(self._inputs, given)  # type: ignore[attr-defined]  — one launch; torch has no public name
        self._graph.replay()
        return self._outputs
