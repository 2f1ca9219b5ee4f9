"""The edits of Sec. 4: interpolate, swap, traverse, resample, reconstruct; each makes panels of images to look at.

What is edited are `Latents` of a run, encoded or drawn (`gdm.encoding`); what of them, is a `Choice` of groups,
frequencies and channels. `gdm.latents` has the same edits of arrays.

    model = gdm.load("runs/digits")
    two = encoding.encode(model, intake.read_images(model, "digits", limit=2), tolerance=0.01)
    editing.swap(model, two, editing.choices(model.schedule, groups=["coarse", "fine"])).save("swap.png")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from gdm import encoding, latents
from gdm.choices import Choice as Choice
from gdm.choices import choices as choices
from gdm.encoding import Latents
from gdm.errors import ValueRangeError
from gdm.flow import draw_latents
from gdm.model import Model
from gdm.panels import Panels, short_names
from gdm.schedule import Schedule

FRESH = 2**32  # number of the first image whose noise replaces latents: `gdm sample` gets there last


def interpolate(
    model: Model,
    pairs: Latents,
    chosen: Sequence[Choice] = (),
    *,
    n: int = 7,
    mode: Literal["spherical", "linear"] = "spherical",
) -> Panels:
    """Turn the chosen latents of one image into another's while the others stay (Fig. 3); one row per pair and choice.

    pairs: latents 0 and 1 are the first pair, 2 and 3 the next; n: columns
    mode: "spherical" turns each group's chosen part along a great circle, which keeps the length that normal latents
        have; "linear" mixes them, with half the variance in the middle, for which the network was not trained

    Raises: ValueRangeError for an odd number of latents
    """
    weights, schedule, names = np.linspace(0, 1, n), model.schedule, short_names(pairs.names)
    rows: list[_Row] = []
    for a, b in _paired(pairs):
        for choice in _all(schedule, chosen):
            moved = [
                latents.interpolate(
                    schedule,
                    pairs.z[a : a + 1],
                    pairs.z[b : b + 1],
                    float(weight),
                    groups=choice.groups,
                    elements=choice.elements,
                    channels=choice.channels,
                    mode=mode,
                )
                for weight in weights
            ]
            name = choice.name if len(pairs) == 2 else f"{names[a]} to {names[b]}, {choice.name}"
            rows.append(_Row(name, np.concatenate(moved), int(pairs.labels[a])))
    columns = tuple(f"{weight:.2g}" for weight in weights)
    said = "one part of the latents interpolated, the rest fixed"
    title = f"{names[0]} to {names[1]}: {said}" if len(pairs) == 2 else said
    return _panels(model, pairs, rows, columns, title)


def swap(model: Model, pairs: Latents, chosen: Sequence[Choice] = ()) -> Panels:
    """Give images the chosen latents of others (Fig. 7): original, reference, and a column per choice.

    pairs: as `interpolate`; the two of a pair may come from different data sets, if one run knows both
    """
    rows: list[_Row] = []
    selected, names = _all(model.schedule, chosen), short_names(pairs.names)
    for a, b in _paired(pairs):
        own, other = pairs.z[a : a + 1], pairs.z[b : b + 1]
        mixed = [
            latents.swap(
                model.schedule, own, other, groups=choice.groups, elements=choice.elements, channels=choice.channels
            )
            for choice in selected
        ]
        classes = (int(pairs.labels[a]), int(pairs.labels[b]), *[int(pairs.labels[a])] * len(mixed))
        rows.append(_Row(f"{names[a]} and {names[b]}", np.concatenate([own, other, *mixed]), classes, (a, b)))
    columns = ("original", "reference", *(choice.name for choice in selected))
    return _panels(model, pairs, rows, columns, "one part of the latents taken from the reference")


def traverse(
    model: Model, subjects: Latents, chosen: Sequence[Choice], *, values: Sequence[float] = (-3, -2, -1, 0, 1, 2, 3)
) -> Panels:
    """Set the chosen elements to each value (Fig. 6 and 8); one row per image and choice.

    Raises: ValueRangeError for choices without elements: a single number is set
    """
    rows: list[_Row] = []
    for i, named in enumerate(_each(subjects)):
        for choice in chosen:
            if choice.elements is None:
                expected = "expected elements, frequency ranks within a channel"
                raise ValueRangeError(f"traverse: {expected}, got groups {choice.name}; pass elements=[0], say")
            walked = latents.traverse(
                model.schedule, subjects.z[i : i + 1], values, elements=choice.elements, channels=choice.channels
            )
            rows.append(_Row(named + choice.name, walked[:, 0], int(subjects.labels[i])))
    columns = tuple(f"{value:g}" for value in values)
    return _panels(model, subjects, rows, columns, f"{_one(subjects)}value of the latent element")


def resample(
    model: Model,
    subjects: Latents,
    chosen: Sequence[Choice] = (),
    *,
    fixed: bool = False,
    n: int = 6,
    seed: int = 0,
) -> Panels:
    """Draw the chosen latents anew, n times (Fig. 1c); or, with `fixed`, all but the chosen ones (Fig. 9).

    One row per image and choice. Variation i of an image has the same fresh noise in every row, so that rows differ
    by what is fixed alone. `chosen` is by default each group or, with `fixed`, the first group, the first two, and so on, but not all.
    """
    schedule = model.schedule
    selected = tuple(chosen) or (_growing(schedule)[: max(1, schedule.k - 1)] if fixed else _all(schedule, ()))
    rows: list[_Row] = []
    for i, named in enumerate(_each(subjects)):
        fresh = draw_latents(seed, range(FRESH + i * n, FRESH + (i + 1) * n), schedule.shape, subjects.z.dtype)
        own = np.repeat(subjects.z[i : i + 1], n, axis=0)
        for choice in selected:
            mask = {"groups": choice.groups, "elements": choice.elements, "channels": choice.channels}
            varied = (
                latents.keep(schedule, own, fresh, **mask) if fixed else latents.resample(schedule, own, fresh, **mask)
            )
            name = f"{named}{choice.name}{' fixed' * fixed}"
            rows.append(_Row(name, np.concatenate([own[:1], varied]), int(subjects.labels[i]), (i,), choice))
    columns = ("image", *(f"no. {i + 1}" for i in range(n)))
    said = "all other latents drawn anew" if fixed else "one part of the latents drawn anew"
    made = _panels(model, subjects, rows, columns, _one(subjects) + said)
    if schedule.basis.factors or any(choice.channels for choice in selected):
        return made
    drawn = [latents.selection(schedule, *row.choice[1:]) for row in rows if row.choice is not None]
    return made._replace(masks=[(~mask if fixed else mask).any(axis=0) for mask in drawn])


def reconstruct(
    model: Model,
    subjects: Latents,
    chosen: Sequence[Choice] = (),
    *,
    rest: Literal["noise", "zero"] = "noise",
    seed: int = 0,
) -> Panels:
    """Decode a part of the latents of images (Fig. 4b), the others being fresh noise or 0; one column per choice.

    chosen: what is kept, by default the first groups, one more per column

    Raises: ValueRangeError for another `rest`
    """
    if rest not in ("noise", "zero"):
        raise ValueRangeError(f"rest: expected 'noise' or 'zero', got {rest!r}")
    schedule = model.schedule
    selected = tuple(chosen) or _growing(schedule)
    noise = draw_latents(seed, range(FRESH, FRESH + len(subjects)), schedule.shape, subjects.z.dtype)
    kept = [
        latents.keep(
            schedule,
            subjects.z,
            noise if rest == "noise" else None,
            groups=choice.groups,
            elements=choice.elements,
            channels=choice.channels,
        )
        for choice in selected
    ]
    stacked = np.stack([subjects.z, *kept], axis=1)
    names = short_names(subjects.names)
    rows = [_Row(name, stacked[i], int(subjects.labels[i]), (i,)) for i, name in enumerate(names)]
    other = "drawn anew" if rest == "noise" else "0"
    columns = ("original", *(choice.name for choice in selected))
    return _panels(model, subjects, rows, columns, f"decoded from a part of the latents, the others {other}")


class _Row(NamedTuple):
    """A row of panels: its name, latents (columns, *event), classes, and which subjects its first columns are."""

    name: str
    z: np.ndarray
    classes: int | tuple[int, ...]  # of all columns, or of each
    originals: tuple[int, ...] = ()
    choice: Choice | None = None


def _panels(model: Model, subjects: Latents, rows: list[_Row], columns: tuple[str, ...], title: str) -> Panels:
    """Decode all rows; where the images that were encoded are known, originals are shown as they are."""
    z = np.stack([row.z for row in rows])
    labels = np.concatenate([np.broadcast_to(row.classes, len(columns)) for row in rows])
    flat = encoding.decode(model, subjects, z.reshape(-1, *z.shape[2:]), labels)
    images = np.array(flat.reshape(*z.shape[:2], *flat.shape[1:]))
    if subjects.images is not None:
        for row, made in zip(rows, images, strict=True):
            made[: len(row.originals)] = subjects.images[list(row.originals)]
    return Panels(images, tuple(row.name for row in rows), columns, title, z)


def _all(schedule: Schedule, chosen: Sequence[Choice]) -> tuple[Choice, ...]:
    return tuple(chosen) or choices(schedule)


def _one(subjects: Latents) -> str:
    """Return what a title says of a single image: its name."""
    return f"{short_names(subjects.names)[0]}: " if len(subjects) == 1 else ""


def _each(subjects: Latents) -> list[str]:
    """Return what the rows of each image begin with: its name, where there are several."""
    names = short_names(subjects.names)
    return [f"{name}, " for name in names] if len(names) > 1 else [""]


def _growing(schedule: Schedule) -> tuple[Choice, ...]:
    """Return the first group, the first two, and so on to all."""
    return choices(schedule, [range(count) for count in range(1, schedule.k + 1)])


def _paired(pairs: Latents) -> list[tuple[int, int]]:
    if len(pairs) < 2 or len(pairs) % 2:
        remedy = "give each image its partner: 0 and 1 are a pair, then 2 and 3"
        raise ValueRangeError(f"pairs: expected an even number of latents, got {len(pairs)}; {remedy}")
    return [(i, i + 1) for i in range(0, len(pairs), 2)]
