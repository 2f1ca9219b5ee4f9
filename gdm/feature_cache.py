"""Features of real images, kept between commands: computing them may take longer than all the rest.

A file is found by what its content follows from: the hash of the pixels, how many of them, the extractor and the hash
of its weights. It holds that description too, and is used only if every word agrees; other data is another file.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gdm.files import write_atomic
from gdm.metrics import Moments


class Features(NamedTuple):
    """What is kept of the features of a set of images: the moments of all, and float32 (m, d) of some of them."""

    moments: Moments
    sample: np.ndarray


def default_folder() -> Path:
    """Return $XDG_CACHE_HOME/gdm, or ~/.cache/gdm."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the standard has relative paths ignored
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "gdm"


def recall(folder: Path, key: Mapping[str, Any]) -> Features | None:
    """Return what was stored under this key, or None; what is damaged counts as not there, with a warning."""
    path, words = _place(folder, key)
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as saved:  # a zip's own checksums guard its bytes
            if str(saved["key"]) != words:
                raise ValueError("it is of something else")
            found = Moments(saved["mean"], saved["covariance"], int(saved["count"]))
            sample = saved["sample"]
        width = found.mean.size
        if found.covariance.shape != (width, width) or sample.ndim != 2 or sample.shape[1] != width:
            raise ValueError("its arrays do not fit one another")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        warnings.warn(f"{path} is damaged ({error}); computing it anew", stacklevel=2)
        return None
    return Features(found, sample)


def store(folder: Path, key: Mapping[str, Any], features: Features) -> None:
    """Keep features under a key; atomically. Raises: CheckpointError if the disk refuses"""
    path, words = _place(folder, key)
    known = features.moments

    def write(file: BinaryIO) -> None:
        key, count = np.array(words), np.array(known.count)
        np.savez(file, key=key, mean=known.mean, covariance=known.covariance, count=count, sample=features.sample)

    write_atomic(path, write)


def _place(folder: Path, key: Mapping[str, Any]) -> tuple[Path, str]:
    """Return the path for a key, and the key as text."""
    words = json.dumps(key, sort_keys=True)
    return folder / f"features-{hashlib.sha256(words.encode()).hexdigest()[:32]}.npz", words
