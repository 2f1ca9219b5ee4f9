"""Editing latents by what they mean: by group, by element, by channel.

Every edit acts on a selection of coordinates in the basis of the schedule and leaves all others as they
are (to the bit in pixels, to rounding in another basis). `groups` are group numbers; `elements` are
frequency ranks within a channel (`schedule.basis.order`: raster numbers for pixels, 0 the smoothest for
bands); `channels` are indices of the first axis. What is None does not restrict; of what is
given, all must hold. Latents z are (batch, *event), as `gdm.encode` and `gdm.draw_latents` return them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from gdm.arrays import A, check_event, constant, namespace
from gdm.errors import DTypeError, ShapeError, ValueRangeError, nearest
from gdm.schedule import Schedule

Numbers = Iterable[int] | int | None


def selection(
    schedule: Schedule, groups: Numbers = None, elements: Numbers = None, channels: Numbers = None
) -> np.ndarray:
    """Return the selected coordinates as a boolean array of the event shape.

    Raises: ValueRangeError for a group, element or channel that is not there
    """
    axis = np.arange(schedule.shape[0]).reshape(-1, *(1 for _ in schedule.shape[1:]))
    tables = {
        "groups": schedule.partition.labels,
        "elements": schedule.basis.order,
        "channels": np.broadcast_to(axis, schedule.shape),
    }
    selected = np.ones(schedule.shape, bool)
    for (name, table), wanted in zip(tables.items(), (groups, elements, channels), strict=True):
        if wanted is None:
            continue
        numbers = np.unique(np.atleast_1d(np.asarray(list(wanted) if isinstance(wanted, Iterable) else wanted)))
        if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
            raise DTypeError(
                f"{name}: expected whole numbers, got {numbers.dtype}; turn a mask into np.flatnonzero(mask)"
            )
        if numbers.size and not 0 <= numbers[0] <= numbers[-1] <= table.max():
            raise ValueRangeError(f"{name}: expected numbers 0 to {table.max()}, got {numbers.tolist()}")
        selected &= np.isin(table, numbers)
    return selected


def swap(
    schedule: Schedule,
    z: A,
    other: A,
    *,
    groups: Numbers = None,
    elements: Numbers = None,
    channels: Numbers = None,
) -> A:
    """Take the selected coordinates from `other` and the rest from `z` (Fig. 7: mixing two images)."""
    chosen = selection(schedule, groups, elements, channels)
    return _edit(schedule, z, chosen, lambda a, b: b, other)


def resample(
    schedule: Schedule,
    z: A,
    noise: A,
    *,
    groups: Numbers = None,
    elements: Numbers = None,
    channels: Numbers = None,
) -> A:
    """Replace the selected coordinates by fresh `noise`, e.g. `draw_latents` of another seed (Fig. 9: variations)."""
    return swap(schedule, z, noise, groups=groups, elements=elements, channels=channels)


def keep(
    schedule: Schedule,
    z: A,
    noise: A | None = None,
    *,
    groups: Numbers = None,
    elements: Numbers = None,
    channels: Numbers = None,
) -> A:
    """Keep the selected coordinates; all others become `noise`, or 0 (Fig. 4b: reconstruction from a subset)."""
    others = ~selection(schedule, groups, elements, channels)
    return _edit(schedule, z, others, lambda a, b: b, namespace(z).zeros_like(z) if noise is None else noise)


def interpolate(
    schedule: Schedule,
    z: A,
    other: A,
    weight: float,
    *,
    groups: Numbers = None,
    elements: Numbers = None,
    channels: Numbers = None,
    mode: Literal["spherical", "linear"] = "spherical",
) -> A:
    """Move the selected coordinates from `z` (weight 0) to `other` (weight 1); the rest stays `z`'s (Fig. 3).

    mode: "spherical" turns each group's selected part along a great circle, so that normal latents keep their
        typical length; "linear" mixes.
    """
    known = ("spherical", "linear")
    if mode not in known:
        raise ValueRangeError(f"mode: expected one of {known}, got {mode!r}{nearest(str(mode), known)}")
    chosen = selection(schedule, groups, elements, channels)
    if mode == "linear":
        return _edit(schedule, z, chosen, lambda a, b: (1 - weight) * a + weight * b, other)
    for j in np.unique(schedule.partition.labels[chosen]):
        z = _edit(schedule, z, chosen & (schedule.partition.labels == j), lambda a, b: _slerp(a, b, weight), other)
    return z


def traverse(schedule: Schedule, z: A, values: Iterable[float], *, elements: Numbers, channels: Numbers = None) -> A:
    """Set the selected elements to each of `values`: one latent walked over, say, [-3, 3] (Fig. 6, 8).

    Shapes: z (batch, *event), values (n,) -> (n, batch, *event)
    """
    chosen = selection(schedule, None, elements, channels)
    xp = namespace(z)
    return xp.stack(
        [_edit(schedule, z, chosen, lambda a, b: b, xp.full_like(z, float(v)), coordinates=True) for v in values]
    )


def _edit(schedule: Schedule, z: A, chosen: np.ndarray, rule: Any, other: A, coordinates: bool = False) -> A:
    """Apply rule(own, other's) to the chosen coordinates; `coordinates`: other is given in the basis already."""
    xp = namespace(z, other)
    for name, value in (("z", z), ("other", other)):
        check_event(value, schedule.shape, name)
    if z.shape != other.shape:
        raise ShapeError(f"other: expected as many latents as z, {tuple(z.shape)}, got {tuple(other.shape)}")
    own = schedule.basis.analyze(z)
    theirs = other if coordinates else schedule.basis.analyze(other)
    mask = constant(chosen[None], z, xp.bool)
    others = xp.zeros_like(own)
    edited = rule(xp.where(mask, own, others), xp.where(mask, theirs, others))
    return schedule.basis.synthesize(xp.where(mask, edited, own))


def _slerp(a: A, b: A, weight: float) -> A:
    """Turn a into b along a great circle, per sample, over all event axes; coordinates outside the choice are 0."""
    xp = namespace(a, b)
    axes = tuple(range(1, len(a.shape)))
    cosine = xp.sum(a * b, axis=axes, keepdims=True)
    lengths = xp.sqrt(xp.sum(a * a, axis=axes, keepdims=True) * xp.sum(b * b, axis=axes, keepdims=True))
    tiny = float(xp.finfo(a.dtype).smallest_normal)
    angle = xp.acos(xp.clip(cosine / xp.clip(lengths, tiny, None), -1.0, 1.0))
    sine = xp.sin(angle)
    straight = sine < 1e-6  # parallel latents: the circle is not defined, and the chord is as good
    safe = xp.where(straight, xp.ones_like(sine), sine)
    near = xp.where(straight, xp.full_like(sine, 1 - weight), xp.sin((1 - weight) * angle) / safe)
    far = xp.where(straight, xp.full_like(sine, weight), xp.sin(weight * angle) / safe)
    return near * a + far * b
