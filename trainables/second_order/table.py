"""The table: which torch function is carried by which jet. A new one is a function beside the others and a row."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order import activations, arithmetic, attention, losses, normalisation, pooling, products
from trainables.second_order.jets import Lifted

Lift = Callable[..., Lifted | None]
"""Takes the arguments of the torch function; None where it has no jet for them."""

_ROWS: list[tuple[Lift, tuple[Any, ...]]] = [
    (products.linear, (functional.linear,)),
    (products.conv2d, (functional.conv2d, torch.conv2d)),
    (activations.relu, (functional.relu, torch.relu, Tensor.relu)),
    (activations.tanh, (functional.tanh, torch.tanh, Tensor.tanh)),
    (activations.sigmoid, (functional.sigmoid, torch.sigmoid, Tensor.sigmoid)),
    (products.matmul, (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm)),
    (products.embedding, (functional.embedding,)),
    (attention.softmax, (functional.softmax, torch.softmax, Tensor.softmax)),
    (attention.log_softmax, (functional.log_softmax, torch.log_softmax, Tensor.log_softmax)),
    (attention.attention, (functional.scaled_dot_product_attention,)),
    (activations.silu, (functional.silu,)),
    (activations.leaky_relu, (functional.leaky_relu,)),
    (activations.elu, (functional.elu,)),
    (activations.log, (torch.log, Tensor.log)),
    (activations.gelu, (functional.gelu,)),
    (activations.power, (torch.pow, Tensor.pow, Tensor.__pow__)),
    (activations.square, (torch.square, Tensor.square)),
    (activations.sqrt, (torch.sqrt, Tensor.sqrt)),
    (activations.exp, (torch.exp, Tensor.exp)),
    (activations.dropout, (functional.dropout,)),
    (normalisation.batch_norm, (functional.batch_norm,)),
    (normalisation.group_norm, (functional.group_norm,)),
    (normalisation.layer_norm, (functional.layer_norm,)),
    (pooling.max_pool2d, (functional.max_pool2d,)),
    (losses.cross_entropy, (functional.cross_entropy,)),
    (losses.mse_loss, (functional.mse_loss,)),
    (arithmetic.add, (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__)),
    (arithmetic.sub, (torch.sub, Tensor.sub, Tensor.__sub__)),
    (arithmetic.rsub, (Tensor.__rsub__,)),
    (arithmetic.mul, (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)),
    (arithmetic.div, (torch.div, Tensor.div, Tensor.__truediv__)),
    (arithmetic.stack, (torch.stack,)),
]

_LINEAR: list[Any] = [
    *(functional.avg_pool2d, functional.adaptive_avg_pool2d),
    *(torch.flatten, Tensor.flatten, torch.reshape, Tensor.reshape, Tensor.view, Tensor.contiguous, Tensor.clone),
    *(torch.sum, Tensor.sum, torch.mean, Tensor.mean, torch.neg, Tensor.neg, Tensor.__neg__, Tensor.__getitem__),
    *(torch.squeeze, Tensor.squeeze, torch.unsqueeze, Tensor.unsqueeze, Tensor.t, Tensor.transpose, Tensor.permute),
]

_BEHIND: list[Any] = [Tensor.register_hook, Tensor.data.__get__, Tensor.grad_fn.__get__]  # type: ignore[attr-defined]
"""Operations that reach behind autograd's back: a derivative or a value may be another from here on."""

TABLE: dict[Any, Lift] = (
    {function: lift for lift, functions in _ROWS for function in functions}
    | {function: arithmetic.linear_in_first(function) for function in _LINEAR}
    | {function: lambda *_: None for function in _BEHIND}
)
