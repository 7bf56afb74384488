"""The distance of two families of networks as functions: by the labels that independent runs predict."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]
DRAWS = 200


class Apart(NamedTuple):
    """The distance of two families, and what it would be if they were one."""

    distance: float
    expected: float  # mean over ways of dealing the same runs into two families
    chance: float  # share of those ways that give at least this distance


def label_shares(labels: Labels, num_classes: int) -> NDArray[np.float64]:
    """(examples, num_classes) the share of runs that predict each class.

    Args:
        labels: (runs, examples), from 0.
        num_classes: how many classes there are.

    >>> label_shares(np.array([[0, 1], [0, 0]]), 2).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    counts = [(labels == label).mean(axis=0) for label in range(num_classes)]
    return np.stack(counts, axis=1)


def distance(left: Labels, right: Labels, num_classes: int) -> float:
    """The total variation ½ Σ_c |p(c|x) − q(c|x)| between both families' distributions of labels, the mean over x.

    After Li, Lyu & Arora 2020 (arXiv 2010.02916, section 4): a family is one way to train, its runs differ by seed.
    Between families of one law it is not 0, because runs are few: `apart` tells what it is then.

    Args:
        left: (runs, examples) labels of one family.
        right: (runs, examples) of the other, for the same examples; it may have another number of runs.
        num_classes: how many classes there are.

    Returns:
        The distance, in [0, 1].

    >>> distance(np.array([[0, 0]]), np.array([[0, 1]]), 2)
    0.5
    """
    both = (label_shares(labels, num_classes) for labels in (left, right))
    return float(np.abs(next(both) - next(both)).sum(axis=1).mean() / 2)


def apart(left: Labels, right: Labels, num_classes: int, generator: np.random.Generator) -> Apart:
    """The distance, and a permutation test of whether both families are one.

    Args:
        left: (runs, examples) labels of one family.
        right: (runs, examples) of the other.
        num_classes: how many classes there are.
        generator: deals the runs anew to both sides.

    Returns:
        The distance found, its mean when the runs are dealt anew, and the share of deals at least as far apart.
    """
    found, every = distance(left, right, num_classes), np.concatenate([left, right])
    dealt = np.empty(DRAWS)
    for draw in range(DRAWS):
        order = generator.permutation(len(every))
        dealt[draw] = distance(every[order[: len(left)]], every[order[len(left) :]], num_classes)
    chance = (1 + int((dealt >= found - 1e-12).sum())) / (1 + DRAWS)
    return Apart(found, float(dealt.mean()), chance)
