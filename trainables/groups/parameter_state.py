"""The state of a rule by parameter: the form in which torch's optimizers, checkpoints and wrappers expect a state."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from operator import is_
from typing import Any, NamedTuple, TypeAlias

from torch.utils._pytree import MappingKey, SequenceKey, TreeSpec, tree_flatten_with_path, tree_leaves, tree_unflatten

from trainables.levels import layer_of
from trainables.refusal import Refusal

State: TypeAlias = Any
"""Any nesting of NamedTuples, tuples and dictionaries whose leaves are tensors."""

Entries: TypeAlias = Mapping[str, dict[str, Any]]
"""For every parameter's name, the tensors of its state by key."""


class Place(NamedTuple):
    """The parameters in whose entries a tensor is found, and the key under which it stands there."""

    owners: tuple[str, ...]
    key: str


class Layout(NamedTuple):
    """The form of a state: the places of its tensors, in the order of its leaves, and the nesting they belong in."""

    names: tuple[str, ...]  # the parameters
    places: list[Place]
    structure: TreeSpec


def layout_of(state: State, names: Collection[str]) -> Layout:
    """Find out which parameters every tensor of a state belongs to.

    What stands below a parameter's name belongs to it, what stands below a layer's name to the parameters of that
    layer, and everything else, such as the number of steps, to all of them.

    Args:
        state: of a rule
        names: the parameters' names, which carry the layers

    Returns:
        The layout, the same for every later state of the rule.

    >>> import torch
    >>> mean, lr = {"0.weight": torch.ones(2), "0.bias": torch.zeros(1)}, torch.tensor(0.1)
    >>> layout_of({"mean": mean, "lr": lr}, mean).places[1:]
    [Place(owners=('0.bias',), key='mean'), Place(owners=('0.weight', '0.bias'), key='lr')]
    """
    leaves, structure = tree_flatten_with_path(state)
    beside: dict[Any, set[str]] = defaultdict(set)  # the words that stand below a path
    for path, _ in leaves:
        for depth, step in enumerate(path):
            beside[path[:depth]].add(_word(step))
    own = {name: (name,) for name in names}
    layers = {layer_of(name): tuple(other for other in names if layer_of(other) == layer_of(name)) for name in names}

    def place(path: tuple[Any, ...]) -> Place:
        for depth in reversed(range(len(path))):
            words = beside[path[:depth]] if isinstance(path[depth], MappingKey) else None
            owners = own if words and words <= own.keys() else layers if words == layers.keys() else None
            if owners:
                return Place(owners[_word(path[depth])], _key(path[:depth] + path[depth + 1 :]))
        return Place(tuple(names), _key(path))

    return Layout(tuple(names), [place(path) for path, _ in leaves], structure)


def _word(step: Any) -> str:
    """One step of a path into a nesting, as text."""
    return str(step.key if isinstance(step, MappingKey) else step.idx if isinstance(step, SequenceKey) else step.name)


def _key(path: tuple[Any, ...]) -> str:
    return ".".join(filter(None, map(_word, path)))


def write(state: State, layout: Layout, entries: Entries) -> list[Any]:
    """Put a state into its parameters' entries.

    Args:
        state: of the form of the layout
        layout: its tensors' places
        entries: written into

    Returns:
        The tensors of the state.
    """
    leaves = tree_leaves(state)
    for leaf, (owners, key) in zip(leaves, layout.places, strict=True):
        for owner in owners:
            entries[owner][key] = leaf
    return leaves


def read(layout: Layout, entries: Entries) -> State:
    """Put a state together again from its parameters' entries.

    Args:
        layout: of the state
        entries: complete ones, as `write` leaves them

    Returns:
        The state in its own nesting.
    """
    return tree_unflatten([entries[owners[0]][key] for owners, key in layout.places], layout.structure)


class Standing:
    """The places of a state in the entries of its parameters, and whether it stands there still."""

    def __init__(self, leaves: Sequence[Any], layout: Layout, entries: Entries) -> None:
        """Remember the tensors of a state, as `write` has left them in the entries."""
        self._leaves, self._entries, self._layout = leaves, list(entries.values()), layout
        self._holders = [entries[owners[0]] for owners, _ in layout.places]
        self._keys = [key for _, key in layout.places]

    def holds(self, entries: Collection[dict[str, Any]]) -> bool:
        """True where `read` would find these very tensors in the entries, as quickly as can be told at every step."""
        if len(entries) != len(self._entries) or not all(map(is_, entries, self._entries)):
            return False
        return all(map(is_, map(dict.get, self._holders, self._keys), self._leaves))


def separate(entries: Entries) -> None:
    """Give every key a tensor of its own, where two hold the same one: torch's checkpoints are loaded in place."""
    holder: dict[int, str] = {}
    for entry in entries.values():
        for key, value in entry.items():
            if holder.setdefault(value.data_ptr(), key) != key:
                entry[key] = value.clone()


def adopted(saved: Entries, fresh: State, layout: Layout, frozen: Collection[str]) -> State:
    """Take over a saved state, every tensor in the type and on the device that it has in a fresh one.

    Args:
        saved: entries from elsewhere; those of frozen parameters may be missing, as torch's checkpoints leave them out
        fresh: the state before the first step
        layout: of both
        frozen: the parameters that take no gradient

    Returns:
        The state to go on from.

    Raises:
        Refusal: an entry is missing or has another shape.
    """
    leaves = []
    for (owners, key), like in zip(layout.places, tree_leaves(fresh), strict=True):
        found = next((saved[name][key] for name in owners if key in saved.get(name, {})), None)
        if found is None and not set(owners) <= set(frozen):
            raise Refusal(f"the state lacks {key!r} of parameter {owners[0]!r}: it is of another rule or model")
        value = like if found is None else found
        if value.shape != like.shape:
            shapes = f"{tuple(value.shape)} there and {tuple(like.shape)} here"
            raise Refusal(f"the state is of another model: {key!r} of parameter {owners[0]!r} is {shapes}")
        leaves.append(value.to(like))
    return tree_unflatten(leaves, layout.structure)


def in_order(saved: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """Bring a saved group's parameters into the order of ours, by their names; torch goes by place alone.

    Args:
        saved: a group of a `state_dict()`
        group: the group that it is for

    Returns:
        The saved group under our names; in its own order where the names are not the same ones, or not given.
    """
    there, here = saved.get("param_names"), group.get("param_names")
    if not here:
        return {key: value for key, value in saved.items() if key != "param_names"}
    ids = dict(zip(there or (), saved["params"], strict=False))
    known = ids.keys() == set(here) and len(ids) == len(here) == len(saved["params"])
    return {**saved, "params": [ids[name] for name in here] if known else saved["params"], "param_names": here}
