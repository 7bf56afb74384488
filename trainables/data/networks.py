"""Networks that several tasks share, and the classical initialisations."""

from itertools import pairwise
from typing import Literal, TypeAlias, TypeVar

from torch import nn

Init: TypeAlias = Literal["torch", "glorot", "he"]
M = TypeVar("M", bound=nn.Module)
EPS = 1e-10  # of `bare_norm`: torch's own, 1e-5, would let the length of short weights be seen


def bare_norm(channels: int, *, images: bool = False) -> nn.Module:
    """BatchNorm without affine parameters, after which the length of the weights before it cannot be seen.

    Args:
        channels: how many there are
        images: whether inputs are (batch, channels, height, width), else (batch, channels)

    >>> list(bare_norm(3).parameters())
    []
    """
    kind = nn.BatchNorm2d if images else nn.BatchNorm1d
    return kind(channels, eps=EPS, affine=False)


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of the given sizes on flattened inputs, with ReLU between them.

    >>> [tuple(param.shape) for param in mlp(4, 3, 2).parameters()]
    [(3, 4), (3,), (2, 3), (2,)]
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for num_in, num_out in pairwise(sizes):
        layers += [nn.Linear(num_in, num_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def initialised(network: M, init: Init) -> M:
    """The network, its linear and convolution weights drawn anew and its biases 0; `torch` leaves it as it is.

    `glorot`: U(±√6/√(n_in + n_out)), for tanh (Glorot & Bengio 2010, equation 16); `he`: U(±√6/√n_in), for ReLU
    (He et al. 2015, arXiv 1502.01852, equation 10). n counts a filter's whole window.

    Args:
        network: written into
        init: torch, glorot or he

    Returns:
        The same network.

    >>> layer = initialised(nn.Linear(3, 3), "glorot")
    >>> float(layer.weight.detach().abs().max()) <= 1.0, layer.bias.tolist()
    (True, [0.0, 0.0, 0.0])
    """
    draw = {"glorot": nn.init.xavier_uniform_, "he": nn.init.kaiming_uniform_}
    for module in network.modules() if init in draw else ():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            arguments = {"nonlinearity": "relu"} if init == "he" else {}
            draw[init](module.weight, **arguments)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
