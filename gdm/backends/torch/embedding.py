"""The embedding vector that reaches every block: noise level, class, and a further conditioning vector."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdm.backends.torch.layers import linear
from gdm.errors import ShapeError, ValueRangeError


def wave_frequencies(count: int) -> np.ndarray:
    """Return `count` frequencies, falling geometrically from 1 to 1 / 10000, as float32.

    The powers are taken on the host, in float64, of operands rounded to float32: the same bits on every
    backend and device, and those of Karras et al. 2022's float32 table but for a last bit here and there.
    """
    exponents = np.arange(count, dtype=np.float32) / np.float32(count - 1)
    return np.power(float(np.float32(1e-4)), exponents.astype(np.float64)).astype(np.float32)


def class_weights(labels: Tensor | None, batch: int, classes: int) -> Tensor:
    """Turn labels into one weight per class: a one-hot row, or what was given as such.

    Shapes: labels (batch,) integers or (batch, classes) -> (batch, classes)
    Raises: ShapeError for no labels or another shape; ValueRangeError for a label outside 0..classes-1
        (seen on a CPU only: elsewhere the look would wait for the device)
    """
    expected = f"labels: need ({batch},) integers or ({batch}, {classes}) class weights"
    if labels is None:
        raise ShapeError(f"{expected}, got none; this network is class-conditional, so pass labels=")
    if labels.shape == (batch, classes):
        return labels
    if labels.shape != (batch,) or labels.is_floating_point():
        raise ShapeError(f"{expected}, got {tuple(labels.shape)} of {labels.dtype}; one label per image?")
    if labels.device.type == "cpu" and not torch.compiler.is_compiling():
        low, high = labels.aminmax()
        if low < 0 or high >= classes:
            got = f"{int(low)} to {int(high)}"
            raise ValueRangeError(f"labels: need 0 to {classes - 1}, got {got}; do they count from 1?")
    return labels[:, None] == torch.arange(classes, device=labels.device)


class Embedding(nn.Module):
    """What every block is told: sinusoids of the noise level, plus class and film vector, through two layers.

    Shapes: noise (batch,), labels (batch,) or (batch, classes), film (batch, film) -> (batch, width)
    Raises: ShapeError where labels or film are missing, unexpected, or of another shape
    """

    frequencies: Tensor

    def __init__(self, channels: int, width: int, *, classes: int = 0, film: int = 0) -> None:
        super().__init__()
        # Not persistent: a constant of the architecture, not something learnt.
        self.register_buffer("frequencies", torch.tensor(wave_frequencies(channels // 2)), persistent=False)
        self.label = linear(classes, channels) if classes else None
        self.film = linear(film, channels, bias=False) if film else None
        self.first = linear(channels, width)
        self.second = linear(width, width)

    def forward(self, noise: Tensor, labels: Tensor | None = None, film: Tensor | None = None) -> Tensor:
        batch, dtype = noise.shape[0], self.first.weight.dtype
        angles = noise[:, None] * self.frequencies
        told = torch.cat((angles.sin(), angles.cos()), dim=1).to(dtype)
        if self.label is not None:
            weights = class_weights(labels, batch, self.label.in_features).to(dtype)
            told = told + self.label(weights * math.sqrt(self.label.in_features))
        elif labels is not None:
            raise ShapeError("labels: this network has no classes; leave them out, or build it with classes=")
        if self.film is not None:
            size = (batch, self.film.in_features)
            if film is None or film.shape != size:
                got = "none" if film is None else tuple(film.shape)
                raise ShapeError(f"film: need vectors of shape {size}, got {got}; one vector per image?")
            told = told + self.film(film.to(dtype))
        elif film is not None:
            raise ShapeError("film: this network takes no film vector; leave it out, or build it with film=")
        return F.silu(self.second(F.silu(self.first(told))))
