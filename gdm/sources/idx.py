"""IDX, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist), gzipped or not.

The labels of `train-images-idx3-ubyte.gz` are looked for beside it, in `train-labels-idx1-ubyte.gz`. A folder may
hold a training part (`train` in the name) and a test part (`t10k` or `test`).
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

import numpy as np

from gdm.errors import DataError
from gdm.sources.base import Source, of_array

WORDS, SPLIT = "IDX files (MNIST)", True

_BYTES = 8  # the code of uint8 in an IDX header: 0, 0, type, number of dimensions, then each as four bytes
_PARTS = {"train": r"train", "test": r"t10k|test"}


def accepts(name: str, path: Path) -> bool:
    return bool(_image_files(path)) if path.is_dir() else path.is_file() and _header(path)[:3] == bytes([0, 0, _BYTES])


def read(name: str, path: Path, split: str) -> Source:
    file = _choose(path, split) if path.is_dir() else path
    if path.is_file() and split != "train":
        raise DataError(f"data.split: {path} is one part, got {split!r}; give the other part's file, or the folder")
    images = _array(file)
    if images.ndim != 3 or not images.size:
        remedy = "labels have 1 dimension, images 3: give the file of the images"
        raise DataError(f"{file}: expected images, (n, H, W), got {images.shape}; {remedy}")
    beside = _labels_of(file)
    if beside is None:
        return of_array(images[..., None], file)
    labels = _array(beside)
    if labels.shape != images.shape[:1]:
        raise DataError(f"{beside}: expected {len(images)} labels, one per image, got {labels.shape}; are both whole?")
    return of_array(images[..., None], file, labels)


def _image_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*images*idx3*") if file.is_file() and _header(file)[:2] == b"\0\0")


def _choose(folder: Path, split: str) -> Path:
    files = _image_files(folder)
    if split not in _PARTS:
        raise DataError(f"data.split: expected one of {', '.join(_PARTS)}, got {split!r}")
    chosen = {file.name.removesuffix(".gz"): file for file in files if re.search(_PARTS[split], file.name)}
    if len(chosen) != 1:
        names = ", ".join(file.name for file in files)
        raise DataError(f"{folder}: expected images of one {split} part, got {names}; give the file's own path")
    return next(iter(chosen.values()))


def _labels_of(file: Path) -> Path | None:
    """Return the file of labels beside a file of images, gzipped or not, if there is one."""
    name = file.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    beside = [file.with_name(name), file.with_name(name + ".gz")]
    return next((path for path in beside if path != file and path.is_file()), None)


def _header(path: Path) -> bytes:
    try:
        with _open(path) as file:
            return file.read(4)
    except (OSError, EOFError, zlib.error):
        return b""


def _open(path: Path) -> gzip.GzipFile:
    with open(path, "rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if gzipped else open(path, "rb")  # type: ignore[return-value]


def _array(path: Path) -> np.ndarray:
    """Return what an IDX file of bytes holds, uint8 of any shape. Raises: DataError"""
    try:
        with _open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error
    dimensions = content[3] if content[:3] == bytes([0, 0, _BYTES]) and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if not dimensions or len(content) < start:
        raise DataError(f"{path}: expected an IDX file of bytes, got one that begins with {content[:4].hex(' ')}")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, offset=4).tolist())
    expected, got = int(np.prod(shape, dtype=object)), len(content) - start
    if got != expected:
        raise DataError(f"{path}: expected {expected} bytes after the header, {shape}, got {got}; fetch it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
