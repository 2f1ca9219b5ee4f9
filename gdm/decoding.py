"""Work shared among threads, with its results in order, and images that stay encoded until they are needed.

Threads, since Pillow, zlib and SHA-256 leave Python's lock to others while they compute.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

_PIECE = 32  # images handed to a thread at once


def in_order(function: Callable[[int], T], count: int, workers: int) -> Iterator[T]:
    """Yield function(0), ..., function(count - 1), computed by several threads a little ahead of their use."""
    pool = _pool(workers, os.getpid())
    waiting: deque[Future[list[T]]] = deque()
    try:
        for first in range(0, count, _PIECE):
            waiting.append(pool.submit(_several, function, range(first, min(first + _PIECE, count))))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:  # an error, or a caller who has seen enough
        for future in waiting:
            future.cancel()


def _several(function: Callable[[int], T], indices: range) -> list[T]:
    return [function(i) for i in indices]


@functools.cache
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Return the threads of this process: a fork has a copy of the object but not of the threads."""
    return ThreadPoolExecutor(workers, thread_name_prefix="gdm-decode")


class Encoded:
    """Images that are decoded when indexed, by several threads; otherwise like a read-only array.

    read: image i, uint8 (C, H, W); may be called from several threads
    shape: (n, C, H, W)
    digest: the SHA-256 of `pixels_digest`, if it is known already
    """

    def __init__(
        self, read: Callable[[int], np.ndarray], shape: tuple[int, int, int, int], workers: int, digest: Any = None
    ) -> None:
        self._read, self._workers, self._digest = read, workers, digest
        self.shape, self.dtype, self.ndim, self.size = shape, np.dtype(np.uint8), 4, int(np.prod(shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the images with these indices, decoded. Shapes: int (batch,) -> uint8 (batch, C, H, W)"""
        numbers = np.arange(len(self))[indices].tolist()
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)

        def fill(part: int) -> None:
            for place in range(part, len(numbers), self._workers):
                images[place] = self._read(numbers[place])

        for _ in _pool(self._workers, os.getpid()).map(fill, range(self._workers)):
            pass
        return images

    def pixels_digest(self) -> Any:
        """Return the SHA-256 over shape, type and pixels, to which more may be added; one pass if it is not known."""
        if self._digest is None:
            self._digest = begin_digest(self.shape)
            for image in in_order(self._read, len(self), self._workers):
                self._digest.update(np.ascontiguousarray(image).data)
        return self._digest.copy()


def begin_digest(shape: tuple[int, ...]) -> Any:
    """Return a SHA-256 that has seen the shape of the images and their type, and none of their pixels yet."""
    return hashlib.sha256(f"{shape} {np.dtype(np.uint8)}".encode())


def pixels_digest(images: np.ndarray | Encoded) -> Any:
    """Return the SHA-256 over shape, type and pixels of images, the same wherever they are kept."""
    if isinstance(images, Encoded):
        return images.pixels_digest()
    digest = begin_digest(images.shape)
    digest.update(np.ascontiguousarray(images).data)
    return digest
