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
from gdm.commands.evaluate.kept import gap, place
from gdm.errors import CheckpointError, DataError, ValueRangeError
from gdm.files import read_json, write_json
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
    output = f"without a suffix: PATH{', PATH'.join(WRITTEN)} are written (RUN/{name}, or {name}-2, ... beside another measurement)"
    parser.add_argument("-o", dest="output", type=Path, metavar="PATH", help=output)


def stem_of(args: argparse.Namespace, name: str) -> Path:
    """Return the path, without a suffix, of all that is written. Raises: ValueRangeError for another kind of file"""
    path = Path(args.output or args.run / name).expanduser()
    if path.suffix in WRITTEN:
        return path.with_suffix("")
    if path.is_dir() or path.suffix in (".svg", ".jpg", ".npz", ".txt"):
        raise ValueRangeError(f"{path}: expected a name without a suffix, to which {', '.join(WRITTEN)} are added")
    return path


def begun(args: argparse.Namespace, name: str, wanted: Mapping[str, Any]) -> Path:
    """Return the path, without a suffix, of results that follow from `wanted`, before they are measured.

    It is that of -o, or else NAME in the folder of the run, NAME-2, ...: the first that holds nothing else. Files of
    the same measurement are written again.

    Raises: ConfigError if -o names files of something else; as `stem_of`
    """
    stem = stem_of(args, name)
    return place(None if args.output is None else stem, stem, lambda path: _held(path, wanted))


def _held(stem: Path, wanted: Mapping[str, Any]) -> str:
    """Return in words what else is there under the name of results; "" for nothing, or the same measurement."""
    there = [path for path in (stem.with_name(stem.name + suffix) for suffix in WRITTEN) if path.exists()]
    about = stem.with_name(f"{stem.name}.json")
    if not there:
        return ""
    if about not in there:
        return f"{there[0]} is there, and no {about.name} says of what"
    try:
        before = read_json(about)
    except CheckpointError:
        return f"{about} holds no measurement"
    if "rows" not in before:
        return f"{about} holds no such measurement"
    words = gap(before, wanted)
    return f"{about} holds {words}" if words else ""


def write(stem: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write rows as STEM.csv, and with all that they depend on as STEM.json."""
    plain = [{name: finite(value) for name, value in row.items()} for row in rows]
    write_json(stem.with_name(f"{stem.name}.json"), {**about, "gdm": VERSION, "rows": plain})
    write_csv(stem.with_name(f"{stem.name}.csv"), rows)


def written(stem: Path, figures: Sequence[Path]) -> str:
    """Return the paths of results, a line each."""
    tables = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".csv", ".json")]
    return "\n".join(map(str, (*tables, *figures)))


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
