"""A folder of images, those of its subfolders too."""

from __future__ import annotations

from pathlib import Path

from gdm.images import SUFFIXES, decode
from gdm.sources.base import Source
from gdm.sources.listing import LABELS, image_names, labelled

WORDS, SPLIT = "a folder of images", False


def accepts(name: str, path: Path) -> bool:
    return path.is_dir()


def read(name: str, path: Path, split: str) -> Source:
    found = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    names = image_names((file.relative_to(path).as_posix() for file in found), path)
    described = path / LABELS
    content = described.read_bytes() if described.is_file() else None

    def full(i: int) -> str:
        return str(path / names[i])

    return Source(len(names), full, lambda i: decode(path / names[i], full(i)), *labelled(names, content, path))
