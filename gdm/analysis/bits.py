"""Bits per dimension: how well a model predicts images of 8 bits, group by group, given the groups before.

A byte v is uniformly dequantised: v + u - 1/2 with u in [0, 1) has a density, of which the expected logarithm is at most
log P(v) (Theis et al. 2016). On the network's scale, x = (v + u - 1/2) / 127.5 - 1, that density is 127.5 times that of
x, so

    bits(v) = -log2 p(x) + d log2 127.5,

per dimension of d. Coordinates of an orthonormal basis have the same volume, so this holds for each group's d_j as well.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gdm import statistics
from gdm.errors import DTypeError, ValueRangeError
from gdm.flow import generator
from gdm.model import Model
from gdm.sampling import Labels
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps

SCALE = 127.5  # bytes per unit of x, as in gdm.pixels
EXACT = 32  # coordinates of the largest group for which the exact trace is the default
PROBES = 8  # random signs otherwise
REPEAT = 1 << 32  # numbers of noise between one repeat and the next: an image's is the same whatever their number


class Bits(NamedTuple):
    """Bits of images, in order of generation: an upper bound of -log2 P, in expectation.

    values: of each group of each image, the mean over repeats, (n, k); sizes: coordinates per group, (k,)
    repeats: bits per dimension of all images in each repeat, (repeats,): their spread is that of noise and probes
    probes: random signs of the trace; None is exact
    """

    values: np.ndarray
    sizes: np.ndarray
    repeats: np.ndarray
    probes: int | None

    @property
    def total(self) -> statistics.Estimate:
        """Bits per dimension of images; the error is that over images."""
        return statistics.mean(self.values.sum(axis=1) / self.sizes.sum())

    @property
    def groups(self) -> statistics.Estimate:
        """Bits per dimension of each group, given those before it, (k,)."""
        return statistics.mean(self.values / self.sizes)


def bits(
    model: Model,
    images: np.ndarray,
    *,
    steps: Steps = 64,
    solver: str | Solver = "heun",
    probes: int | None = None,
    exact: bool | None = None,
    repeats: int = 1,
    seed: int = 0,
    batch: int | None = None,
    labels: Labels = None,
    guidance: float = 1.0,
    schedule: Schedule | None = None,
) -> Bits:
    """Return the bits of images under a model.

    probes, exact: how the trace is found; by default exactly where groups have at most 32 coordinates, else by 8
        random signs for each image, which add noise but no bias
    repeats: with how much noise each image is dequantised, and probed, anew

    Shapes: images uint8 (n, *event)
    Raises: DTypeError for other images; as `Model.log_likelihood`
    """
    if images.dtype != np.uint8:
        raise DTypeError(f"images: expected uint8, got {images.dtype}; bits per dimension are of bytes")
    if repeats < 1 or (probes is not None and probes < 1) or (exact and probes):
        raise ValueRangeError(f"expected repeats >= 1, and probes >= 1 or exact, got {repeats}, {probes} and {exact}")
    chosen = schedule or model.schedule
    sizes = np.array(chosen.partition.sizes)
    probes = probes_of(chosen, probes, exact)
    found = []
    for first in range(0, repeats * REPEAT, REPEAT):
        x = dequantise(images, seed, first)
        given = {"steps": steps, "solver": solver, "batch": batch, "labels": labels, "guidance": guidance}
        nats = model.log_likelihood(x, probes=probes, seed=seed, first=first, schedule=schedule, **given)
        found.append(sizes * math.log2(SCALE) - np.asarray(model.backend.to_numpy(nats), np.float64) / math.log(2))
    return Bits(np.mean(found, axis=0), sizes, np.mean(found, axis=1).sum(axis=1) / sizes.sum(), probes)


def probes_of(schedule: Schedule, probes: int | None, exact: bool | None) -> int | None:
    """Return how many random signs estimate the trace, None for the exact one, where neither may have been chosen."""
    few = max(schedule.partition.sizes) <= EXACT
    return PROBES if probes is None and not (few if exact is None else exact) else probes


def halved(steps: Steps) -> Steps:
    """Return half a step budget, at least one each: what changes with it is what the solver's error may be."""
    return max(1, steps // 2) if isinstance(steps, int) else [max(1, share // 2) for share in steps]


def dequantise(images: np.ndarray, seed: int, first: int = 0) -> np.ndarray:
    """Return bytes as the network sees them, each moved uniformly within its bin: (v + u - 1/2) / 127.5 - 1.

    The noise of image i follows from (seed, first + i) alone.

    Shapes: uint8 (n, *event) -> float32 (n, *event), from -1 - 1/255 to 1 + 1/255
    """
    noise = np.stack([generator(seed, first + i, stream=2).random(image.shape) for i, image in enumerate(images)])
    return ((images + noise - 0.5) / SCALE - 1).astype(np.float32)
