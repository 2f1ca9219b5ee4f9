"""What a network is told besides the image: A(t), as planes, in a vector, and as a clock; its class; its augmentation."""

from __future__ import annotations

from typing import Any

from gdm.arrays import A, Array, extremes, index, namespace
from gdm.errors import ShapeError, ValueRangeError
from gdm.schedule import Schedule


def clock(alpha: A) -> A:
    """Return 999 (1 - mean_j alpha_j), the noise level on the scale that DDPM++'s embedding expects.

    Shapes: alpha (batch, k) in [0, 1] -> (batch,) in [0, 999]
    """
    return 999 * (1 - namespace(alpha).mean(alpha, axis=1))


def plane_count(schedule: Schedule, in_basis: bool = False) -> int:
    """Return how many planes `planes` makes for an image schedule (C, H, W)."""
    return schedule.partition.compact.shape[0] if in_basis or _in_pixels(schedule) else schedule.k


def planes(schedule: Schedule, alpha: A, in_basis: bool = False) -> A:
    """Return A(t) as images to be concatenated to x_t, Sec. 3.1.

    Groups of pixels give the diagonal of A itself: one plane, or C when groups differ by channel. Groups of
    another basis have no place in the image: each gives a constant plane of its alpha. `in_basis`: what stands for
    the image are its coordinates in the basis, where every group has its place, as in pixels.

    Shapes: alpha (batch, k) -> (batch, plane_count, H, W)
    """
    xp = namespace(alpha)
    diagonal = schedule.spread(alpha)  # refuses an alpha of another schedule, in every basis
    size = (alpha.shape[0], plane_count(schedule, in_basis), *schedule.shape[1:])
    return xp.broadcast_to(diagonal if in_basis or _in_pixels(schedule) else alpha[:, :, None, None], size)


def _in_pixels(schedule: Schedule) -> bool:
    return len(schedule.basis.factors) == 0  # torch.compile cannot trace `not` of a tuple


def check_given(schedule: Schedule, x_t: A, alpha: A) -> None:
    """Raise ShapeError for images or an alpha that are not of this schedule."""
    if tuple(x_t.shape[1:]) != schedule.shape:
        need = f"(batch, {', '.join(map(str, schedule.shape))})"
        raise ShapeError(f"x_t: need {need}, got {tuple(x_t.shape)}; add a batch axis?")
    if tuple(alpha.shape) != (x_t.shape[0], schedule.k):
        raise ShapeError(
            f"alpha: need one data weight per image and group, {(x_t.shape[0], schedule.k)}, "
            f"got {tuple(alpha.shape)}; use the alpha of the network's own schedule"
        )


def film_vector(alpha: A, warps: A | None, *, as_map: bool, count: int) -> A | None:
    """Return what enters the embedding besides the clock and the class: alpha unless `as_map`, and `count` warps.

    Shapes: alpha (batch, k), warps (batch, count), zeros where it is None -> (batch, k + count), or None for nothing
    Raises: ShapeError for warps that the network does not know
    """
    if count == 0 and warps is not None:
        raise ShapeError("warps: this network knows no augmentation; leave them out, or build it with augmented=True")
    xp = namespace(alpha)
    told = [] if as_map else [alpha]
    if count:
        told.append(xp.broadcast_to(xp.zeros_like(alpha[:, :1]), (alpha.shape[0], count)) if warps is None else warps)
    return xp.concat(told, axis=1) if told else None


def check_film(film: Array | None, batch: int, width: int) -> None:
    """Raise ShapeError for a film vector that is missing, unexpected or of another shape than (batch, width)."""
    if not width and film is not None:
        raise ShapeError("film: this network takes no film vector; leave it out, or build it with film=")
    if width and (film is None or tuple(film.shape) != (batch, width)):
        got = "none" if film is None else tuple(film.shape)
        raise ShapeError(f"film: need vectors of shape {(batch, width)}, got {got}; one vector per image?")


def class_weights(labels: Any, batch: int, classes: int) -> Any:
    """Turn labels into one weight per class: a one-hot row, or what was given as such; None for no classes.

    Shapes: labels (batch,) integers or (batch, classes) -> (batch, classes)
    Raises: ShapeError for labels that are missing, unexpected or of another shape; ValueRangeError for a label
        outside 0..classes-1 (seen in host memory only: elsewhere the look would wait for the device)
    """
    if not classes:
        if labels is not None:
            raise ShapeError("labels: this network has no classes; leave them out, or build it with classes=")
        return None
    expected = f"labels: need ({batch},) integers or ({batch}, {classes}) class weights"
    if labels is None:
        raise ShapeError(f"{expected}, got none; this network is class-conditional, so pass labels=")
    if tuple(labels.shape) == (batch, classes):
        return labels
    xp = namespace(labels)
    if tuple(labels.shape) != (batch,) or xp.isdtype(labels.dtype, "real floating"):
        raise ShapeError(f"{expected}, got {tuple(labels.shape)} of {labels.dtype}; one label per image?")
    found = extremes(labels)
    if found and not (found[0] >= 0 and found[1] < classes):
        got = "{:g} to {:g}".format(*found)
        raise ValueRangeError(f"labels: need 0 to {classes - 1}, got {got}; do they count from 1?")
    return labels[:, None] == index(range(classes), labels)
