"""One image file."""

from __future__ import annotations

from pathlib import Path

from gdm.images import SUFFIXES, decode
from gdm.sources.base import Source

WORDS, SPLIT = "an image file", False


def accepts(name: str, path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(name: str, path: Path, split: str) -> Source:
    return Source(1, lambda i: name, lambda i: decode(path, name), unlabelled="it is one image; set data.labels=false")
