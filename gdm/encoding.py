"""Latents of a trained run: encoded from images as exactly as asked for, or drawn; and decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gdm.errors import ShapeError, ValueRangeError
from gdm.flow import draw_latents
from gdm.intake import Images, named
from gdm.model import Model
from gdm.pixels import to_unit
from gdm.sampling import class_numbers, in_turn
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps

MOST = 1024  # steps at which a search for the tolerance gives up
TRIED = 16  # images with which it searches


@dataclass(frozen=True, eq=False)
class Latents:
    """Latents of a run, (n, *event), with what decodes them.

    names, labels: of each, class number or -1; images: what they encode, in [-1, 1], or None for drawn ones
    steps, solver, guidance: of the encoding, and so of the decoding
    hashes: SHA-256 (hex) of the pixels of each image; empty for drawn ones
    errors: of each group, the root mean square of decode(encode(x)) - x in the schedule's basis; None where drawn
    facts: what else a file records
    """

    z: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray
    steps: int | tuple[int, ...] = 64
    solver: str = "heun"
    guidance: float = 1.0
    images: np.ndarray | None = None
    hashes: tuple[str, ...] = ()
    errors: tuple[float, ...] | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.z)

    def take(self, rows: Iterable[int]) -> Latents:
        """Return these latents alone, in this order."""
        chosen = [*rows]
        images = None if self.images is None else self.images[chosen]
        names, hashes = (tuple(of[row] for row in chosen) if of else () for of in (self.names, self.hashes))
        z, labels = self.z[chosen], self.labels[chosen]
        return replace(self, z=z, names=names, labels=labels, images=images, hashes=hashes)

    def __add__(self, other: Latents) -> Latents:
        """Return both, decoded as the first are."""
        both = None if self.images is None or other.images is None else np.concatenate([self.images, other.images])
        z, labels = np.concatenate([self.z, other.z]), np.concatenate([self.labels, other.labels])
        hashes = self.hashes + other.hashes if self.hashes and other.hashes else ()
        return replace(self, z=z, names=self.names + other.names, labels=labels, images=both, hashes=hashes)


def encode(
    model: Model,
    images: Images | Any,
    *,
    steps: Steps = 64,
    solver: str | Solver = "heun",
    tolerance: float | None = None,
    guidance: float = 1.0,
    batch: int | None = None,
    watch: Callable[[int, np.ndarray, int], None] | None = None,
) -> Latents:
    """Encode images, and measure what is lost on the way there and back, in each group.

    images: of `read_images`, or an array uint8 or in [-1, 1] for a run without classes
    tolerance: double the steps until the error of the worst group, in units of [-1, 1], is at most this, first of a few
        images, then of all; give up at 1024 steps, or where doubling no longer helps, and then take the fewest that are
        as good: `errors` of the result says how far that went
    watch: is told (steps in all, errors, images) of every attempt

    Raises: as `Model.encode`; ValueRangeError for images without a class, of a run with classes

    Example: `encode(model, read_images(model, "photos/"), tolerance=0.01).errors`
    """
    given = images if isinstance(images, Images) else named(np.asarray(images))
    x = to_unit(given.images) if given.images.dtype == np.uint8 else given.images
    labels = told(model, given.labels, guidance)
    if tolerance is not None and not tolerance > 0:
        raise ValueRangeError(f"tolerance: expected a number above 0, got {tolerance:g}")

    def attempt(steps: Steps, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        chosen: Any = {"steps": steps, "solver": solver, "guidance": guidance, "batch": batch}
        chosen["labels"] = None if labels is None else labels[rows]
        z = model.encode(x[rows], **chosen)
        errors = group_errors(model.schedule, model.backend.to_numpy(model.decode(z, **chosen)) - x[rows])
        if watch is not None:
            watch(_total(steps), errors, len(x[rows]))
        return model.backend.to_numpy(z), errors

    if tolerance is None:
        z, errors = attempt(steps, slice(None))
    else:
        rows, limit = slice(0, TRIED), tolerance
        if len(x) > TRIED:
            steps, reached = _enough(steps, tolerance, lambda steps: attempt(steps, rows)[1])
            limit = tolerance if reached else np.inf  # what a few cannot reach is not tried with all
        made: dict[Steps, tuple[np.ndarray, np.ndarray]] = {}  # of the last attempt alone: latents may be large

        def whole(steps: Steps) -> np.ndarray:
            made.clear()
            made[steps] = attempt(steps, slice(None))
            return made[steps][1]

        steps, _ = _enough(steps, limit, whole)
        z, errors = made[steps] if steps in made else attempt(steps, slice(None))
    hashes = tuple(hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in given.images)
    name = solver if isinstance(solver, str) else getattr(solver, "name", str(solver))
    return Latents(
        z=z,
        names=given.names,
        labels=given.labels,
        steps=_plain(steps),
        solver=name,
        guidance=guidance,
        images=np.asarray(x),
        hashes=hashes,
        errors=tuple(errors.tolist()),
    )


def drawn(
    model: Model,
    numbers: Iterable[int],
    *,
    seed: int = 0,
    label: int | str | None = None,
    steps: Steps = 64,
    solver: str = "heun",
    guidance: float = 1.0,
) -> Latents:
    """Return the latents of the images of a seed that have these numbers, those of `Model.generate` and `gdm sample`.

    Example: `drawn(model, [0, 5], seed=1)`
    """
    chosen = [*numbers]
    z = draw_latents(seed, chosen, model.schedule.shape)
    by_turn = in_turn(chosen, model.classes) if label is None and model.classes else label
    classes = class_numbers(by_turn, model.classes, len(chosen))
    labels = np.full(len(chosen), -1) if classes is None else np.array(classes)
    names = tuple(f"sample {number}" for number in chosen)
    return Latents(z, names, labels, _plain(steps), solver, guidance, facts={"seed": seed})


def decode(model: Model, latents: Latents, z: np.ndarray | None = None, labels: np.ndarray | None = None) -> np.ndarray:
    """Return the images of latents, or of edited ones `z` with these labels, as they were encoded.

    Latents that occur more than once are decoded once.

    Shapes: -> NumPy (n, *event) in [-1, 1]
    """
    z = latents.z if z is None else z
    numbers = latents.labels if labels is None else labels
    keys = [(int(number), row.tobytes()) for number, row in zip(numbers, z, strict=True)]
    first = {key: i for i, key in reversed([*enumerate(keys)])}
    rows = sorted(first.values())
    made = model.backend.to_numpy(
        model.decode(
            z[rows],
            steps=latents.steps,
            solver=latents.solver,
            guidance=latents.guidance,
            labels=told(model, numbers[rows], latents.guidance),
        )
    )
    return made[[rows.index(first[key]) for key in keys]]


def interleave(first: Latents, second: Latents) -> Latents:
    """Return pairs for `gdm.editing`: latents of the first and the second in turn; a single one goes with all.

    Raises: ShapeError for other numbers of latents
    """
    counts = {len(first), len(second)} - {1}
    if len(counts) > 1:
        raise ShapeError(f"expected as many latents of each kind, or one of either, got {len(first)} and {len(second)}")
    n = max(len(first), len(second))
    rows = np.stack([np.arange(n) % len(first), len(first) + np.arange(n) % len(second)], axis=1).ravel()
    return (first + second).take(rows)


def group_errors(schedule: Schedule, difference: np.ndarray) -> np.ndarray:
    """Return the root mean square of differences in each group, in the basis. Shapes: (n, *event) -> (k,)"""
    squares = (schedule.basis.analyze(np.asarray(difference, np.float64)) ** 2).mean(axis=0)
    return np.sqrt(np.bincount(schedule.partition.labels.ravel(), squares.ravel()) / schedule.partition.sizes)


def told(model: Model, labels: np.ndarray, guidance: float) -> np.ndarray | None:
    """Return class numbers as a model takes them: None for one without classes.

    Raises: ValueRangeError for images without a class, of a model that is told it
    """
    if not model.classes:
        return None
    if (labels < 0).any() and guidance != 0:
        remedy = "name one (--label), or encode without class (--guidance 0) if it was trained with label_dropout"
        raise ValueRangeError(f"labels: expected a class for each image, got none for {(labels < 0).sum()}; {remedy}")
    return np.maximum(labels, 0)


def _enough(steps: Steps, tolerance: float, measure: Callable[[Steps], np.ndarray]) -> tuple[Steps, bool]:
    """Double the steps until the worst error is small enough; or else take the last ones that helped. -> steps, reached

    Steps help that lessen the error by a tenth at least. The search ends at `MOST`, or where two doublings do not help.
    """
    best, helped, idle = np.inf, steps, 0
    while True:
        worst = float(measure(steps).max())
        best, helped, idle = (worst, steps, 0) if worst <= 0.9 * best else (best, helped, idle + 1)
        if worst <= tolerance:
            return steps, True
        if idle == 2 or 2 * _total(steps) > MOST:
            return helped, False
        steps = 2 * steps if isinstance(steps, int) else tuple(2 * share for share in steps)


def _total(steps: Steps) -> int:
    return int(steps) if isinstance(steps, int | np.integer) else sum(steps)


def _plain(steps: Steps) -> int | tuple[int, ...]:
    return int(steps) if isinstance(steps, int | np.integer) else tuple(int(share) for share in steps)
