"""The embedding vector that reaches every block: noise level, class, and a further conditioning vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdm.architecture import wave_frequencies
from gdm.conditioning import check_film, class_weights


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
        self.label = nn.Linear(classes, channels) if classes else None
        self.film = nn.Linear(film, channels, bias=False) if film else None
        self.first = nn.Linear(channels, width)
        self.second = nn.Linear(width, width)

    def forward(self, noise: Tensor, labels: Tensor | None = None, film: Tensor | None = None) -> Tensor:
        batch, dtype = noise.shape[0], self.first.weight.dtype
        angles = noise[:, None] * self.frequencies
        told = torch.cat((angles.sin(), angles.cos()), dim=1).to(dtype)
        weights = class_weights(labels, batch, 0 if self.label is None else self.label.in_features)
        if self.label is not None:
            told = told + self.label(weights.to(dtype) * math.sqrt(self.label.in_features))
        check_film(film, batch, 0 if self.film is None else self.film.in_features)
        if self.film is not None and film is not None:
            told = told + self.film(film.to(dtype))
        return F.silu(self.second(F.silu(self.first(told))))
