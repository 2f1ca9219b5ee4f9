"""Look at images before training on them: how many, which sizes and classes, their hash, and examples.

What can be read: a folder or a zip of images, an .npz, CIFAR-10's tarball, IDX (the MNIST family), hf:NAME,
digits, or the data of a config. Examples:

  gdm data info digits
  gdm data info photos size=64 channels=3       brought to one size, as for training
  gdm data info cifar-10-binary.tar.gz split=test -o test.png
  gdm data info faces.zip skip_corrupt=true     name the images that cannot be read, and go on
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gdm import config, data, sources
from gdm.canvas import FORMATS, checked_name, lay_out, name_rows, new_figure, save_figure, show_sheet, spaced
from gdm.commands import one_of
from gdm.gathering import MixedSizesError
from gdm.machine import cores

_SHOWN = 64  # pixels: images of mixed sizes are cut to this for the examples
_INCH = 90  # pixels of the sheet of examples per inch of the figure


def arguments(parser: argparse.ArgumentParser) -> None:
    output = f"examples, a row per class: {', '.join(FORMATS)} (NAME-examples.png)"
    parser.add_argument("what", type=one_of(("info",)), metavar="WHAT", help="info")
    parser.add_argument("path", metavar="PATH|CONFIG.toml", help="any source of images, or a config with one")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="settings of [data]: size, split, ..."
    )
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help=output)


def run(args: argparse.Namespace) -> int:
    spec, labels_given = _config(args.path, args.overrides)
    name = Path(spec.source).expanduser().resolve().name.split(".")[0] or "data"
    output = checked_name(args.output or f"{name}-examples.png", FORMATS)
    began = time.perf_counter()
    source = sources.find(spec)
    if not labels_given:
        spec = replace(spec, labels=source.labels is not None)
    try:
        dataset, mixed = data.read(source, spec, progress=True), False
    except MixedSizesError:
        dataset, mixed = data.read(source, replace(spec, size=_SHOWN), progress=True), True
    lines = describe(dataset, spec, mixed, time.perf_counter() - began)
    width = max(len(title) for title, _ in lines)
    for title, text in lines:
        print(f"{title:{width}}  {text}")
    draw_examples(dataset, output)
    print(f"{'examples':{width}}  {output}")
    return 0


def _config(path: str, overrides: list[str]) -> tuple[config.DataConfig, bool]:
    """Return the section [data] for a source or a config, and whether it says if labels are to be read."""
    full = [text if "." in text.partition("=")[0] else f"data.{text}" for text in overrides]
    given = any(text.partition("=")[0].strip() == "data.labels" for text in full)
    if path.endswith(".toml"):
        return config.load(path, full).data, given
    return replace(config.load(os.devnull, full).data, source=path), given  # of an empty file


def describe(dataset: data.Dataset, spec: config.DataConfig, mixed: bool, seconds: float) -> list[tuple[str, str]]:
    """Return what there is to say about images, as titled lines.

    mixed: whether the images have several sizes and none was chosen for training
    """
    _, height, width = dataset.shape
    read = len(dataset) + len(dataset.skipped)
    threads = spec.workers or cores()
    kept = "kept in memory" if isinstance(dataset.images, np.ndarray) else "decoded per batch"
    speed = f"{read / seconds:.0f} images/s with {threads} threads"
    shape = "of mixed sizes; to train on them, set data.size" if mixed else f"of {width} x {height}"
    return [
        ("data", spec.source + f", {spec.split} part" * (spec.split != "train")),
        ("images", f"{len(dataset)} {shape}"),
        ("channels", _colours(dataset)),
        *_titled("stored as", _sizes(dataset)),
        *_titled("classes", _classes(dataset)),
        *_titled("left out", [*dataset.skipped[:5], *["..."] * (len(dataset.skipped) > 5)]),
        ("SHA-256", "needs one size" if mixed else dataset.hash),
        ("read in", f"{seconds:.1f} s, {speed}; {dataset.images.size / 1e6:.1f} MB, {kept}"),
    ]


def _titled(title: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    yield from zip([title] + [""] * (len(lines) - 1), lines, strict=False)


def _sizes(dataset: data.Dataset, most: int = 8) -> list[str]:
    """Return a histogram of the sizes in which images are stored; of their shorter sides, if there are many sizes."""
    counted: Counter[tuple[int, int]] = Counter()
    for (width, height, _), number in dataset.sizes.items():
        counted[width, height] += number
    if len(counted) == 1:
        return [f"{width} x {height}" for width, height in counted]
    if len(counted) <= most:
        return [_bar(f"{w} x {h}", number, len(dataset)) for (w, h), number in counted.most_common()]
    widths, heights = zip(*counted, strict=True)
    shorter = [min(size) for size in counted]
    edges = np.unique(np.linspace(min(shorter), max(shorter) + 1, most + 1).astype(int))
    numbers, _ = np.histogram(shorter, edges, weights=list(counted.values()))
    ranges = [f"shorter side {low} to {high - 1}" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [
        f"{len(counted)} sizes, {min(widths)} to {max(widths)} wide, {min(heights)} to {max(heights)} high",
        *(_bar(text, int(number), len(dataset)) for text, number in zip(ranges, numbers, strict=True)),
    ]


def _bar(text: str, number: int, of: int) -> str:
    return f"{text}: {number} {'#' * round(40 * number / of)}".rstrip()


def _colours(dataset: data.Dataset) -> str:
    """Return how many channels there are, and how many images are grey among others."""
    grey = sum(number for size, number in dataset.sizes.items() if size[2] == 1)
    if dataset.shape[0] == 1:
        return "1 (grey)" + f"; made so from colour: {len(dataset) - grey}" * (grey < len(dataset))
    return "3 (RGB)" + f"; of them grey: {grey}" * (grey > 0)


def _classes(dataset: data.Dataset, most: int = 20) -> list[str]:
    if dataset.labels is None:
        return ["no labels"]
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    named = [f"{name}: {count}" for name, count in zip(dataset.classes, counts, strict=True)]
    listed = ", ".join(named[:most]) + f", and {len(named) - most} others" * (len(named) > most)
    several = f"{counts.min()} to {counts.max()} images" if np.ptp(counts) else f"{counts[0]} images each"
    return [f"{len(named)}, of {several}", listed]


def draw_examples(dataset: data.Dataset, path: Path, columns: int = 10, rows: int = 20) -> None:
    """Draw examples, evenly spaced in the data: one row per class, or a grid where there are no classes."""
    chosen, names = _examples(dataset, columns, rows)
    cells = np.full((*chosen.shape, *_small(dataset, [0]).shape[1:]), 255, np.uint8)  # an empty place is white
    cells[chosen >= 0] = _small(dataset, chosen[chosen >= 0].tolist())
    sheet = lay_out(cells)
    height, width = sheet.pixels.shape[:2]
    longest = max(map(len, names), default=0)
    figure, axes = new_figure(width / _INCH + 0.2 + longest * 0.1, height / _INCH + 0.2)
    show_sheet(axes, sheet)
    axes.set_anchor("W")  # so that the layout leaves enough room for the names
    name_rows(axes, sheet, names)
    save_figure(figure, path)


def _examples(dataset: data.Dataset, columns: int, rows: int) -> tuple[np.ndarray, list[str]]:
    """Return which images to show, (rows, columns) with -1 for none, and the names of the rows."""
    if dataset.labels is None:
        places = spaced(len(dataset), columns * columns)
        columns = min(columns, int(np.ceil(np.sqrt(len(places)))))
        padded = np.full(-(-len(places) // columns) * columns, -1)
        padded[: len(places)] = places
        return padded.reshape(-1, columns), []
    present = np.unique(dataset.labels)
    classes = present[spaced(len(present), rows)]
    chosen = np.full((len(classes), columns), -1)
    for row, label in zip(chosen, classes, strict=True):
        members = np.flatnonzero(dataset.labels == label)
        places = spaced(len(members), columns)
        row[: len(places)] = members[places]
    return chosen, [dataset.classes[label] for label in classes]


def _small(dataset: data.Dataset, indices: list[int], most: int = 128) -> np.ndarray:
    """Return images for the eye, averaged down where they are large: uint8 (n, H, W, C)."""
    images = dataset.take(np.array(indices)).transpose(0, 2, 3, 1)
    n, height, width, channels = images.shape
    factor = -(-max(height, width) // most)
    if factor == 1:
        return images
    high, wide = max(height // factor, 1), max(width // factor, 1)
    boxes = images[:, : high * factor, : wide * factor].reshape(n, high, -1, wide, min(factor, width), channels)
    return boxes.mean(axis=(2, 4)).round().astype(np.uint8)
