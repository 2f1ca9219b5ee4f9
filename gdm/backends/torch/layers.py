"""The layers of the DDPM++ U-Net (Song et al. 2021, as configured by Karras et al. 2022).

Weights are OIHW. How a network's begin is in `gdm.parameters`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdm.architecture import NORM_EPSILON, RESIDUAL_SCALE, Resample, group_count


def convolution(inputs: int, outputs: int, side: int) -> nn.Conv2d:
    """Make a convolution that keeps the sides."""
    return nn.Conv2d(inputs, outputs, side, padding=side // 2)


def group_norm(channels: int) -> nn.GroupNorm:
    """Make a group normalisation of at most 32 equal groups with four channels or more in each."""
    return nn.GroupNorm(group_count(channels), channels, eps=NORM_EPSILON)


def shifts(blocks: Sequence[Block], embedding: Tensor) -> Sequence[Tensor]:
    """Return each block's shift of the embedding, from one product instead of one per block.

    Shapes: embedding (batch, E) -> for each block (batch, its outputs)
    """
    if hasattr(blocks[0].shift.weight, "device_mesh"):  # spread over processes: each gathers its own
        return [block.shift(embedding) for block in blocks]
    weight = torch.cat([block.shift.weight for block in blocks])
    bias = torch.cat([block.shift.bias for block in blocks])
    return F.linear(embedding, weight, bias).split([block.shift.out_features for block in blocks], dim=1)


def halve(x: Tensor) -> Tensor:
    """Average 2 x 2 pixels; on an odd side the last row or column averages what is there.

    Shapes: x (batch, C, H, W) -> (batch, C, ceil(H / 2), ceil(W / 2))
    """
    return F.avg_pool2d(x, 2, ceil_mode=True)


def double(x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Repeat each pixel 2 x 2, and crop the last row or column away where `size` has an odd side.

    Shapes: x (batch, C, ceil(H / 2), ceil(W / 2)) -> (batch, C, H, W), with size = (H, W)
    """
    doubled = F.interpolate(x, scale_factor=2, mode="nearest")
    if size is None or size == doubled.shape[-2:]:
        return doubled  # a slice, even of everything, would copy the gradient
    return doubled[..., : size[0], : size[1]]


def double_then(conv: nn.Conv2d, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Return conv(double(x, size)) for a 3 x 3 convolution, at 4/9 of its multiplications.

    An output pixel sees 2 x 2 pixels of x, each once or twice: with even sides this is one transposed convolution
    of stride 2, whose kernel is conv's, mirrored and summed over neighbours: w2, w2 + w1, w1 + w0, w0 per axis.

    Shapes: x (batch, C, ceil(H / 2), ceil(W / 2)) -> (batch, C', H, W), with size = (H, W)
    """
    if size is not None and size != (2 * x.shape[2], 2 * x.shape[3]):
        return conv(double(x, size))
    kernel = F.pad(conv.weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))  # as wide as (C, C', 5, 5)
    kernel = kernel[:, :, 1:] + kernel[:, :, :-1]
    kernel = kernel[..., 1:] + kernel[..., :-1]
    return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)


class Attention(nn.Module):
    """Self-attention of one head over all pixels, added to its input.

    Shapes: x (batch, C, H, W) -> (batch, C, H, W)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = convolution(channels, 3 * channels, 1)  # queries, keys, values
        self.out = convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = self.qkv(self.norm(x)).reshape(batch, 3, 1, channels, height * width)
        # each (batch, 1 head, pixels, C); the fused kernels want the features of a pixel side by side
        query, key, value = (part.transpose(2, 3).contiguous() for part in tokens.unbind(1))
        mixed = F.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(2, 3).reshape(batch, channels, height, width)
        return (x + self.out(mixed)) * RESIDUAL_SCALE


class Block(nn.Module):
    """Residual block: two 3 x 3 convolutions with the embedding between them, then maybe attention.

        h = conv_in(resample(silu(norm_in(x)))) + shift
        y = (shortcut(resample(x)) + conv_out(dropout(silu(norm_out(h))))) / sqrt(2)

    The shortcut is a 1 x 1 convolution where the block resamples or changes the channels, else the identity.
    The block owns the weights of its shift, a linear layer of the embedding; `shifts` applies those of all blocks.

    Shapes: x (batch, inputs, H, W), shift (batch, outputs) -> (batch, outputs, H', W'), where H', W' are
        H, W, or their halves rounded up ("down"), or the given `size` ("up").
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        resample: Resample | None = None,
        attention: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.dropout = dropout
        self.norm_in = group_norm(inputs)
        self.conv_in = convolution(inputs, outputs, 3)
        self.shift = nn.Linear(embedding, outputs)
        self.norm_out = group_norm(outputs)
        self.conv_out = convolution(outputs, outputs, 3)
        self.shortcut = convolution(inputs, outputs, 1) if resample or inputs != outputs else None
        self.attention = Attention(outputs) if attention else None

    def forward(self, x: Tensor, shift: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        branch = F.silu(self.norm_in(x))
        if self.resample == "down":
            branch, x = halve(branch), halve(x)
        if self.shortcut is not None:
            x = self.shortcut(x)  # on the smaller side: a 1 x 1 convolution commutes with resampling
        if self.resample == "up":
            branch, x = double_then(self.conv_in, branch, size), double(x, size)
        else:
            branch = self.conv_in(branch)
        branch = F.silu(self.norm_out(branch + shift[:, :, None, None]))
        if self.training and self.dropout > 0:
            branch = F.dropout(branch, self.dropout)
        x = (x + self.conv_out(branch)) * RESIDUAL_SCALE
        return x if self.attention is None else self.attention(x)
