"""The mini-batches of several trainings, side by side: each draws what it would draw by itself."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from trainables.components import name_of
from trainables.data import Tree, picked
from trainables.refusal import Refusal
from trainables.run.dropout import Noted, Site
from trainables.run.lanes import Drawn, stacked
from trainables.run.loop import Run
from trainables.seeds import seeded
from trainables.tasks import Task


class Drawing:
    """Draws the mini-batches of all lanes: rows, augmentation and dropout, of each from its own streams."""

    def __init__(self, lanes: Sequence[Run]) -> None:
        """`lanes` are the runs whose seeds, data and networks are drawn for."""
        self._lanes, self._first, self._device = tuple(lanes), lanes[0], lanes[0].device
        self._augments = type(self._first.task).augment is not Task.augment
        self._sites: dict[int, list[list[Site]]] = {}

    def batches(self, steps: int) -> list[Drawn]:
        """The mini-batches of a step; torch's global generators are left anywhere.

        Args:
            steps: before it
        """
        lanes = zip(*(lane.course.rows(steps) for lane in self._lanes), strict=True)
        rows = [torch.stack(every) for every in lanes]
        return [self._batch(some, steps, number) for number, some in enumerate(rows)]

    def first(self) -> Drawn:
        """The first mini-batch of the training data, the same rows for every lane."""
        rows = self._first.data.train.rows[: self._first.course.batch_size]
        with seeded(self._device, 0):
            return self._batch(rows.expand(len(self._lanes), -1), 0, 0)

    def _batch(self, rows: Tensor, steps: int, number: int) -> Drawn:
        """One mini-batch; `rows` (lanes, examples), `number` is that among those of a step."""
        split, sites, size = self._first.data.train, self._sites_of(rows), rows.shape[1]
        if not (self._augments or sites[0]):
            whole = split.at(rows.reshape(-1))
            inputs, targets = tree_map_only(Tensor, lambda leaf: leaf.unflatten(0, rows.shape), whole)
            return Drawn(inputs, targets, [], size)
        drawn = list[tuple[Tree, Tree, list[Tensor]]]()
        for lane, its, own in zip(self._lanes, rows, sites, strict=True):
            lane.seed_step(lane.course.noise(steps, number))
            inputs = lane.task.augment(picked(split.inputs, its))
            drawn.append((inputs, picked(split.targets, its), [site.mask() for site in own]))
        inputs, targets, masks = stacked(drawn, self._device)
        return Drawn(inputs, targets, masks, size)

    def _sites_of(self, rows: Tensor) -> list[list[Site]]:
        """The dropouts of every lane's network for mini-batches of this size."""
        size = rows.shape[1]
        if size not in self._sites:
            inputs = picked(self._first.data.train.inputs, rows[0])
            self._sites[size] = [_sites(lane, inputs) for lane in self._lanes]
        kinds = {tuple((site.kind, site.ones.shape) for site in own) for own in self._sites[size]}
        if len(kinds) > 1:
            raise Refusal(f"{name_of(type(self._first.task))} does not fuse: its networks drop at different places")
        return self._sites[size]


@torch.no_grad()
def _sites(lane: Run, inputs: Tree) -> list[Site]:
    """The dropouts of a lane's network, in the order of its calls."""
    buffers = {name: buffer.clone() for name, buffer in lane.buffers.items()}
    with Noted() as noted:
        lane.predictor(lane.params, buffers, lane.task.augment(inputs))
    return noted.sites
