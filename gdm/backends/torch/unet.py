"""The DDPM++ U-Net of Song et al. 2021 as Karras et al. 2022 configure it: appendix B's network.

    x -> stem -> encoder -> middle -> decoder -> norm -> head -> y
           |________|__ skips __________|

Level l works on sides of ceil(H / 2^l) and channels * multipliers[l] channels. None of the papers' public
code is in here, but given the same weights both compute the same (`benchmarks/songunet_equality.py`);
this one also takes odd sides. The names of its parameters are those of the checkpoints, on every
backend; their layout is OIHW.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdm.backends.torch.embedding import Embedding
from gdm.backends.torch.layers import NEARLY_ZERO, Block, convolution, group_norm, shifts
from gdm.errors import ConfigError, ShapeError


class UNet(nn.Module):
    """Map images and a noise level to images of the same sides.

    Shapes: x (batch, in_channels, H, W), noise (batch,), labels (batch,) integers or (batch, classes)
        weights, film (batch, film) -> (batch, out_channels, H, W)
    Units: noise enters sinusoids of angular frequency 1 to 1/10000, so scale it to about 0..1000.

    Any H and W of at least 2^(levels - 1) will do; `resolution`, the shorter side, only names the levels:
    level l has attention if `resolution >> l` is in `attention`. The middle always has it.

    Weights are drawn by torch's global generator; fork it and set its seed for a reproducible network.

    Raises: ConfigError for sizes from which no network can be built; ShapeError for inputs that do not fit

        >>> network = UNet(1, 1, 8, channels=8, multipliers=(1, 2), blocks=1, attention=(4,))
        >>> network(torch.zeros(5, 1, 8, 8), torch.full((5,), 999.0)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        resolution: int,
        *,
        channels: int = 128,
        multipliers: Sequence[int] = (2, 2, 2),
        blocks: int = 4,
        attention: Sequence[int] = (16,),
        dropout: float = 0.0,
        classes: int = 0,
        film: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(resolution, channels, multipliers, blocks, dropout)
        self.in_channels = in_channels
        self.smallest_side = 2 ** (len(multipliers) - 1)
        levels = [
            Level(channels * multiplier, blocks, attention=resolution >> depth in attention)
            for depth, multiplier in enumerate(multipliers)
        ]
        last = levels[-1].width
        block = partial(Block, embedding=4 * channels, dropout=dropout)
        self.embedding = Embedding(channels, 4 * channels, classes=classes, film=film)
        self.stem = convolution(in_channels, channels, 3)
        self.encoder, skips = build_encoder(channels, levels, block)
        self.middle = nn.ModuleList([block(last, last, attention=True), block(last, last)])
        self.decoder = build_decoder(skips, levels, block)
        self.norm = group_norm(levels[0].width)
        self.head = convolution(levels[0].width, out_channels, 3, gain=NEARLY_ZERO)

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor | None = None, film: Tensor | None = None) -> Tensor:
        self.check_inputs(x, noise)
        blocks = (*self.encoder, *self.middle, *self.decoder)  # in the order in which they run
        shift = iter(shifts(cast("Sequence[Block]", blocks), self.embedding(noise, labels, film)))
        precision = x.dtype
        x = self.stem(x)
        skips = [x]
        for block in self.encoder:
            x = block(x, next(shift))
            skips.append(x)
        for block in self.middle:
            x = block(x, next(shift))
        for block in self.decoder:
            if block.resample == "up":
                x = block(x, next(shift), size=skips[-1].shape[-2:])
            else:
                x = block(torch.cat((x, skips.pop()), dim=1), next(shift))
        return self.head(F.silu(self.norm(x))).to(precision)

    def check_inputs(self, x: Tensor, noise: Tensor) -> None:
        """Refuse images and noise levels that the network cannot take."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            need = f"(batch, {self.in_channels}, H, W)"
            raise ShapeError(f"x: need {need}, got {tuple(x.shape)}; channels come second")
        if min(x.shape[-2:]) < self.smallest_side:
            need = f"sides of at least {self.smallest_side} for this many levels"
            raise ShapeError(f"x: need {need}, got {tuple(x.shape[-2:])}; build with fewer multipliers")
        if noise.shape != x.shape[:1]:
            raise ShapeError(f"noise: need one level per image, ({x.shape[0]},), got {tuple(noise.shape)}")


class Level(NamedTuple):
    """One resolution of the U-Net: channels, blocks on the way down (one more on the way up), attention."""

    width: int
    blocks: int
    attention: bool


def build_encoder(
    channels: int, levels: Sequence[Level], block: Callable[..., Block]
) -> tuple[nn.ModuleList, list[int]]:
    """Make the way down, and list the channels of the skips: those of the stem, then of each block."""
    encoder, skips = nn.ModuleList(), [channels]
    for depth, level in enumerate(levels):
        if depth > 0:
            encoder.append(block(skips[-1], skips[-1], resample="down"))
            skips.append(skips[-1])
        for _ in range(level.blocks):
            encoder.append(block(skips[-1], level.width, attention=level.attention))
            skips.append(level.width)
    return encoder, skips


def build_decoder(skips: Sequence[int], levels: Sequence[Level], block: Callable[..., Block]) -> nn.ModuleList:
    """Make the way up: each block but those that double takes one skip back, the last of a level attends."""
    decoder, skips, width = nn.ModuleList(), list(skips), levels[-1].width
    for level in reversed(levels):
        if level is not levels[-1]:
            decoder.append(block(width, width, resample="up"))
        for left in reversed(range(level.blocks + 1)):
            decoder.append(block(width + skips.pop(), level.width, attention=level.attention and left == 0))
            width = level.width
    return decoder


def check_sizes(resolution: int, channels: int, multipliers: Sequence[int], blocks: int, dropout: float) -> None:
    """Raise ConfigError for sizes from which no U-Net can be built."""
    if len(multipliers) == 0 or min(multipliers) < 1:
        got = tuple(multipliers)
        raise ConfigError(f"multipliers: need one positive integer per level, got {got}; try (1, 2)")
    side, most = 2 ** (len(multipliers) - 1), max(resolution, 1).bit_length()
    if resolution < side:
        raise ConfigError(
            f"multipliers: {len(multipliers)} levels need a side of at least {side}, got {resolution}; "
            f"use at most {most} multipliers"
        )
    if channels < 4 or channels % 2:
        remedy = max(4, channels + 1)
        raise ConfigError(f"channels: need an even number of at least 4, got {channels}; try {remedy}")
    if blocks < 1:
        raise ConfigError(f"blocks: need at least one block per level, got {blocks}; try 1")
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout: need a probability in [0, 1), got {dropout}; 0 turns it off")
