"""The table: which torch function is carried by which jet. A new one is a function beside the others and a row."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order import (
    activations,
    arithmetic,
    attention,
    convolutions,
    elementary,
    losses,
    normalisation,
    pooling,
    products,
    recurrent,
    reductions,
    shapes,
)
from trainables.second_order.jets import Lifted, Parts

Lift = Callable[..., Lifted | Parts | None]
"""Takes the arguments of the torch function; None where it has no jet for them."""

_LAYERS: list[tuple[Lift, tuple[Any, ...]]] = [
    (products.linear, (functional.linear,)),
    (products.embedding, (functional.embedding,)),
    *((convolutions.convolution(f), (f,)) for f in (torch.conv1d, torch.conv2d, torch.conv3d)),
    *(
        (convolutions.transposed_convolution(f), (f,))
        for f in (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)
    ),
    (attention.attention, (functional.scaled_dot_product_attention,)),
    (normalisation.batch_norm, (functional.batch_norm,)),
    (normalisation.group_norm, (functional.group_norm,)),
    (normalisation.instance_norm, (functional.instance_norm,)),
    (normalisation.layer_norm, (functional.layer_norm,)),
    (normalisation.rms_norm, (functional.rms_norm,)),
    (pooling.max_pool2d, (functional.max_pool2d,)),
    (recurrent.gru, (torch.gru,)),
    (recurrent.lstm, (torch.lstm,)),
    (recurrent.gru_cell, (torch.gru_cell,)),
    (recurrent.lstm_cell, (torch.lstm_cell,)),
    (activations.dropout, (functional.dropout,)),
    (losses.cross_entropy, (functional.cross_entropy,)),
    (losses.binary_cross_entropy, (functional.binary_cross_entropy,)),
    (losses.binary_cross_entropy_with_logits, (functional.binary_cross_entropy_with_logits,)),
    (losses.mse_loss, (functional.mse_loss,)),
]

_ACTIVATIONS: list[tuple[Lift, tuple[Any, ...]]] = [
    (activations.relu, (functional.relu, torch.relu, Tensor.relu)),
    (activations.relu_, (functional.relu_, torch.relu_, Tensor.relu_)),
    (activations.relu6, (functional.relu6,)),
    (activations.hardtanh, (functional.hardtanh,)),
    (activations.hardsigmoid, (functional.hardsigmoid,)),
    (activations.hardswish, (functional.hardswish,)),
    (activations.leaky_relu, (functional.leaky_relu,)),
    (activations.elu, (functional.elu,)),
    (activations.tanh, (functional.tanh, torch.tanh, Tensor.tanh)),
    (activations.sigmoid, (functional.sigmoid, torch.sigmoid, Tensor.sigmoid)),
    (activations.logsigmoid, (functional.logsigmoid,)),
    (activations.silu, (functional.silu,)),
    (activations.gelu, (functional.gelu,)),
    (activations.softplus, (functional.softplus,)),
    (attention.softmax, (functional.softmax, torch.softmax, Tensor.softmax)),
    (attention.log_softmax, (functional.log_softmax, torch.log_softmax, Tensor.log_softmax)),
]

_ARITHMETIC: list[tuple[Lift, tuple[Any, ...]]] = [
    (arithmetic.add, (torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__)),
    (arithmetic.sub, (torch.sub, Tensor.sub, Tensor.__sub__)),
    (arithmetic.rsub, (torch.rsub, Tensor.__rsub__)),
    (arithmetic.mul, (torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__)),
    (arithmetic.div, (torch.div, Tensor.div, Tensor.__truediv__)),
    (arithmetic.rdiv, (Tensor.__rtruediv__, Tensor.__rdiv__)),
    (products.matmul, (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm)),
    (products.matmul, (torch.mv, Tensor.mv, torch.dot, Tensor.dot)),
    (products.addmm, (torch.addmm, Tensor.addmm)),
    (products.einsum, (torch.einsum,)),
    (elementary.power, (torch.pow, Tensor.pow, Tensor.__pow__)),
    (elementary.power_of, (Tensor.__rpow__,)),
    (elementary.square, (torch.square, Tensor.square)),
    (elementary.sqrt, (torch.sqrt, Tensor.sqrt)),
    (elementary.rsqrt, (torch.rsqrt, Tensor.rsqrt)),
    (elementary.reciprocal, (torch.reciprocal, Tensor.reciprocal)),
    (elementary.exp, (torch.exp, Tensor.exp)),
    (elementary.log, (torch.log, Tensor.log)),
    (elementary.sin, (torch.sin, Tensor.sin)),
    (elementary.cos, (torch.cos, Tensor.cos)),
    (elementary.absolute, (torch.abs, Tensor.abs, Tensor.__abs__)),
    (elementary.clamp, (torch.clamp, Tensor.clamp)),
    (elementary.clamp_min, (Tensor.clamp_min,)),
    (reductions.variance, (torch.var, Tensor.var)),
    (reductions.deviation, (torch.std, Tensor.std)),
    (reductions.variance_and_mean, (torch.var_mean,)),
    (reductions.norm, (torch.norm, Tensor.norm)),
    (reductions.linear_algebra_norm, (torch.linalg.norm,)),
    (reductions.vector_norm, (torch.linalg.vector_norm,)),
]

_SHAPES: list[tuple[Lift, tuple[Any, ...]]] = [
    (shapes.stack, (torch.stack,)),
    (shapes.cat, (torch.cat, torch.concat)),
    *((shapes.in_ranges(f), (f,)) for f in (torch.split, Tensor.split, torch.chunk, Tensor.chunk)),
    (shapes.unbind, (torch.unbind, Tensor.unbind)),
    (shapes.pad, (functional.pad,)),
    (shapes.masked_fill, (torch.masked_fill, Tensor.masked_fill)),
    (shapes.where, (torch.where,)),
    *((shapes.shaped_like(f), (f,)) for f in (Tensor.expand_as, Tensor.view_as, Tensor.type_as)),
    (shapes.where_by_method, (Tensor.where,)),
]

_LINEAR: list[Any] = [
    *(functional.avg_pool2d, functional.adaptive_avg_pool2d, functional.avg_pool1d, functional.adaptive_avg_pool1d),
    *(functional.interpolate, functional.pixel_shuffle, functional.unfold, functional.fold, functional.nll_loss),
    *(torch.flatten, Tensor.flatten, torch.reshape, Tensor.reshape, Tensor.view, Tensor.contiguous, Tensor.clone),
    *(torch.sum, Tensor.sum, torch.mean, Tensor.mean, torch.neg, Tensor.neg, Tensor.__neg__, Tensor.__getitem__),
    *(torch.squeeze, Tensor.squeeze, torch.unsqueeze, Tensor.unsqueeze, torch.unflatten, Tensor.unflatten),
    *(Tensor.t, torch.t, Tensor.T.__get__, Tensor.mT.__get__, torch.transpose, Tensor.transpose),  # type: ignore[attr-defined]
    *(torch.permute, Tensor.permute, torch.movedim, Tensor.movedim, torch.flip, Tensor.flip, torch.roll, Tensor.roll),
    *(Tensor.expand, Tensor.repeat, torch.repeat_interleave),
    *(torch.gather, Tensor.gather, torch.index_select, Tensor.index_select, torch.take_along_dim),
    *(torch.narrow, Tensor.narrow, torch.select, Tensor.select, torch.diagonal, Tensor.diagonal),
    *(torch.tril, Tensor.tril, torch.triu, Tensor.triu, torch.cumsum, Tensor.cumsum),
    *(Tensor.to, Tensor.float, Tensor.double),
]

_BEHIND: list[Any] = [Tensor.register_hook, Tensor.data.__get__, Tensor.grad_fn.__get__]  # type: ignore[attr-defined]
"""Operations that reach behind autograd's back: a derivative or a value may be another from here on."""

TABLE: dict[Any, Lift] = (
    {function: lift for lift, functions in _LAYERS + _ACTIVATIONS + _ARITHMETIC + _SHAPES for function in functions}
    | {function: arithmetic.linear_in_first(function) for function in _LINEAR}
    | {function: lambda *_: None for function in _BEHIND}
)
