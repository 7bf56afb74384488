"""Random changes of training images, drawn from torch's global generators, which `Run` seeds at every step."""

import torch
from torch import Tensor
from torch.nn import functional


def cropped_and_flipped(images: Tensor, padding: int) -> Tensor:
    """Each image moved by up to `padding` pixels, black coming in, and mirrored left to right half of the time.

    One gather for the whole batch, on its device and in its dtype, by torch's global generator.

    Args:
        images: (batch, channels, height, width)
        padding: the farthest that an image moves, in pixels

    Returns:
        New images of the same shape.

    >>> images = torch.ones(2, 3, 8, 8, dtype=torch.uint8)
    >>> cropped_and_flipped(images, padding=2).shape
    torch.Size([2, 3, 8, 8])
    """
    batch, channels, height, width = images.shape
    device = images.device
    down, right = torch.randint(0, 2 * padding + 1, (2, batch, 1), device=device)
    mirrored = torch.rand(batch, 1, device=device) < 0.5
    rows = down + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(batch, width)
    columns = right + torch.where(mirrored, columns.flip(1), columns)
    padded = functional.pad(images, (padding,) * 4)
    examples, planes = torch.arange(batch, device=device), torch.arange(channels, device=device)
    return padded[examples.view(-1, 1, 1, 1), planes.view(-1, 1, 1), rows[:, None, :, None], columns[:, None, None]]
