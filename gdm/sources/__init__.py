"""Where images come from: one reader per kind of source, and `find`, which chooses among them by the name.

A reader is a module with `WORDS` (what it reads, for errors), `SPLIT` (whether it has a training and a test
part), `accepts(name, path)` and `read(name, path, split) -> Source`.
"""

from __future__ import annotations

import os
from pathlib import Path

from gdm.config import DataConfig
from gdm.errors import DataError, nearest
from gdm.sources import cifar, digits, folder, hub, idx, npz, picture, zipped
from gdm.sources.base import Source as Source

READERS = (
    digits,
    folder,
    zipped,
    npz,
    picture,
    cifar,
    idx,
    hub,
)  # asked from the last on: special folders before any folder


def find(config: DataConfig) -> Source:
    """Return the images that `config.source` names, as they are stored; most are decoded when asked for.

    Raises: DataError for a source that is missing, empty, damaged, or of no kind that a reader knows
    """
    name, path = config.source, Path(config.source).expanduser()
    if digits.accepts(name, path) and path.exists():
        remedy = f"write ./{name} for what is here, or rename it"
        raise DataError(f"data.source: {name!r} names scikit-learn's digits, and is also in {Path.cwd()}; {remedy}")
    for reader in reversed(READERS):
        if name and reader.accepts(name, path):
            if config.split != "train" and not reader.SPLIT:
                raise DataError(
                    f"data.split: {name!r} is {reader.WORDS}, which has one part, got {config.split!r}; "
                    "leave data.split out, or give the other part's own path"
                )
            return reader.read(name, path, config.split)
    expected = f"expected {', '.join(reader.WORDS for reader in READERS[:-1])} or {READERS[-1].WORDS}"
    if path.is_file():
        raise DataError(f"data.source: {expected}; {name!r} is a file of another kind")
    raise DataError(f"data.source: {name!r} does not exist (looked in {Path.cwd()}){_neighbour(path)} {expected}")


def _neighbour(path: Path) -> str:
    """Suggest the name closest to the first part of `path` that does not exist."""
    while not path.parent.exists():
        path = path.parent
    known = ["digits"] if path.parent == Path() else []
    try:
        known += os.listdir(path.parent)
    except OSError:  # a file, or a folder that may not be read
        pass
    return nearest(path.name, known) or ";"
