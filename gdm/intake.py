"""Images read for a trained run: whatever `gdm.data` reads, brought to the run's shape, with its classes.

`read_images` brings images of any size to the run's, to be encoded and edited. `reading` and `real_images` are for
measurements: images read exactly as the run read its own, refused where they would differ in shape.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gdm import config, data, sources
from gdm.config import DataConfig
from gdm.data import Dataset
from gdm.errors import DataError, ShapeError
from gdm.model import Model
from gdm.sampling import class_numbers
from gdm.wording import renaming


@dataclass(frozen=True, eq=False)
class Images:
    """Images in the shape of a run: uint8 (n, C, H, W), what each is called, and its class number, -1 for none."""

    images: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def read_images(
    model: Model,
    source: str | Path,
    *,
    limit: int | None = None,
    split: str = "train",
    label: int | str | None = None,
    size: tuple[int, int] | None = None,
    option: str | None = None,
) -> Images:
    """Read images from whatever `gdm.data.load` reads, brought to the shape of a run: resized, cropped, grey or RGB.

    limit: the first so many; label: the class of all, else that which the source says, where a class of the run has
    its name; size: another height and width than the run's; option: of a command that names the source, for errors.
    Warns of images that are stored otherwise

    Raises: DataError for what is no source of images, or cannot be brought to the shape; ValueRangeError (label)

    Example: `read_images(model, "digits", limit=8)`
    """
    channels, height, width = model.schedule.shape
    height, width = (height, width) if size is None else size
    if channels not in (1, 3):
        raise DataError(f"expected a run of images with 1 or 3 channels, got {channels}; pass arrays to Model.encode")
    spec = DataConfig(
        source=str(source), split=split, size=height if height == width else 0, channels=3 if channels == 3 else 1
    )
    keys = {"source": "source", "split": "split"} if option is None else {"source": option, "split": "--split"}
    with renaming({f"data.{key}": word for key, word in keys.items()}):
        found = sources.find(spec)
    count = found.count if limit is None else min(limit, found.count)
    read = data.read(replace(found, count=count, labels=None), spec)
    if read.shape != (channels, height, width):
        remedy = "resize them to the run's size first"
        raise DataError(
            f"{source}: expected images of {width} x {height}, got {read.shape[2]} x {read.shape[1]}; {remedy}"
        )
    stored = (width, height, channels)
    if other := count - read.sizes.get(stored, 0):
        what = f"{width} x {height} in {'colour' if channels == 3 else 'grey'}"
        which = "the image is" if count == 1 else f"{other} of {count} images {'is' if other == 1 else 'are'}"
        warnings.warn(f"{source}: {which} not {what}; brought to that", stacklevel=2)
    with renaming({"labels": "label" if option is None else "--label"}):
        numbers = _classes(model, found, count, label)
    return Images(np.asarray(read.images[np.arange(count)]), tuple(map(found.name, range(count))), numbers)


def reading(spec: DataConfig, source: str | None = None, settings: Sequence[str] = ()) -> DataConfig:
    """Return how images are read as a run read its own: those of another source too, and with settings changed.

    spec: the run's; source: another one, of which the first part is read; settings: "data.split=test", ...

    Raises: ConfigError for settings

    >>> spec = reading(DataConfig(source="faces", size=64), "photos", ["data.channels=1"])
    >>> spec.source, spec.size, spec.channels
    ('photos', 64, 1)
    """
    if source is not None and source != spec.source:
        spec = replace(spec, source=source, split="train")
    table = {"data": config.to_dict(replace(config.Config(), data=replace(spec, labels=False)))["data"]}
    config.override(table, settings)
    return config.from_dict(table).data


def real_images(spec: DataConfig, shape: tuple[int, ...], option: str, *, own: bool) -> Dataset:
    """Read images to measure by, of the shape of those that are measured.

    option: which names another source, for errors; own: whether this one is what the run was trained on

    Raises: DataError for data that is not there; ShapeError for images of another shape
    """
    try:
        with renaming({} if own else {"data.source": option}):
            dataset = data.load(spec, progress=True)
    except DataError as error:
        if not own:
            raise
        raise DataError(f"the data of the run: {error}; name images with {option}") from error
    if tuple(shape) != dataset.shape:
        _, height, width = shape
        size = f"data.size={height} data.channels={shape[0]}" if height == width else "images of the same shape"
        raise ShapeError(f"{option}: expected images {tuple(shape)}, got {dataset.shape}; read it with {size}")
    return dataset


def together(parts: Sequence[Images]) -> Images:
    """Return the images of several sources as one. Raises: DataError if there are none"""
    if not parts:
        raise DataError("expected at least one source of images, got none")
    names = tuple(name for part in parts for name in part.names)
    images, labels = ([getattr(part, of) for part in parts] for of in ("images", "labels"))
    return Images(np.concatenate(images), names, np.concatenate(labels))


def named(images: np.ndarray, numbers: Iterable[int] | None = None) -> Images:
    """Return an array of images, uint8 or in [-1, 1], without class, called by these numbers, or in turn from 0."""
    called = range(len(images)) if numbers is None else numbers
    return Images(images, tuple(f"image {number}" for number in called), np.full(len(images), -1))


def _classes(model: Model, found: sources.Source, count: int, label: int | str | None) -> np.ndarray:
    """Return the class number of each image, -1 for none."""
    none = np.full(count, -1)
    if label is not None:
        named = class_numbers(label, model.classes, count)
        return none if named is None else np.array(named)
    if found.labels is None or not model.classes:
        return none
    ours = {name: number for number, name in enumerate(model.classes)}
    return np.array([ours.get(found.classes[number], -1) for number in found.labels[:count]])
