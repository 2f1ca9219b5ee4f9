"""How A(t) enters a network: as input planes, and as a scalar clock for the noise embedding."""

from __future__ import annotations

from gdm.arrays import A, namespace
from gdm.schedule import Schedule


def clock(alpha: A) -> A:
    """Return 999 (1 - mean_j alpha_j), the noise level on the scale that DDPM++'s embedding expects.

    Shapes: alpha (batch, k) in [0, 1] -> (batch,) in [0, 999]
    """
    return 999 * (1 - namespace(alpha).mean(alpha, axis=1))


def plane_count(schedule: Schedule) -> int:
    """Return how many planes `planes` makes for an image schedule (C, H, W)."""
    return schedule.partition.compact.shape[0] if _in_pixels(schedule) else schedule.k


def planes(schedule: Schedule, alpha: A) -> A:
    """Return A(t) as images to be concatenated to x_t, Sec. 3.1.

    Groups of pixels give the diagonal of A itself: one plane, or C when groups differ by channel. Groups of
    another basis have no place in the image: each gives a constant plane of its alpha.

    Shapes: alpha (batch, k) -> (batch, plane_count, H, W)
    """
    xp = namespace(alpha)
    diagonal = schedule.spread(alpha)  # refuses an alpha of another schedule, in every basis
    size = (alpha.shape[0], plane_count(schedule), *schedule.shape[1:])
    return xp.broadcast_to(diagonal if _in_pixels(schedule) else alpha[:, :, None, None], size)


def _in_pixels(schedule: Schedule) -> bool:
    return len(schedule.basis.factors) == 0  # torch.compile cannot trace `not` of a tuple
