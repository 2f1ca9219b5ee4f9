"""Image files by name, in a folder or a zip: which count, in which order, and what class each has.

Labels come from a `dataset.json` in the layout of EDM's tools, `{"labels": [["00000/img00000000.png", 6], ...]}`
(`labels` may be null; `classes` may give names), or else from the subfolder that an image is in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gdm.errors import DataError
from gdm.images import SUFFIXES
from gdm.sources.base import classified

LABELS = "dataset.json"


class Labelled(NamedTuple):
    """Labels, int64 (n,), and the names of the classes; or why there are none."""

    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    unlabelled: str = ""


def image_names(names: Iterable[str], where: object) -> list[str]:
    """Return the names of images, in the same order on every machine; hidden ones do not count.

    Raises: DataError if there are none
    """
    images = sorted(name for name in names if name.lower().endswith(SUFFIXES) and not _is_hidden(name))
    if not images:
        raise DataError(f"no images in {where}; expected files ending in {', '.join(SUFFIXES)}")
    return images


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX/")) or "/." in name


def labelled(names: list[str], content: bytes | None, where: object) -> Labelled:
    """Return the labels of image files. Raises: DataError for a `dataset.json` that cannot be understood

    content: of `dataset.json`, if there is one
    """
    if content is not None:
        return _from_json(names, content, f"{where}/{LABELS}")
    loose = next((name for name in names if "/" not in name), None)
    if loose is not None:
        remedy = "move it into a subfolder named after its class, or set data.labels=false"
        return Labelled(unlabelled=f"{where}/{loose}: expected a subfolder, whose name is the class; {remedy}")
    return Labelled(*classified([name.split("/")[0] for name in names], (), where))


def _from_json(names: list[str], content: bytes, where: str) -> Labelled:
    try:
        described: Any = json.loads(content)
        pairs, classes = described["labels"], described.get("classes") or ()
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        expected = 'expected {"labels": [[name, integer], ...]}'
        raise DataError(f"{where}: {expected}, got something else ({error!r}); write it anew or remove it") from error
    if pairs is None:
        return Labelled(unlabelled=f"{where} says that there are none; set data.labels=false")
    try:
        known = {name.replace("\\", "/"): label for name, label in pairs}
        good = all(type(label) is int for label in known.values()) and all(type(name) is str for name in classes)
    except (ValueError, TypeError, AttributeError):
        good, known = False, {}
    if not good:
        raise DataError(f'{where}: expected "labels": [[name, integer], ...] and "classes": [name, ...]; correct it')
    without = [name for name in names if name not in known]
    if without:
        remedy = "add them, or set data.labels=false"
        return Labelled(unlabelled=f"{where} has no label for {len(without)} images, such as {without[0]}; {remedy}")
    return Labelled(*classified([known[name] for name in names], classes, where))
