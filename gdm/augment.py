"""Non-leaky augmentation: images flipped, scaled, turned, stretched and moved at random, and labels that say how.

A network that is told the labels learns the distribution of augmented images for each of them; given zeros
when sampling, it makes images that are not augmented. The geometric transformations of Karras et al., "Elucidating
the Design Space of Diffusion-Based Generative Models" (2022), appendix F.2, written from the paper.

An image is resampled once, whatever happens to it: at twice the resolution, and brought back through a
low-pass filter, so that a shrunken image does not alias. Beyond its border it is mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gdm.arrays import frozen, index, namespace
from gdm.errors import DTypeError, ShapeError, ValueRangeError

SCALE = STRETCH = 0.2 * math.log(2)  # a standard deviation of the logarithm
SHIFT = 0.125  # a standard deviation, in sides of the image
UNIFORM, NORMAL = 9, 4  # random numbers for each image
_REACH = 3  # pixels: the reach of the Lanczos filter
_KEYS = -0.75  # a of Keys' cubic: the slope at a distance of one pixel, as PyTorch has it

Sample = Callable[[Any, Any, Any], Any]  # how a library reads images between their pixels: see `bicubic`


class Draws(NamedTuple):
    """How to transform each image of a batch, in this order; zeros (False) leave it alone."""

    x_flip: Any  # (batch,) bool: left and right
    y_flip: Any  # (batch,) bool: top and bottom
    scale: Any  # (batch,): enlarged by 2^(0.2 scale)
    angle: Any  # (batch,): turned by so many radians, from +x towards +y (clockwise on a screen)
    stretch: Any  # (batch,), from 0: enlarged by 2^(0.2 stretch) along an axis and shrunk as much across it
    axis: Any  # (batch,): twice the angle of that axis from +x towards +y, in radians
    shift: Any  # (batch, 2): moved by 0.125 shift sides of the image, along x and y

    def labels(self) -> Any:
        """Return what the network is told, (batch, 9): of order 1, all zeros for an image that is left alone.

        Columns: x-flip, y-flip, scale, cos(angle) - 1, sin(angle), stretch (cos(axis), sin(axis)), shift x, y.
        A label names one transformation: an axis and its opposite are the same, hence twice its angle.
        """
        xp = namespace(self.scale)
        turn = (xp.cos(self.angle) - 1, xp.sin(self.angle))
        stretch = (self.stretch * xp.cos(self.axis), self.stretch * xp.sin(self.axis))
        flips = (xp.astype(flip, self.scale.dtype) for flip in (self.x_flip, self.y_flip))
        return xp.stack([*flips, self.scale, *turn, *stretch, self.shift[:, 0], self.shift[:, 1]], axis=1)


def drawn(uniform: Any, normal: Any, probability: float) -> Draws:
    """Turn random numbers into transformations: each is active with this probability, the x-flip always.

    An active flip is a fair coin; scale and shift are normal, a stretch is the absolute value of a normal number
    along a uniform axis, the angle is uniform.

    Shapes: uniform (9, batch) in [0, 1), normal (4, batch)
    Raises: ValueRangeError for a probability outside [0, 1]
    """
    if not 0 <= probability <= 1:
        raise ValueRangeError(f"probability: expected 0 to 1, got {probability}; EDM uses 0.12 to 0.15")
    xp = namespace(uniform, normal)
    y_flip, scale, angle, stretch, shift = (uniform[number, :] < probability for number in range(4, UNIFORM))

    def where(active: Any, value: Any) -> Any:
        return value * xp.astype(active, normal.dtype)

    return Draws(
        x_flip=uniform[0, :] < 0.5,
        y_flip=(uniform[1, :] < 0.5) & y_flip,
        scale=where(scale, normal[0, :]),
        angle=where(angle, 2 * math.pi * (uniform[2, :] - 0.5)),
        stretch=where(stretch, xp.abs(normal[1, :])),
        axis=where(stretch, 2 * math.pi * (uniform[3, :] - 0.5)),
        shift=where(shift, normal[2:, :]).T,
    )


def apply(x: Any, draws: Draws, sample: Sample) -> tuple[Any, Any]:
    """Transform images as drawn; return them and their labels. Nothing waits for the device.

    Images that are merely flipped or left alone keep their bits, and each comes out the same in any batch. At sharp
    edges the filter overshoots by a few percent of their height, beyond the range of x too.

    sample: `bicubic`, or a library's own way to compute the same

    Shapes: x float (batch, C, H, W) -> (batch, C, H, W), (batch, 9)
    Raises: ShapeError, DTypeError
    """
    batch = draws.scale.shape[0]
    if len(x.shape) != 4 or x.shape[0] != batch:
        raise ShapeError(f"x: expected ({batch}, C, H, W), one draw per image, got {tuple(x.shape)}")
    xp = namespace(x, draws.scale)
    if x.dtype not in (xp.float32, xp.float64):
        raise DTypeError(f"x: expected float32 or float64, got {x.dtype}; cast it")
    x = xp.where(_spread(draws.x_flip), xp.flip(x, axis=3), x)
    x = xp.where(_spread(draws.y_flip), xp.flip(x, axis=2), x)
    moved = (draws.scale != 0) | (draws.angle != 0) | (draws.stretch != 0) | xp.any(draws.shift != 0, axis=1)
    return xp.where(_spread(moved), _resample(x, draws, sample), x), draws.labels()


def _resample(x: Any, draws: Draws, sample: Sample) -> Any:
    """Scale, turn, stretch and move: read the mirrored image, at half-pixels, where each half-pixel came from."""
    height, width = x.shape[2:]
    fine = _finer(_finer(x, 2), 3)
    columns, rows = _half_pixels(width, x), _half_pixels(height, x)
    shift_x, shift_y = (SHIFT * draws.shift[:, axis] for axis in (0, 1))
    column, row = _origin(
        draws, columns[None, None, :] - _spread3(shift_x * width), rows[None, :, None] - _spread3(shift_y * height)
    )
    values = sample(fine, column * (2 / max(width - 1, 1)), row * (2 / max(height - 1, 1)))
    return _coarser(_coarser(values, 2), 3)


def _origin(draws: Draws, x: Any, y: Any) -> tuple[Any, Any]:
    """Return where points lay before they were scaled, turned and stretched: pixels from the centre, (batch, h, w).

    A stretch of exp(s) along an axis at the angle a/2 is cosh(s) + sinh(s) [[cos a, sin a], [sin a, -cos a]].
    """
    xp = namespace(x, y)
    shrink = xp.exp(-SCALE * draws.scale)
    along, across = _spread3(xp.cosh(STRETCH * draws.stretch)), xp.sinh(STRETCH * draws.stretch)
    cos, sin = _spread3(across * xp.cos(draws.axis)), _spread3(across * xp.sin(draws.axis))
    x, y = along * x - (cos * x + sin * y), along * y - (sin * x - cos * y)
    cos, sin = _spread3(shrink * xp.cos(draws.angle)), _spread3(shrink * xp.sin(draws.angle))
    return cos * x + sin * y, cos * y - sin * x


def _half_pixels(side: int, like: Any) -> Any:
    """Return where `_coarser` needs samples: every half pixel, to its reach beyond the border; from the centre."""
    count = 2 * side - 1 + 2 * (2 * _REACH - 1)
    return (namespace(like).astype(index(range(count), like), like.dtype) - (count - 1) / 2) / 2


def _lanczos() -> list[float]:
    """Return the weights of the pixels 5/2, 3/2, 1/2, 1/2, ... away: sinc(d) sinc(d/3), with the sum 1.

    The filter of Lanczos (Duchon 1979) is 0 at whole pixels, so the pixels themselves are untouched by `_finer`.
    """
    distances = [math.pi * (tap + 0.5 - _REACH) for tap in range(2 * _REACH)]
    weights = [math.sin(d) / d * math.sin(d / _REACH) / (d / _REACH) for d in distances]
    return [weight / sum(weights) for weight in weights]


def _finer(x: Any, axis: int) -> Any:
    """Interpolate the mirrored image between its pixels: side n -> 2n - 1."""
    xp, side = namespace(x), x.shape[axis]
    mirrored = xp.take(x, index(_mirrored(1 - _REACH, side - 1 + _REACH, side), x), axis=axis)
    between = _weighted([_cut(mirrored, axis, slice(tap, tap + side - 1)) for tap in range(2 * _REACH)])
    pairs = xp.stack([_cut(x, axis, slice(side - 1)), between], axis=axis + 1)
    shape = (*x.shape[:axis], 2 * (side - 1), *x.shape[axis + 1 :])
    return xp.concat([xp.reshape(pairs, shape), _cut(x, axis, slice(side - 1, side))], axis=axis)


def _coarser(x: Any, axis: int) -> Any:
    """Keep every second sample of the low-passed image: side 2n - 1 + 10 -> n."""
    reach = 2 * _REACH - 1
    count = x.shape[axis] - 2 * reach
    around = [_cut(x, axis, slice(2 * tap, 2 * tap + count, 2)) for tap in range(2 * _REACH)]
    return (_cut(x, axis, slice(reach, reach + count, 2)) + _weighted(around)) / 2


def bicubic(images: Any, column: Any, row: Any) -> Any:
    """Read mirrored images between their pixels: 4 x 4 of them, weighted by Keys' cubic (1981).

    The centres of an image's first and last pixel lie at -1 and 1.

    Shapes: images (batch, C, H, W), column and row (batch, h, w) -> (batch, C, h, w)
    """
    xp = namespace(images, column, row)
    batch, channels, height, width = images.shape
    pixels = xp.reshape(xp.permute_dims(images, (0, 2, 3, 1)), (-1, channels))
    first = xp.astype(index(range(0, batch * height * width, height * width), images), xp.int32)[:, None, None]
    columns, rows = _taps(column, width), _taps(row, height)
    total = xp.zeros_like(column[..., None])
    for down, weight in rows:
        line = xp.zeros_like(total)
        for right, share in columns:
            place = xp.reshape(first + down * width + right, (-1,))
            line = line + share[..., None] * xp.reshape(xp.take(pixels, place, axis=0), (*column.shape, channels))
        total = total + weight[..., None] * line
    return xp.permute_dims(total, (0, 3, 1, 2))


def _taps(place: Any, side: int) -> list[tuple[Any, Any]]:
    """Return the four pixels around places in [-1, 1], mirrored, int32, and the weight of each."""
    xp, last = namespace(place), max(side - 1, 1)
    place = (place + 1) / 2 * (side - 1)
    before = xp.floor(place)
    part, start = place - before, xp.astype(before, xp.int32)
    weights = (_far(1 + part), _near(part), _near(1 - part), _far(2 - part))
    taps = (last - xp.abs((start + step) % (2 * last) - last) for step in (-1, 0, 1, 2))
    return [(xp.clip(tap, 0, side - 1), weight) for tap, weight in zip(taps, weights, strict=True)]


def _near(distance: Any) -> Any:
    """Keys' cubic up to a pixel away: (a + 2) d^3 - (a + 3) d^2 + 1."""
    return ((_KEYS + 2) * distance - (_KEYS + 3)) * distance * distance + 1


def _far(distance: Any) -> Any:
    """Keys' cubic between one and two pixels away: a d^3 - 5 a d^2 + 8 a d - 4 a."""
    return _KEYS * (((distance - 5) * distance + 8) * distance - 4)


def _cut(x: Any, axis: int, chosen: slice) -> Any:
    return x[tuple(chosen if number == axis else slice(None) for number in range(len(x.shape)))]


def _weighted(parts: Sequence[Any]) -> Any:
    """Sum in a fixed order, so that the bits of an image do not depend on its batch."""
    total = namespace(parts[0]).zeros_like(parts[0])
    for weight, part in zip(_lanczos(), parts, strict=True):
        total = total + weight * part
    return total


@lru_cache(maxsize=64)
def _mirrored(start: int, stop: int, side: int) -> np.ndarray:
    """Return the pixels that are seen at start, ..., stop - 1, beside an image of this side too."""
    last = max(side - 1, 1)
    return frozen(np.minimum(last - np.abs(np.arange(start, stop) % (2 * last) - last), side - 1))


def _spread(values: Any) -> Any:
    return values[:, None, None, None]


def _spread3(values: Any) -> Any:
    return values[:, None, None]
