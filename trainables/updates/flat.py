"""Many small tensors as one: those of one dtype and device lie behind one another in one flat tensor, each a view.

A rule whose arithmetic treats every element alone may be called once on that tensor instead of once a parameter: the
same bits, one kernel an operation. The dictionary of named tensors stays the public form, and whatever the views of a
flat tensor stand in, the next step finds them lying as it needs them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors  # as DDP's buckets are made

Tensors: TypeAlias = dict[str, Tensor]

BYTES = 64
"""Every tensor begins at a multiple of these, as one of its own would: products and sums then have the same bits."""

SMALL = 32_768
"""The elements of the largest tensor that is laid beside others; on more, a kernel takes longer than its start."""


_BY_NAME = ContextVar("by name", default=False)


@contextmanager
def by_name() -> Iterator[None]:
    """Call all arithmetic once a parameter, the form that is the reference.

    >>> with by_name():
    ...     packs_of({"a": torch.ones(2), "b": torch.ones(3)}, {}, {}, apart=False).joined({"a": 1, "b": 2})
    {'a': 1, 'b': 2}
    """
    before = _BY_NAME.set(True)
    try:
        yield
    finally:
        _BY_NAME.reset(before)


def owned(tensor: Tensor) -> Tensor:
    """The tensor, or a copy of it where it is a small part of what would be saved with it.

    >>> owned(torch.zeros(100)[:2]).untyped_storage().nbytes()
    8
    """
    whole = tensor.untyped_storage().nbytes() <= tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone()


def copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    """Copy tensors into others, all at once.

    Args:
        source: as many
        target: written into
    """
    if target:
        torch._foreach_copy_(target, source)  # type: ignore[attr-defined]  — torch has no public name


class Form(NamedTuple):
    """All of a parameter that says where it may lie."""

    name: str
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    dense: bool  # contiguous


class Pack:
    """The places of some tensors in one flat tensor, with zeros in between.

    >>> pack = Pack([Form("w", torch.Size([2, 2]), torch.float64, torch.device("cpu"), True)], False)
    >>> flat = pack.joined([torch.eye(2, dtype=torch.float64)])
    >>> flat.tolist(), pack.split(flat)[0].tolist()
    ([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
    """

    def __init__(self, forms: Sequence[Form], matrix: bool) -> None:
        """`matrix` gives the flat tensor two dimensions, rows of BYTES, for whom tells matrices from vectors."""
        size, device = forms[0].dtype.itemsize, forms[0].device
        self.names = [form.name for form in forms]
        self._shapes = [form.shape for form in forms]
        counts = [form.shape.numel() for form in forms]
        gaps = [-count % (BYTES // size) for count in counts]
        lengths = [count + gap for count, gap in zip(counts, gaps, strict=True)]
        self._starts = [size * start for start in accumulate(lengths[:-1], initial=0)]
        self._length = sum(lengths)
        self._shape = (self._length * size // BYTES, BYTES // size) if matrix else (self._length,)
        self._gaps = [torch.zeros(gap, dtype=forms[0].dtype, device=device) if gap else None for gap in gaps]
        likes = [torch.empty(form.shape, dtype=form.dtype, device="meta") for form in forms]
        self._likes, self._places = self._with_gaps(likes), self._with_gaps(range(len(forms)))

    @property
    def lies(self) -> bool:
        """True of one tensor without zeros behind it: wherever it lies, it is flat."""
        return self._gaps == [None]

    def _with_gaps(self, entries: Iterable[Any]) -> list[Any]:
        """The entries, each followed by the zeros behind it."""
        pairs = zip(entries, self._gaps, strict=True)
        return [each for entry, gap in pairs for each in ((entry,) if gap is None else (entry, gap))]

    def joined(self, tensors: Sequence[Tensor], copy: bool = False) -> Tensor:
        """The flat tensor of some tensors, without a copy where they are views of one already.

        Args:
            tensors: in the order of `names`
            copy: whether memory of its own is asked for

        Returns:
            One tensor.
        """
        first = tensors[0]
        if not copy and self._holds(tensors):
            stride = (self._shape[-1], 1)[-len(self._shape) :]
            return first.as_strided(self._shape, stride, first.storage_offset())
        return _flatten_dense_tensors(self._with_gaps(tensors)).view(self._shape)

    def _holds(self, tensors: Sequence[Tensor]) -> bool:
        first = tensors[0].data_ptr()
        if [tensor.data_ptr() - first for tensor in tensors] != self._starts:
            return False
        storage, size = tensors[0].untyped_storage(), tensors[0].element_size()
        room = storage.data_ptr() + storage.nbytes() - first
        return room >= self._length * size and first % BYTES == 0 and all(t.is_contiguous() for t in tensors)

    def split(self, flat: Tensor) -> list[Tensor]:
        """The views into a flat tensor, in the order of `names`."""
        found = _unflatten_dense_tensors(flat.view(-1), self._likes)
        return [view for view, place in zip(found, self._places, strict=True) if type(place) is int]

    def columns(self, states: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The fields of the states of its tensors, by name, each over all of them."""
        return list(zip(*(states[name] for name in self.names), strict=True))

    def spread(self, scales: Sequence[Tensor]) -> Tensor:
        """The flat tensor of what is broadcast against the tensors, in the order of `names`."""
        dtype = self._likes[0].dtype
        return self.joined([s.to(dtype).expand(shape) for s, shape in zip(scales, self._shapes, strict=True)])


class Packs:
    """A set of parameters as the tensors that arithmetic is called on: packs, each under its first name, and others."""

    def __init__(self, names: Sequence[str], packs: Sequence[Pack]) -> None:
        """`names` of all parameters, of which those in no pack stay tensors of their own."""
        self._names, self.packs = list(names), {pack.names[0]: pack for pack in packs}
        packed = {name for pack in packs for name in pack.names}
        self.alone = [name for name in names if name not in packed]

    def joined(self, tensors: Tensors, copy: bool = False) -> Tensors:
        """The tensors that arithmetic is called on.

        Args:
            tensors: one a parameter, shaped like it
            copy: whether packs need memory of their own
        """
        flat = {k: pack.joined([tensors[name] for name in pack.names], copy) for k, pack in self.packs.items()}
        return flat | {name: tensors[name] for name in self.alone}

    def spread(self, scales: Tensors) -> Tensors:
        """The same of tensors that are broadcast against the parameters."""
        flat = {k: pack.spread([scales[name] for name in pack.names]) for k, pack in self.packs.items()}
        return flat | {name: scales[name] for name in self.alone}

    def states(self, states: dict[str, Any]) -> dict[str, Any]:
        """The states of an elementwise direction, one a tensor that arithmetic is called on."""
        flat = {key: _joined_state(pack, states) for key, pack in self.packs.items()}
        return flat | {name: states[name] for name in self.alone}

    def fields(self, state: Any) -> Any:
        """The state of an elementwise scheme, its tensors by name joined."""
        return maker(state)([self.joined(own) if isinstance(own, dict) else own for own in state])

    def named_fields(self, state: Any) -> Any:
        """The state of an elementwise scheme, its tensors by name again."""
        views = self.views()
        return maker(state)([views(own) if isinstance(own, dict) else own for own in state])

    def agree(self, states: dict[str, Any]) -> bool:
        """True where the scalars of the states are the same all over each pack, so that one may stand for all."""
        columns = (column for pack in self.packs.values() for column in pack.columns(states))
        return all(are_one(column) for column in columns)

    def views(self) -> Callable[[Tensors], Tensors]:
        """A function from such tensors to those of the parameters by name; of one tensor always the same views."""
        seen: dict[int, tuple[Tensor, list[Tensor]]] = {}

        def split(key: str, flat: Tensor) -> list[Tensor]:
            if id(flat) not in seen:
                seen[id(flat)] = (flat, self.packs[key].split(flat))
            return seen[id(flat)][1]

        def named(flats: Tensors) -> Tensors:
            found = {name: flats[name] for name in self.alone}
            for key, pack in self.packs.items():
                found.update(zip(pack.names, split(key, flats[key]), strict=True))
            return {name: found[name] for name in self._names}

        return named

    def named_states(self, states: dict[str, Any]) -> dict[str, Any]:
        """The states by parameter, views into those of the packs."""
        found = {name: states[name] for name in self.alone}
        for key, pack in self.packs.items():
            state, count = states[key], len(pack.names)
            columns = [pack.split(leaf) if _is_flat(leaf) else [leaf] * count for leaf in state]
            rows = zip(*columns, strict=True) if columns else [()] * count
            found.update(zip(pack.names, map(maker(state), rows), strict=True))
        return {name: found[name] for name in self._names}


def _is_flat(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.dim() > 0


def are_one(column: Sequence[Any]) -> bool:
    """True where one field of several states is no scalar, or the same in all of them."""
    first = column[0]
    if not isinstance(first, Tensor) or first.dim() > 0 or all(leaf is first for leaf in column):
        return True
    if any((leaf.dtype, leaf.device) != (first.dtype, first.device) for leaf in column):
        return False
    return bool((torch.stack(list(column)) == first).all())


def _joined_state(pack: Pack, states: dict[str, Any]) -> Any:
    fields = [pack.joined(column) if _is_flat(column[0]) else column[0] for column in pack.columns(states)]
    return maker(states[pack.names[0]])(fields)


def maker(state: Any) -> Callable[[Any], Any]:
    """The function that makes a state of this form of its fields."""
    return getattr(type(state), "_make", type(state))


def packs_of(
    params: Tensors,
    grads: Tensors,
    states: dict[str, Any],
    apart: bool,
    largest: int | None = SMALL,
    singles: bool = False,
) -> Packs:
    """Find out which parameters may be one tensor at this step.

    None are while something watches that knows tensors by name: autograd, `vmap`, the compiler.

    Args:
        params: by name
        grads: their gradients, in the same order
        states: of an elementwise direction, by name
        apart: whether matrices are to be told from vectors
        largest: the elements of the largest parameter that is laid beside others; None: any number
        singles: whether one that is larger, or the only one of its kind, is a flat tensor by itself, and whether those
            without dimension lie behind others

    Returns:
        The packs; none where a gradient is of another kind than its parameter, or the states are of several ages.
    """
    named = Packs(list(params), [])
    if _BY_NAME.get() or _is_watched():
        return named
    forms = tuple(Form(name, p.shape, p.dtype, p.device, _is_plain(p)) for name, p in params.items())
    if any((g.dtype, g.device) != (form.dtype, form.device) for g, form in zip(grads.values(), forms, strict=True)):
        return named
    packs = _laid(forms, apart, largest, singles)
    return packs if packs.agree(states) else named


def _is_watched() -> bool:
    transformed = torch._C._functorch.peek_interpreter_stack()  # type: ignore[attr-defined]  — torch has no public name
    return torch.is_grad_enabled() or torch.compiler.is_compiling() or transformed is not None


def _is_plain(param: Tensor) -> bool:
    return type(param) in (Tensor, nn.Parameter) and param.is_contiguous() and not param.is_neg()


@lru_cache(maxsize=64)
def _laid(forms: tuple[Form, ...], apart: bool, largest: int | None, singles: bool) -> Packs:
    kinds: dict[Any, list[Form]] = defaultdict(list)
    for form in forms:
        count = form.shape.numel()
        large = largest is not None and count > largest
        if form.dense and (form.shape or singles) and count > 0 and (singles or not large):
            matrix = len(form.shape) > 1 or not apart
            kinds[form.dtype, form.device, matrix, form.name if large else ""].append(form)
    alone = singles or largest is None
    for own in kinds.values():
        own.sort(key=lambda form: not form.shape)  # of the first one, a state without dimension is a number of all
    packs = [Pack(own, matrix) for (_, _, matrix, _), own in kinds.items() if own[0].shape and (len(own) > 1 or alone)]
    return Packs([form.name for form in forms], packs)
