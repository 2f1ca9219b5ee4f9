"""An .npz with `images` and perhaps `labels`, bytes or floats, channels first or last."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from gdm.errors import DataError
from gdm.pixels import to_uint8
from gdm.sources.base import Source, of_array

WORDS, SPLIT = "an .npz file", False


def accepts(name: str, path: Path) -> bool:
    return path.suffix.lower() == ".npz" and path.is_file()


def read(name: str, path: Path, split: str) -> Source:
    try:
        # Opened as a zip first: numpy.load alone would also accept a single array.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as an .npz ({error}); write it with numpy.savez") from error
    labels = arrays.pop("labels", None)
    if "images" not in arrays and len(arrays) != 1:
        raise DataError(f"{path}: expected an array named 'images', got {sorted(arrays)}; rename one")
    images = _to_bytes(arrays.get("images", next(iter(arrays.values()))), path)
    if labels is not None and (labels.shape != images.shape[:1] or labels.dtype.kind not in "iuU"):
        got = f"{labels.dtype} {labels.shape}"
        raise DataError(f"{path}: labels: expected {len(images)} integers or names, got {got}; one per image")
    return of_array(images, path, labels)


def _to_bytes(images: np.ndarray, path: Path) -> np.ndarray:
    """Return the images as uint8 (n, H, W, C)."""
    layouts = [axis for axis in (-1, 1) if images.ndim == 4 and images.shape[axis] in (1, 3)]
    if images.ndim == 3:
        images, layouts = images[..., None], [-1]
    if len(layouts) != 1 or not images.size:
        expected = "expected (n, H, W), (n, H, W, C) or (n, C, H, W) with C = 1 or 3"
        raise DataError(f"{path}: images: {expected}, got {images.shape}")
    images = np.moveaxis(images, layouts[0], -1)
    if images.dtype == np.uint8:
        return images
    low, high = images.min(), images.max()
    if images.dtype.kind != "f" or not (-1 <= low and high <= 1):
        got = f"{images.dtype} from {low} to {high}"
        expected = "expected uint8 from 0 to 255, or floats in [0, 1] or [-1, 1]"
        raise DataError(f"{path}: images: {expected}, got {got}; convert them first")
    return to_uint8(images if low < 0 else images * np.float32(2) - np.float32(1))
