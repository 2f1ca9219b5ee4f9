"""Between the bytes of an image and the numbers that a network sees, in [-1, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdm.arrays import namespace
from gdm.errors import DTypeError, ValueRangeError


def to_unit(images: Any, dtype: Any = None) -> Any:
    """Return bytes as a network sees them, x / 127.5 - 1, on any array library. Inverse of `to_uint8`.

    Shapes: uint8 (...) -> float32 (or `dtype`) (...) in [-1, 1] of the same shape
    Raises: DTypeError for what is not uint8
    """
    xp = namespace(images)
    if images.dtype != xp.uint8:
        raise DTypeError(f"images: expected uint8, got {images.dtype}; are they in [-1, 1] already?")
    return xp.astype(images, xp.float32 if dtype is None else dtype) / 127.5 - 1


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Return images from [-1, 1] as bytes, rounded to the nearest and clipped. Inverse of `to_unit`.

    Shapes: float (...) -> uint8 (...) of the same shape
    Raises: DTypeError for integers; ValueRangeError for NaN
    """
    images = np.asarray(images)
    if images.dtype.kind != "f":
        raise DTypeError(f"images: expected floats in [-1, 1], got {images.dtype}; are they bytes already?")
    if np.isnan(images).any():
        count = np.isnan(images).sum()
        raise ValueRangeError(f"images: expected numbers in [-1, 1], got {count} NaN; look for their origin")
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
