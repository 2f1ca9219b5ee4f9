"""What the commands of `gdm evaluate` that look at latents share: images to encode, and where results go."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm import data, intake
from gdm.commands import positive
from gdm.errors import DataError, ValueRangeError
from gdm.files import write_json
from gdm.model import Model
from gdm.tables import write_csv
from gdm.version import VERSION

WRITTEN = (".csv", ".json", ".png", ".pdf")


class Images(NamedTuple):
    """Real images as bytes, uint8 (n, C, H, W), the class of each or None, and what they are."""

    images: np.ndarray
    labels: np.ndarray | None
    about: dict[str, Any]


def add_output(parser: argparse.ArgumentParser, name: str) -> None:
    """Add -o, whose default is NAME in the folder of the run."""
    output = f"without a suffix: PATH{', PATH'.join(WRITTEN)} are written (RUN/{name})"
    parser.add_argument("-o", dest="output", type=Path, metavar="PATH", help=output)


def stem_of(args: argparse.Namespace, name: str) -> Path:
    """Return the path, without a suffix, of all that is written. Raises: ValueRangeError for another kind of file"""
    path = Path(args.output or args.run / name).expanduser()
    if path.suffix in WRITTEN:
        return path.with_suffix("")
    if path.is_dir() or path.suffix in (".svg", ".jpg", ".npz", ".txt"):
        raise ValueRangeError(f"{path}: expected a name without a suffix, to which {', '.join(WRITTEN)} are added")
    return path


def write(stem: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write rows as STEM.csv, and with all that they depend on as STEM.json."""
    write_csv(stem.with_name(f"{stem.name}.csv"), rows)
    plain = [{name: finite(value) for name, value in row.items()} for row in rows]
    write_json(stem.with_name(f"{stem.name}.json"), {**about, "gdm": VERSION, "rows": plain})


def finite(value: Any) -> Any:
    """Return a number as JSON knows it: NaN, an error that is not known, is null."""
    return None if isinstance(value, float | np.floating) and not np.isfinite(value) else value


def add_data(parser: argparse.ArgumentParser, n: int) -> None:
    """Add --data and -n, with this default."""
    source = "images, from any source (what the run was trained on); data.split=test picks another part"
    parser.add_argument("--data", metavar="DATA", help=source)
    parser.add_argument("-n", type=positive, default=n, metavar="N", help=f"how many of them, spread over all ({n})")


def images_of(args: argparse.Namespace, model: Model, settings: Sequence[str]) -> Images:
    """Read the images of --data as the run read its own, always the same ones; with classes where the model has them.

    settings: those of the command line that begin with `data.`

    Raises: DataError for data that is not there; ConfigError for settings; ShapeError for images of another shape
    """
    spec = replace(intake.reading(model.spec.data, args.data, settings), labels=bool(model.classes))
    dataset = intake.real_images(spec, model.schedule.shape, "--data", own=args.data is None)
    if model.classes and dataset.classes != model.classes:
        raise DataError(f"--data: expected the classes of the run, {model.classes}, got {dataset.classes}")
    count = min(args.n, len(dataset))
    order = data.batch_indices(len(dataset), count, step=0, seed=0)  # files are often sorted by class
    about = {"source": spec.source, "split": spec.split, "hash": dataset.hash, "n": count, "available": len(dataset)}
    return Images(dataset.take(order), None if dataset.labels is None else dataset.labels[order], about)


def split(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the settings of the data, and the others."""
    own = [text for text in overrides if text.startswith("data.")]
    return own, [text for text in overrides if text not in own]


def pair(value: float, error: float) -> str:
    """Return a number with its error, in words."""
    if not np.isfinite(error):
        return f"{value:.4g}"
    return f"{value:.4g} +- {error if error > 1e-12 * abs(value) else 0:.2g}"  # what rounding leaves of none
