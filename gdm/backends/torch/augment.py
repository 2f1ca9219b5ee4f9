"""How PyTorch reads images between their pixels, for `gdm.augment`: its own kernel is faster than array operations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def bicubic(images: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Read mirrored images between their pixels, as `gdm.augment.bicubic` does.

    Shapes: images (batch, C, H, W), column and row (batch, h, w), -1 to 1 from border to border -> (batch, C, h, w)
    """
    grid = torch.stack([column, row], dim=3)
    return functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=True)
