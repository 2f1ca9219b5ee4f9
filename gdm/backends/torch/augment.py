"""Non-leaky augmentation: images flipped, scaled, turned, stretched and moved at random, and labels that say how.

A network that is told the labels learns the distribution of augmented images for each of them; given zeros
when sampling, it makes images that are not augmented. The geometric transformations of Karras et al., "Elucidating
the Design Space of Diffusion-Based Generative Models" (2022), appendix F.2, written from the paper.

An image is resampled once, whatever happens to it: at twice the resolution, and brought back through a
low-pass filter, so that a shrunken image does not alias. Beyond its border it is mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gdm.errors import DTypeError, ShapeError, ValueRangeError

SCALE = STRETCH = 0.2 * math.log(2)  # a standard deviation of the logarithm
SHIFT = 0.125  # a standard deviation, in sides of the image
_REACH = 3  # pixels: the reach of the Lanczos filter


class Draws(NamedTuple):
    """How to transform each image of a batch, in this order; zeros (False) leave it alone."""

    x_flip: Tensor  # (batch,) bool: left and right
    y_flip: Tensor  # (batch,) bool: top and bottom
    scale: Tensor  # (batch,): enlarged by 2^(0.2 scale)
    angle: Tensor  # (batch,): turned by so many radians, from +x towards +y (clockwise on a screen)
    stretch: Tensor  # (batch,), from 0: enlarged by 2^(0.2 stretch) along an axis and shrunk as much across it
    axis: Tensor  # (batch,): twice the angle of that axis from +x towards +y, in radians
    shift: Tensor  # (batch, 2): moved by 0.125 shift sides of the image, along x and y

    def labels(self) -> Tensor:
        """Return what the network is told, (batch, 9): of order 1, all zeros for an image that is left alone.

        Columns: x-flip, y-flip, scale, cos(angle) - 1, sin(angle), stretch (cos(axis), sin(axis)), shift x, y.
        A label names one transformation: an axis and its opposite are the same, hence twice its angle.
        """
        turn = (self.angle.cos() - 1, self.angle.sin())
        stretch = (self.stretch * self.axis.cos(), self.stretch * self.axis.sin())
        flips = (self.x_flip.to(self.scale.dtype), self.y_flip.to(self.scale.dtype))
        return torch.stack([*flips, self.scale, *turn, *stretch, *self.shift.unbind(1)], dim=1)


def draw(batch: int, probability: float, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Draws:
    """Draw transformations, on the generator's device: each is active with this probability, the x-flip always.

    An active flip is a fair coin; scale and shift are normal, a stretch is the absolute value of a normal number
    along a uniform axis, the angle is uniform. The numbers of image i depend on (batch, i) and the generator alone,
    so processes that share a batch draw for all of it, and each keeps its rows.

    Raises: ValueRangeError for a probability outside [0, 1]
    """
    if not 0 <= probability <= 1:
        raise ValueRangeError(f"probability: expected 0 to 1, got {probability}; EDM uses 0.12 to 0.15")
    device = generator.device
    uniform = torch.rand(9, batch, generator=generator, device=device, dtype=dtype)
    normal = torch.randn(4, batch, generator=generator, device=device, dtype=dtype)
    active = uniform[4:] < probability
    angle, axis = 2 * math.pi * (uniform[2:4] - 0.5)
    return Draws(
        x_flip=uniform[0] < 0.5,
        y_flip=(uniform[1] < 0.5) & active[0],
        scale=normal[0] * active[1],
        angle=angle * active[2],
        stretch=normal[1].abs() * active[3],
        axis=axis * active[3],
        shift=(normal[2:] * active[4]).T,
    )


def augment(x: Tensor, probability: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Transform images at random, see `draw`; return them and their labels.

    Shapes: x float (batch, C, H, W), on the generator's device -> (batch, C, H, W), (batch, 9)
    Raises: ShapeError, DTypeError; ValueRangeError for a probability outside [0, 1]
    """
    return apply(x, draw(len(x), probability, generator, x.dtype))


def apply(x: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Transform images as drawn; return them and their labels. Nothing waits for the device.

    Images that are merely flipped or left alone keep their bits, and each comes out the same in any batch. At sharp
    edges the filter overshoots by a few percent of their height, beyond the range of x too.

    Shapes: x float (batch, C, H, W) -> (batch, C, H, W), (batch, 9)
    Raises: ShapeError, DTypeError
    """
    if x.ndim != 4 or len(x) != len(draws.scale):
        raise ShapeError(f"x: expected ({len(draws.scale)}, C, H, W), one draw per image, got {tuple(x.shape)}")
    if x.dtype not in (torch.float32, torch.float64):
        raise DTypeError(f"x: expected float32 or float64, got {x.dtype}; cast it")
    x = torch.where(_spread(draws.x_flip), x.flip(3), x)
    x = torch.where(_spread(draws.y_flip), x.flip(2), x)
    moved = (draws.scale != 0) | (draws.angle != 0) | (draws.stretch != 0) | (draws.shift != 0).any(1)
    return torch.where(_spread(moved), _resample(x, draws), x), draws.labels()


def _resample(x: Tensor, draws: Draws) -> Tensor:
    """Scale, turn, stretch and move: read the mirrored image, at half-pixels, where each half-pixel came from."""
    height, width = x.shape[2:]
    fine = _finer(_finer(x, 2), 3)
    columns, rows = _half_pixels(width, x), _half_pixels(height, x)
    shift_x, shift_y = (SHIFT * draws.shift).unbind(1)
    column, row = _origin(
        draws, columns[None, None, :] - _spread3(shift_x * width), rows[:, None] - _spread3(shift_y * height)
    )
    grid = torch.stack([column * (2 / max(width - 1, 1)), row * (2 / max(height - 1, 1))], dim=3)  # borders at -1, 1
    values = functional.grid_sample(fine, grid, mode="bicubic", padding_mode="reflection", align_corners=True)
    return _coarser(_coarser(values, 2), 3)


def _origin(draws: Draws, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return where points lay before they were scaled, turned and stretched: pixels from the centre, (batch, h, w).

    A stretch of exp(s) along an axis at the angle a/2 is cosh(s) + sinh(s) [[cos a, sin a], [sin a, -cos a]].
    """
    shrink = (-SCALE * draws.scale).exp()
    along, across = _spread3((STRETCH * draws.stretch).cosh()), (STRETCH * draws.stretch).sinh()
    cos, sin = _spread3(across * draws.axis.cos()), _spread3(across * draws.axis.sin())
    x, y = along * x - (cos * x + sin * y), along * y - (sin * x - cos * y)
    cos, sin = _spread3(shrink * draws.angle.cos()), _spread3(shrink * draws.angle.sin())
    return cos * x + sin * y, cos * y - sin * x


def _half_pixels(side: int, like: Tensor) -> Tensor:
    """Return where `_coarser` needs samples: every half pixel, to its reach beyond the border; from the centre."""
    count = 2 * side - 1 + 2 * (2 * _REACH - 1)
    return (torch.arange(count, device=like.device, dtype=like.dtype) - (count - 1) / 2) / 2


def _lanczos() -> list[float]:
    """Return the weights of the pixels 5/2, 3/2, 1/2, 1/2, ... away: sinc(d) sinc(d/3), with the sum 1.

    The filter of Lanczos (Duchon 1979) is 0 at whole pixels, so the pixels themselves are untouched by `_finer`.
    """
    distances = [math.pi * (tap + 0.5 - _REACH) for tap in range(2 * _REACH)]
    weights = [math.sin(d) / d * math.sin(d / _REACH) / (d / _REACH) for d in distances]
    return [weight / sum(weights) for weight in weights]


def _finer(x: Tensor, axis: int) -> Tensor:
    """Interpolate the mirrored image between its pixels: side n -> 2n - 1."""
    side = x.shape[axis]
    last = max(side - 1, 1)
    places = torch.arange(1 - _REACH, side - 1 + _REACH, device=x.device)
    mirrored = x.index_select(axis, (last - (places.remainder(2 * last) - last).abs()).clamp(max=side - 1))
    between = _weighted([mirrored.narrow(axis, tap, side - 1) for tap in range(2 * _REACH)])
    pairs = torch.stack([x.narrow(axis, 0, side - 1), between], dim=axis + 1).flatten(axis, axis + 1)
    return torch.cat([pairs, x.narrow(axis, side - 1, 1)], dim=axis)


def _coarser(x: Tensor, axis: int) -> Tensor:
    """Keep every second sample of the low-passed image: side 2n - 1 + 10 -> n."""
    steps = torch.arange(2 * _REACH - 1, x.shape[axis] - 2 * _REACH + 1, 2, device=x.device)
    around = [x.index_select(axis, steps + 2 * tap + 1 - 2 * _REACH) for tap in range(2 * _REACH)]
    return (x.index_select(axis, steps) + _weighted(around)) / 2


def _weighted(parts: Sequence[Tensor]) -> Tensor:
    """Sum in a fixed order, so that the bits of an image do not depend on its batch."""
    total = torch.zeros_like(parts[0])
    for weight, part in zip(_lanczos(), parts, strict=True):
        total = total + weight * part
    return total


def _spread(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _spread3(values: Tensor) -> Tensor:
    return values[:, None, None]
