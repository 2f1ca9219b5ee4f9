"""Which latent group moves which image group: Prop. 3.3 as a matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gdm import latents, statistics
from gdm.errors import ValueRangeError
from gdm.flow import draw_latents
from gdm.likelihood import group_sums
from gdm.model import Model
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps


class Influence(NamedTuple):
    """How far image group j moves when latent group i is drawn anew: root mean square, in units of the image.

    rms: (k, k), row i the latent group, column j the image group, both in order of generation; error: its standard
        error, over the images. Below the diagonal (j < i) are the groups that were generated before.
    """

    rms: np.ndarray
    error: np.ndarray

    @property
    def leak(self) -> float:
        """The largest influence on a group generated earlier, over the largest of all: 0 by Prop. 3.3."""
        return float(np.tril(self.rms, -1).max() / (self.rms.max() or 1.0))


def influence(
    model: Model,
    *,
    n: int = 32,
    seed: int = 0,
    steps: Steps = 64,
    solver: str | Solver = "ab2",
    batch: int | None = None,
    schedule: Schedule | None = None,
) -> Influence:
    """Draw one latent group after another anew, and measure what changes in images 0, ..., n - 1 of a seed.

    Groups of a basis are compared in its coordinates. With `mask_pending` and groups of pixels what was generated
    earlier stays the same to the bit; in another basis to rounding, since pixels are made of all groups.

    Raises: ValueRangeError for less than one image; as `Model.decode`
    """
    if n < 1:
        raise ValueRangeError(f"n: expected at least 1 image, got {n}")
    chosen = schedule or model.schedule
    own, noise = (draw_latents(seed, numbers, chosen.shape) for numbers in (range(n), range(n, 2 * n)))
    labels = [row % len(model.classes) for row in range(n)] if model.classes else None

    def coordinates(z: np.ndarray) -> np.ndarray:
        """Decode in the same batches always: a kernel may round differently in a batch of another size."""
        made = model.decode(z, steps=steps, solver=solver, labels=labels, batch=batch, schedule=schedule)
        return chosen.basis.analyze(np.asarray(model.backend.to_numpy(made), np.float64))

    before = coordinates(own)
    squares = np.empty((n, chosen.k, chosen.k))
    for group in range(chosen.k):
        after = coordinates(latents.resample(chosen, own, noise, groups=group))
        squares[:, group] = group_sums(chosen, (after - before) ** 2) / chosen.partition.sizes
    return Influence(*statistics.root_mean_square(squares))
