"""Where images go as they are made: a folder of PNGs, a zip of them, an array, or a grid to look at.

A folder is filled image by image, and says in samples.json how they were made, so that another call adds those
that it lacks. The others are there as a whole or not at all.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gdm.canvas import FILL, in_rows, lay_out
from gdm.errors import ConfigError, ValueRangeError
from gdm.files import read_json, write_atomic, write_json, writing
from gdm.rounds import Made

FILES = (".png", ".zip", ".npz")  # any other path is a folder
GRID = 256  # images in a grid, at most
RECORD, LABELS = "samples.json", "dataset.json"
_END = bytes.fromhex("0000000049454e44ae426082")  # of every whole PNG
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # so that equal images make equal files


def checked_output(path: Path) -> Path:
    """Return a path that images can go to. Raises: ValueRangeError for a file of another kind."""
    path = path.expanduser()
    if is_folder(path) or path.suffix.lower() in FILES:
        return path
    raise ValueRangeError(f"{path}: expected a folder or a file name ending in {', '.join(FILES)}; rename it")


def is_folder(path: Path) -> bool:
    """Tell whether a path means a folder: it is one, or its name has no suffix."""
    return path.is_dir() or not path.suffix


def write_grid(path: Path, batches: Iterable[Made]) -> None:
    """Write one PNG with all images, row by row. Raises: CheckpointError if the disk refuses."""
    cells = np.concatenate([made.images for made in batches]).transpose(0, 2, 3, 1)
    columns = math.ceil(math.sqrt(len(cells)))
    write_atomic(path, _png(lay_out(in_rows(cells, columns, FILL)).pixels))


def write_npz(path: Path, batches: Iterable[Made], count: int, shape: Sequence[int], classes: Sequence[str]) -> None:
    """Write `images`, uint8 (count, C, H, W), and with classes `labels`, their names (count,), as numpy.savez does."""

    def write(file: BinaryIO) -> None:
        labels: list[np.ndarray] = []
        with zipfile.ZipFile(file, "w") as archive:
            with archive.open(_entry("images.npy"), "w", force_zip64=True) as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
                np.lib.format.write_array_header_1_0(member, header)
                for made in batches:
                    member.write(made.images.tobytes())
                    labels += [] if made.labels is None else [made.labels]
            if classes:
                with archive.open(_entry("labels.npy"), "w") as member:
                    np.lib.format.write_array(member, np.array(classes)[np.concatenate(labels)], allow_pickle=False)

    write_atomic(path, write)


def write_zip(path: Path, batches: Iterable[Made]) -> None:
    """Write PNGs, stored, in the layout of EDM's tools: 00000/img00000000.png, ... and labels in dataset.json."""

    def write(file: BinaryIO) -> None:
        labels: list[tuple[str, int]] = []
        with zipfile.ZipFile(file, "w") as archive:
            for made in batches:
                names = [f"{number // 1000:05d}/img{number:08d}.png" for number in made.numbers]
                for name, image in zip(names, made.images, strict=True):
                    archive.writestr(_entry(name), _png(image.transpose(1, 2, 0)))
                if made.labels is not None:
                    labels += zip(names, made.labels.tolist(), strict=True)
            if labels:
                archive.writestr(_entry(LABELS), json.dumps({"labels": labels}))

    write_atomic(path, write)


def lacking(folder: Path, numbers: Sequence[int], recipe: Mapping[str, Any]) -> list[int]:
    """Return which of the images a folder does not hold yet, made by the same recipe.

    Raises: ConfigError for images made by another recipe, or by none; CheckpointError for a record that is damaged
    """
    if (folder / RECORD).exists():
        before, now = read_json(folder / RECORD), json.loads(json.dumps(recipe))
        for key in [key for key in {**now, **before} if before.get(key) != now.get(key)]:
            expected = f"expected {key} = {before.get(key)!r} as in its {RECORD}, got {now.get(key)!r}"
            raise ConfigError(f"{folder} holds other samples: {expected}; choose another folder (-o)")
    elif _held(folder):
        raise ConfigError(f"{folder} holds images, and no {RECORD} says how they were made; choose another folder (-o)")
    held = _held(folder)
    return [number for number in numbers if not (number in held and _whole(folder / held[number]))]


def write_folder(
    folder: Path,
    batches: Iterable[Made],
    recipe: Mapping[str, Any],
    labels_of: Callable[[Sequence[int]], np.ndarray | None],
) -> None:
    """Write 000000.png, ..., named by the images' numbers; with classes, dataset.json has the label of each.

    labels_of: the classes of images by their numbers; those that were there before are listed too

    Raises: CheckpointError if the disk refuses; the images written before stay
    """
    write_json(folder / RECORD, recipe)
    for made in batches:
        for number, image in zip(made.numbers, made.images, strict=True):
            _place(folder / f"{number:06d}.png", _png(image.transpose(1, 2, 0)))
    held = dict(sorted(_held(folder).items()))
    labels = labels_of(list(held))
    if labels is not None:
        listed = [*zip(held.values(), labels.tolist(), strict=True)]
        write_atomic(folder / LABELS, json.dumps({"labels": listed}).encode())


def _place(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it; `_whole` finds what a power cut may leave of it."""
    temporary = path.with_name(f".{path.name}.tmp")  # not flushed to the disk: that would take longer than the network
    with writing(path):
        temporary.write_bytes(content)
        os.replace(temporary, path)


def _held(folder: Path) -> dict[int, str]:
    """Return the names of the numbered images in a folder, by number."""
    if not folder.is_dir():
        return {}
    return {int(name[:-4]): name for name in os.listdir(folder) if re.fullmatch(r"\d{6,}\.png", name)}


def _whole(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(-min(len(_END), file.tell()), os.SEEK_END)
        return file.read() == _END


def _png(pixels: np.ndarray) -> bytes:
    """Return an image as the bytes of a PNG file. Shapes: uint8 (H, W, 1 or 3)"""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _NO_TIME)
    entry.external_attr = 0o644 << 16  # readable by all, once unpacked
    return entry
