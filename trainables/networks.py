"""Networks that several tasks share."""

from itertools import pairwise

from torch import nn


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of the given sizes on flattened inputs, with ReLU between them.

    >>> [tuple(param.shape) for param in mlp(4, 3, 2).parameters()]
    [(3, 4), (3,), (2, 3), (2,)]
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for num_in, num_out in pairwise(sizes):
        layers += [nn.Linear(num_in, num_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
