"""What a reader returns, and what several of them need to make it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gdm.errors import DataError


@dataclass(frozen=True, eq=False)
class Source:
    """Images as they are stored, decoded when asked for.

    count: how many
    name: of image i, for messages
    read: image i, uint8 (H, W, 1 or 3); may be called from several threads; raises CorruptImageError
    labels: int64 (count,), indices into `classes`; None for a source without labels
    classes: the name of each class
    unlabelled: why there are no labels, and what to do about it
    """

    count: int
    name: Callable[[int], str]
    read: Callable[[int], np.ndarray]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    unlabelled: str = "it has no labels; set data.labels=false"


def of_array(
    images: np.ndarray, where: object, labels: np.ndarray | None = None, classes: Sequence[str] = ()
) -> Source:
    """Return a source of images in memory, uint8 (n, H, W, C). Raises: DataError if the labels do not fit

    labels: one per image, numbers or names; without `classes`, each that occurs is a class
    """
    if labels is None:
        return Source(len(images), f"image {{}} of {where}".format, images.__getitem__)
    if len(labels) != len(images):
        raise DataError(f"{where}: expected {len(images)} labels, one per image, got {len(labels)}")
    numbers, names = classified(labels, classes, where)
    return Source(len(images), f"image {{}} of {where}".format, images.__getitem__, numbers, names)


def classified(
    labels: Sequence[object] | np.ndarray, classes: Sequence[str], where: object
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels as indices into classes, int64 (n,), and the classes' names.

    Raises: DataError for an index that no class has
    """
    values = np.asarray(labels)
    if not len(classes):
        found, numbers = np.unique(values, return_inverse=True)
        return numbers.astype(np.int64), tuple(str(name) for name in found)
    low, high = values.min(), values.max()
    if low < 0 or high >= len(classes):
        raise DataError(f"{where}: labels: expected 0 to {len(classes) - 1}, got {low} to {high}; name all the classes")
    return values.astype(np.int64), tuple(classes)
