"""How much images still vary once some of their latents are fixed (Fig. 4a)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from gdm import latents, statistics
from gdm.errors import ValueRangeError, nearest
from gdm.flow import draw_latents
from gdm.model import Model
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps

Features = Callable[[np.ndarray], np.ndarray]  # (n, *event) in [-1, 1] -> (n, f)
By = Literal["groups", "elements"]


class Variance(NamedTuple):
    """E ||phi(x) - E phi(x)||^2, the sum of the variances of all features, against how many latents are fixed.

    fixed: groups, or elements of the lowest ranks, that are fixed, (levels,), rising
    latents: how many coordinates that are, (levels,)
    values: of each anchor, whose fixed latents all of its variations share, (levels, anchors)
    """

    fixed: np.ndarray
    latents: np.ndarray
    values: np.ndarray

    @property
    def mean(self) -> statistics.Estimate:
        """The mean over anchors, (levels,), and its standard error."""
        return statistics.mean(self.values, axis=1)


def perceptual_variance(
    model: Model,
    *,
    by: By = "groups",
    fixed: Sequence[int] | None = None,
    features: Features | None = None,
    anchors: int = 8,
    variations: int = 16,
    seed: int = 0,
    steps: Steps = 64,
    solver: str | Solver = "ab2",
    batch: int | None = None,
    schedule: Schedule | None = None,
) -> Variance:
    """Fix the first latents of each anchor, draw the others anew, and measure how much the images vary.

    by: "groups" fixes those generated first; "elements" those of the lowest frequency ranks, in all channels
    fixed: how many, at each level; None: every number of groups, or about a dozen of elements
    features: phi; None is pixels. It is given at most variations x anchors images at a time
    anchors: images 0, 1, ... of `seed`, as `gdm sample` makes them; the noise that varies them is the same at
        each level, so that levels differ by what is fixed alone

    Raises: ValueRangeError for fewer than 2 variations, numbers out of range, or features that are not finite; as
        `Model.decode`
    """
    chosen = schedule or model.schedule
    levels = _levels(chosen, by, fixed)
    if anchors < 1 or variations < 2:
        raise ValueRangeError(f"expected anchors >= 1 and variations >= 2, got {anchors} and {variations}; raise them")
    own = draw_latents(seed, range(anchors), chosen.shape).repeat(variations, axis=0)
    noise = draw_latents(seed, range(anchors, anchors + len(own)), chosen.shape)
    labels = [row // variations % len(model.classes) for row in range(len(own))] if model.classes else None
    values, counts = [], []
    for level in levels:
        part = {by: range(level)}
        z = latents.keep(chosen, own, noise, **part)
        made = model.decode(z, steps=steps, solver=solver, labels=labels, batch=batch, schedule=schedule)
        images = model.backend.to_numpy(made)
        found = np.asarray(images if features is None else features(images), np.float64)
        if wrong := int((~np.isfinite(found)).sum()):
            expected = "features: expected finite numbers"
            raise ValueRangeError(f"{expected}, got {wrong} that are not; look for their origin")
        values.append(found.reshape(anchors, variations, -1).var(axis=1, ddof=1).sum(axis=1))
        counts.append(int(latents.selection(chosen, **part).sum()))
    return Variance(np.array(levels), np.array(counts), np.stack(values))


def _levels(schedule: Schedule, by: By, fixed: Sequence[int] | None) -> list[int]:
    """Return the numbers to fix, rising; by default half as many again at each level, where there are many."""
    known = ("groups", "elements")
    if by not in known:
        raise ValueRangeError(f"by: expected one of {known}, got {by!r}{nearest(str(by), known)}")
    most = schedule.k if by == "groups" else int(schedule.basis.order.max()) + 1
    if fixed is None:
        spread = np.geomspace(1, most, 12).round().astype(int).tolist()
        return list(range(most + 1)) if most <= 16 else sorted({0, *spread})
    levels = sorted(set(fixed))
    if not levels or not all(0 <= n <= most and n == int(n) for n in levels):
        raise ValueRangeError(f"fixed: expected numbers of {by} from 0 to {most}, got {list(fixed)}; choose from them")
    return [int(n) for n in levels]
