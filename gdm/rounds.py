"""Many images, made by one process or several, round by round: never more in memory than a round of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from gdm.backends.world import World, share
from gdm.model import Model
from gdm.pixels import to_uint8
from gdm.progress import sampling_bar
from gdm.sampling import class_numbers, in_turn
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps


class Made(NamedTuple):
    """Images by their numbers, uint8 (n, C, H, W), and the class number of each, (n,), or None."""

    numbers: Sequence[int]
    images: np.ndarray
    labels: np.ndarray | None


def in_rounds(
    model: Model,
    numbers: Sequence[int],
    world: World,
    *,
    batch: int,
    seed: int = 0,
    steps: Steps = 128,
    solver: str | Solver = "euler",
    label: int | str | None = None,
    guidance: float = 1.0,
    schedule: Schedule | None = None,
    progress: bool = False,
) -> Iterator[Made]:
    """Generate the images of a seed that have these numbers, in order, with all processes of a world.

    In a round each process makes at most `batch` images and number 0 collects them; the others yield nothing,
    but are to be iterated too. All must be given the same. Which process makes an image does not show in it, to
    rounding. label: of all images, None takes the classes in turn; other arguments and errors as `Model.generate`
    """
    rounds = [numbers[start : start + batch * world.size] for start in range(0, len(numbers), batch * world.size)]
    own = [chunk[share(len(chunk), world)] for chunk in rounds]
    calls = model.calls(steps, solver, schedule) if progress and world.rank == 0 else 0
    make = partial(
        model.stream, seed=seed, steps=steps, solver=solver, batch=batch, guidance=guidance, schedule=schedule
    )
    with sampling_bar(len(numbers), calls, sum(map(len, own))) as watch:
        for chunk, mine in zip(rounds, own, strict=True):
            images = [np.empty((0, *model.schedule.shape), np.uint8)]
            if mine:
                parts = make(mine, labels=labels_of(model, mine, label), watch=watch)
                images += [to_uint8(model.backend.to_numpy(part)) for part in parts]
            gathered = world.gather(np.concatenate(images))
            if world.rank == 0:
                yield Made(chunk, np.concatenate(gathered), labels_of(model, chunk, label))


def labels_of(model: Model, numbers: Sequence[int], label: int | str | None) -> np.ndarray | None:
    """Return the class of the images that have these numbers, (n,): `label`, or each in turn; None without classes."""
    chosen = in_turn(numbers, model.classes) if label is None and model.classes else label
    return class_numbers(chosen, model.classes, len(numbers))


def batch_of(model: Model, count: int, guidance: float, world: World) -> int:
    """Return how many images each process makes at once: what fits into the memory of all of them."""
    most = -(-count // world.size)
    own = np.zeros(world.size)
    own[world.rank] = model.batch_for(most, guidance)
    return round(float(min(world.mean(own)) * world.size))


def as_first(values: np.ndarray, world: World) -> np.ndarray:
    """Return what process number 0 says, on all of them: `values` are numbers of one shape."""
    return world.mean(np.where(world.rank == 0, values, 0.0)) * world.size
