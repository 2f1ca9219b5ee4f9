"""One pass over a source: what is corrupt, which sizes there are, and the images in memory if they fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdm.config import DataConfig
from gdm.decoding import Encoded, begin_digest, in_order
from gdm.errors import DataError
from gdm.images import CorruptImageError, resize, with_channels
from gdm.machine import cores, free_memory
from gdm.progress import reading_bar
from gdm.sources import Source

Size = tuple[int, int, int]  # width, height, channels, as stored


class MixedSizesError(DataError):
    """Images of several sizes where one is needed."""


class Gathered(NamedTuple):
    """Images uint8 (n, C, H, W), in memory or not; the indices in the source of those kept; the names of the others."""

    images: np.ndarray | Encoded
    kept: np.ndarray
    skipped: tuple[str, ...]
    sizes: dict[Size, int]  # how many images are stored in each


def gather(source: Source, config: DataConfig, progress: bool = False) -> Gathered:
    """Read all images of a source once, brought to one shape by `config`.

    Raises: CorruptImageError, if such are not to be skipped; MixedSizesError; DataError if no image is left
    """
    workers = config.workers or cores()
    store = _Store(source.count, config.channels, int(config.memory * 1e9) or free_memory() // 2)
    sizes: Counter[Size] = Counter()
    kept: list[int] = []
    skipped: list[str] = []
    prepared = in_order(lambda i: _prepared(source, config, i), source.count, workers)
    with reading_bar(source.count, progress) as advance:
        for i, (size, image) in enumerate(prepared):
            advance()
            if isinstance(image, CorruptImageError):
                if not config.skip_corrupt:
                    raise image
                skipped.append(source.name(i))
                continue
            kept.append(i)
            sizes[size] += 1
            if not store.fits(image):
                raise _mixed([source.name(kept[0]), source.name(i)], [store.shape, image.shape])
            store.add(image)
    if not kept:
        raise DataError(f"expected at least one image that can be read, got none of {source.count}, as {skipped[0]}")
    chosen = np.array(kept)
    event = _reader(source, config, chosen, store.channels)
    return Gathered(store.images(event, workers), chosen, tuple(skipped), dict(sizes))


def _prepared(source: Source, config: DataConfig, i: int) -> tuple[Size, np.ndarray | CorruptImageError]:
    """Return the size of image i as stored, and the image, (H, W, C), resized; or why it cannot be read."""
    try:
        image = source.read(i)
    except CorruptImageError as error:
        return (0, 0, 0), error
    height, width, channels = image.shape
    resized = resize(image, config.size)
    return (width, height, channels), with_channels(resized, config.channels) if config.channels else resized


def _reader(source: Source, config: DataConfig, kept: np.ndarray, channels: int) -> Callable[[int], np.ndarray]:
    """Return a function that reads image i of those kept, (C, H, W)."""

    def read(i: int) -> np.ndarray:
        image = with_channels(resize(source.read(int(kept[i])), config.size), channels)
        return image.transpose(2, 0, 1)

    return read


def _mixed(names: list[str], shapes: list[tuple[int, ...]]) -> MixedSizesError:
    sizes = [f"{name} is {shape[1]} x {shape[0]}" for name, shape in zip(names, shapes, strict=True)]
    remedy = f"set data.size, for example data.size={min(shapes[0][:2])}"
    return MixedSizesError(f"expected images of one size, got {' and '.join(sizes)}; {remedy}")


class _Store:
    """Takes up images one by one: into an array while it fits in memory, else into a hash alone.

    The hash begins with the number of images and channels. Where a corrupt image or the first colourful one
    after grey ones shows that it began wrongly, it is left to a second pass.
    """

    def __init__(self, count: int, channels: int, limit: int) -> None:
        self.count, self.limit, self.any_channels, self.channels = count, limit, not channels, channels
        self.shape: tuple[int, ...] = ()  # of the first image, (H, W, C)
        self.array: np.ndarray | None = None
        self.digest: Any = None
        self.added = 0

    def fits(self, image: np.ndarray) -> bool:
        """Whether an image has the height and width of the first."""
        return not self.shape or image.shape[:2] == self.shape[:2]

    def add(self, image: np.ndarray) -> None:
        if not self.shape:
            self.shape, self.channels = image.shape, self.channels or image.shape[-1]
            if self._bytes() <= self.limit:
                self.array = np.empty(self._full(), np.uint8)
            else:
                self.digest = begin_digest(self._full())
        if self.any_channels and image.shape[-1] > self.channels:
            self._widen(image.shape[-1])
        planes = with_channels(image, self.channels).transpose(2, 0, 1)
        if self.array is not None:
            self.array[self.added] = planes
        elif self.digest is not None:
            self.digest.update(np.ascontiguousarray(planes).data)
        self.added += 1

    def images(self, read: Callable[[int], np.ndarray], workers: int) -> np.ndarray | Encoded:
        """Return what was added, as an array or as something that reads it again."""
        if self.array is not None:
            return self.array[: self.added]
        digest = self.digest if self.added == self.count else None
        _, *event = self._full()
        return Encoded(read, (self.added, event[0], event[1], event[2]), workers, digest)

    def _full(self) -> tuple[int, int, int, int]:
        return self.count, self.channels, self.shape[0], self.shape[1]

    def _bytes(self) -> int:
        return int(np.prod(self._full(), dtype=object))

    def _widen(self, channels: int) -> None:
        """Go on in colour: what was grey becomes so too."""
        grey, self.channels, self.digest = self.array, channels, None
        self.array = None
        if grey is not None and self._bytes() <= self.limit:
            self.array = np.empty(self._full(), np.uint8)
            self.array[: self.added] = grey[: self.added]
