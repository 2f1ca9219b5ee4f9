"""Data sets of Hugging Face's `datasets`, where it is installed: from the Hub, or a folder of `save_to_disk`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from gdm.errors import DataError, nearest
from gdm.images import CorruptImageError, decode
from gdm.sources.base import Source

WORDS, SPLIT = "Hugging Face datasets (hf:NAME, hf:NAME/CONFIG or a folder of save_to_disk)", True

_PREFIX = "hf:"
_SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in a folder: of several splits, of one


def accepts(name: str, path: Path) -> bool:
    return name.startswith(_PREFIX) or any((path / file).is_file() for file in _SAVED)


def read(name: str, path: Path, split: str) -> Source:
    try:
        datasets: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise DataError(f"{name}: reading it needs the package datasets; pip install datasets") from error
    table = _part(_open(datasets, name.removeprefix(_PREFIX)), name, split)
    column = _column(table, datasets.Image)
    if column is None:
        raise DataError(f"{name}: expected a column of images, got {', '.join(table.features)}; is it a set of images?")
    encoded = table.cast_column(column, datasets.Image(decode=False)).select_columns([column])
    where = f"{name} ({split})"

    def image(i: int) -> np.ndarray:
        return _decoded(encoded[i][column], f"image {i} of {where}")

    label = _column(table, datasets.ClassLabel)
    if label is None:
        return Source(len(table), f"image {{}} of {where}".format, image)
    labels = np.asarray(table.select_columns([label])[:][label])
    if labels.dtype.kind not in "iu" or labels.min() < 0:  # -1 or None stand where a test set hides them
        return Source(len(table), f"image {{}} of {where}".format, image, unlabelled="some of its images have no label")
    classes = tuple(map(str, table.features[label].names))
    return Source(len(table), f"image {{}} of {where}".format, image, labels.astype(np.int64), classes)


def _open(datasets: Any, name: str) -> Any:
    """Open a saved folder; else a data set of the Hub, where a/b is b by a, or else configuration b of a."""
    folder = Path(name).expanduser()
    parts = name.split("/")
    readings = [(name, None)] if len(parts) < 3 else []
    readings += [("/".join(parts[:-1]), parts[-1])] if len(parts) > 1 else []
    try:
        if any((folder / file).is_file() for file in _SAVED):
            return datasets.load_from_disk(str(folder))
        for repository, config in readings[:-1]:
            try:
                return datasets.load_dataset(repository, config)
            except datasets.exceptions.DatasetNotFoundError:
                pass
        return datasets.load_dataset(*readings[-1])
    except Exception as error:  # of the network, the Hub, the name, the configuration or the files
        remedy = "check the name, the configuration and the network"
        raise DataError(f"{_PREFIX}{name}: cannot be read ({error}); {remedy}") from error


def _part(opened: Any, name: str, split: str) -> Any:
    """Return one split of what was opened, which may have none."""
    if not isinstance(opened, dict):
        if split == "train":
            return opened
        raise DataError(f"data.split: {name} holds one part, got {split!r}; leave data.split out")
    if split not in opened:
        known = ", ".join(opened)
        raise DataError(f"data.split: expected one of {known}, got {split!r}{nearest(split, opened)}")
    return opened[split]


def _column(table: Any, kind: type) -> str | None:
    """Return the first column of a kind."""
    return next((name for name, feature in table.features.items() if isinstance(feature, kind)), None)


def _decoded(value: Any, name: str) -> np.ndarray:
    """Decode what a column of images holds: the file's content, or else its path."""
    if not value or not (value["bytes"] or value["path"]):
        raise CorruptImageError(f"{name}: expected an image, got none; leave such out: data.skip_corrupt=true")
    return decode(value["bytes"] or Path(value["path"]), name)
