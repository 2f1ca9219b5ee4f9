"""The DDPM++ U-Net of Song et al. 2021 as Karras et al. 2022 configure it: appendix B's network.

    x -> stem -> encoder -> middle -> decoder -> norm -> head -> y
           |________|__ skips __________|

Level l works on sides of ceil(H / 2^l) and channels * multipliers[l] channels. None of the papers' public
code is in here, but given the same weights both compute the same (`benchmarks/songunet_equality.py`);
this one also takes odd sides. The names of its parameters are those of the checkpoints, on every
backend; their layout is OIHW.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdm.architecture import layout
from gdm.backends.torch.embedding import Embedding
from gdm.backends.torch.layers import Block, convolution, group_norm, shifts
from gdm.errors import ShapeError


class UNet(nn.Module):
    """Map images and a noise level to images of the same sides.

    Shapes: x (batch, in_channels, H, W), noise (batch,), labels (batch,) integers or (batch, classes)
        weights, film (batch, film) -> (batch, out_channels, H, W)
    Units: noise enters sinusoids of angular frequency 1 to 1/10000, so scale it to about 0..1000.

    Any H and W of at least 2^(levels - 1) will do; `resolution`, the shorter side, only names the levels:
    level l has attention if `resolution >> l` is in `attention`. The middle always has it.

    Weights begin as PyTorch's own layers do; `GroupwiseUNet` begins as the papers say.

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
        plans = layout(resolution, channels, multipliers, blocks, attention, dropout)
        self.in_channels = in_channels
        self.smallest_side = 2 ** (len(multipliers) - 1)
        width = channels * multipliers[0]
        block = partial(Block, embedding=4 * channels, dropout=dropout)
        self.embedding = Embedding(channels, 4 * channels, classes=classes, film=film)
        self.stem = convolution(in_channels, channels, 3)
        self.encoder, self.middle, self.decoder = (
            nn.ModuleList([block(**plan._asdict()) for plan in part]) for part in plans
        )
        self.norm = group_norm(width)
        self.head = convolution(width, out_channels, 3)

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
