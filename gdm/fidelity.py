"""How near images are to real ones, measured: features gathered batch by batch, and both distances between them.

    extractor = extractors.get("efficientnet-lite0")
    real = fidelity.of_data(data.load(DataConfig(source="photos")), extractor)
    made = fidelity.of_model(gdm.load("runs/photos"), 10_000, extractor, seed=0, steps=64, solver="ab2")
    fidelity.compare(made, real)

Never more images in memory than a batch of them, and of their features no more than `KEPT`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm import feature_cache, rounds
from gdm.backends.world import World
from gdm.data import Dataset, batch_indices
from gdm.errors import CheckpointError, ValueRangeError
from gdm.extractors import Extractor
from gdm.feature_cache import Features
from gdm.metrics import KernelDistance, frechet_distance, kernel_distance, moments
from gdm.model import Model
from gdm.progress import feature_bar
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps
from gdm.version import VERSION

KEPT = 10_000  # features of a set that are kept one by one, for the kernel distance


class Distances(NamedTuple):
    """How far two sets of images are from each other; the kernel distance is None where none was asked for."""

    frechet: float
    kernel: KernelDistance | None


def gather(
    batches: Iterable[np.ndarray],
    count: int,
    extractor: Extractor,
    *,
    batch: int | None = None,
    seen: Callable[[int], object] | None = None,
) -> Features:
    """Return the features of images that arrive in batches; `seen` is told how many were done, each time.

    batch: images at once in the extractor; None is what suits it
    count: how many images there will be: which features are kept one by one follows from it

    Shapes: uint8 (any, C, H, W) each
    Raises: ValueRangeError if there are more or fewer, or features that are not finite; ShapeError for features that
        are no matrix
    """
    kept = np.zeros(count, bool)
    kept[batch_indices(count, min(KEPT, count), step=0, seed=1)] = True  # spread: images are often sorted by class
    sample: list[np.ndarray] = []
    done, size = 0, batch or extractor.batch

    def features() -> Iterable[np.ndarray]:
        nonlocal done
        for images in batches:
            for start in range(0, len(images), size):
                found = np.asarray(extractor(images[start : start + size]))
                if done + len(found) > count:
                    raise ValueRangeError(f"expected {count} images, got more; count them first")
                sample.append(found[kept[done : done + len(found)]].astype(np.float32))
                done += len(found)
                if seen is not None:
                    seen(len(found))
                yield found

    whole = moments(features())
    if done != count:
        raise ValueRangeError(f"expected {count} images, got {done}; count them first")
    return Features(whole, np.concatenate(sample))


def of_data(
    dataset: Dataset,
    extractor: Extractor,
    *,
    count: int = 0,
    batch: int | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> Features:
    """Return the features of a set of images, or of `count` of them, always the same ones, spread over the set.

    cache: a folder where they are looked for first, and kept; see `gdm.feature_cache`. What is found there was made of
        the same pixels by the same extractor. Nothing is kept of an extractor that does not know its hash.

    Raises: ValueRangeError for more than there are; as `gather`
    """
    if not 0 <= count <= len(dataset):
        raise ValueRangeError(f"expected at most {len(dataset)} images, which there are, got {count}; 0 takes all")
    count = count or len(dataset)
    key = _key(dataset, extractor, count)
    if cache is not None and key is not None and (found := feature_cache.recall(cache, key)) is not None:
        return found
    chosen = np.arange(count)
    if count < len(dataset):
        chosen = np.sort(batch_indices(len(dataset), count, step=0, seed=0))
    size = batch or extractor.batch
    parts = (dataset.take(chosen[start : start + size]) for start in range(0, count, size))
    with feature_bar(count, progress) as seen:
        features = gather(parts, count, extractor, batch=batch, seen=seen)
    if cache is not None and key is not None:
        try:
            feature_cache.store(cache, key, features)
        except CheckpointError as error:  # what was measured is worth more than the next call's time
            warnings.warn(f"features are not kept: {error}", stacklevel=2)
    return features


def of_model(
    model: Model,
    n: int,
    extractor: Extractor,
    *,
    seed: int = 0,
    first: int = 0,
    steps: Steps = 128,
    solver: str | Solver = "euler",
    batch: int | None = None,
    label: int | str | None = None,
    guidance: float = 1.0,
    schedule: Schedule | None = None,
    world: World | None = None,
    extractor_batch: int | None = None,
    progress: bool = False,
) -> Features | None:
    """Generate images `first`, ..., `first + n - 1` of a seed, as bytes, and return their features.

    With several processes all are to call it; each makes its share, number 0 extracts, and the others get None.
    Arguments and errors as `gdm.rounds.in_rounds` and `gather`
    """
    world = model.backend.world() if world is None else world
    made = rounds.in_rounds(
        model,
        range(first, first + n),
        world,
        batch=batch or rounds.batch_of(model, n, guidance, world),
        seed=seed,
        steps=steps,
        solver=solver,
        label=label,
        guidance=guidance,
        schedule=schedule,
        progress=progress,
    )
    images = (part.images for part in made)
    if world.rank == 0:
        return gather(images, n, extractor, batch=extractor_batch)
    for _ in images:  # there are none; but each makes its share of every round
        pass
    return None


def compare(first: Features, second: Features, *, subsets: int = 100, seed: int = 0) -> Distances:
    """Return both distances between two sets of features. subsets: of the kernel distance; 0 leaves it out

    Warns as `frechet_distance`. Raises: ShapeError for features of different extractors
    """
    distance = frechet_distance(first.moments, second.moments)
    if not subsets:
        return Distances(distance, None)
    return Distances(distance, kernel_distance(first.sample, second.sample, subsets=subsets, seed=seed))


def summary(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean of a number measured several times, and its standard deviation; None for one time."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def _key(dataset: Dataset, extractor: Extractor, count: int) -> dict[str, Any] | None:
    """Return all that features follow from; None if that is not known."""
    if extractor.sha256 is None:
        return None
    by = {"name": extractor.name, "about": extractor.about, "sha256": extractor.sha256}
    return {"data": dataset.hash, "of": len(dataset), "count": count, "kept": KEPT, "extractor": by, "gdm": VERSION}
