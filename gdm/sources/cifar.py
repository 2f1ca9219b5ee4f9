"""CIFAR-10 as its authors publish it: cifar-10-binary.tar.gz or cifar-10-python.tar.gz.

Nothing is extracted to disk, and nothing is unpickled: `gdm.sources.pickled` reads the batches of the latter.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from pathlib import Path

import numpy as np

from gdm.errors import DataError
from gdm.sources.base import Source, of_array
from gdm.sources.pickled import batch, names

WORDS, SPLIT = "CIFAR-10's tarball", True

_PARTS = {"train": r"data_batch_\d+(\.bin)?", "test": r"test_batch(\.bin)?"}
_META = r"batches\.meta(\.txt)?"
_PIXELS = 3 * 32 * 32


def accepts(name: str, path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith((".tar.gz", ".tgz", ".tar"))


def read(name: str, path: Path, split: str) -> Source:
    if split not in _PARTS:
        raise DataError(f"data.split: expected one of {', '.join(_PARTS)}, got {split!r}")
    files = _members(path, rf"{_PARTS[split]}|{_META}")
    batches = sorted(file for file in files if not re.fullmatch(_META, file))
    if not batches:
        expected = "expected data_batch_1 and so on, as in cifar-10-binary.tar.gz or cifar-10-python.tar.gz"
        raise DataError(f"{path}: {expected}; got none; give the path of CIFAR-10's own file")
    try:
        parts = [_binary(files[file]) if file.endswith(".bin") else batch(files[file], _PIXELS) for file in batches]
        classes = [name for file in sorted(files.keys() - set(batches)) for name in _classes(file, files[file])]
        labels = np.concatenate([numbers for _, numbers in parts])
    except ValueError as error:
        raise DataError(
            f"{path}: expected batches of CIFAR-10, got something else ({error}); fetch it again"
        ) from error
    pixels = np.concatenate([images for images, _ in parts]).reshape(-1, 3, 32, 32)
    return of_array(pixels.transpose(0, 2, 3, 1), path, labels, classes)


def _members(path: Path, pattern: str) -> dict[str, bytes]:
    """Return the content of a tarball's files whose names, without folders, fit a pattern."""
    try:
        with tarfile.open(path) as archive:
            found = ((Path(member.name).name, member) for member in archive if member.isfile())
            chosen = ((name, archive.extractfile(member)) for name, member in found if re.fullmatch(pattern, name))
            return {name: file.read() for name, file in chosen if file is not None}
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{path}: cannot be read as a tarball ({error}); fetch it again") from error


def _binary(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels, uint8 (n, 3072), and labels, (n,): each image is a byte for its label and 3072 pixels."""
    if not content or len(content) % (1 + _PIXELS):
        raise ValueError(f"a batch of {len(content)} bytes, which is no multiple of {1 + _PIXELS}")
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 1:], rows[:, 0]


def _classes(file: str, content: bytes) -> list[str]:
    return content.decode().split() if file.endswith(".txt") else names(content, "label_names")
