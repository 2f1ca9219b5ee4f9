"""Reports that are there: the same measurement goes on from its seeds, and another one is never written over."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gdm.commands.evaluate.report import Row
from gdm.errors import CheckpointError, ConfigError
from gdm.fidelity import Distances
from gdm.files import read_json
from gdm.metrics import KernelDistance
from gdm.wording import difference

PLACES = (
    "run",
    "images.run",
    "images.images",
    "reference.source",
    "data.source",
)  # where things lie: their hashes say what they are


class Kept(NamedTuple):
    """Where a report goes, and the repeats that it holds by now."""

    path: Path
    rows: list[Row]


def begun(given: Path | None, default: Path, wanted: Mapping[str, Any]) -> Kept:
    """Find the place of a report whose numbers depend on `wanted`, as `report.conditions` says.

    given: the file that was asked for; None takes the default, or the first of NAME-2, NAME-3, ... that holds no other
        measurement

    Raises: ConfigError for a given file that holds something else
    """
    path = place(given, default, lambda path: _read(path, wanted)[1])
    return Kept(path, _read(path, wanted)[0])


def place(given: Path | None, default: Path, held: Callable[[Path], str]) -> Path:
    """Return where a measurement goes: `given`, or else `default`, NAME-2, NAME-3, ..., the first that holds no other.

    held: says in words what else is under a name, "" for nothing

    Raises: ConfigError if `given` holds something else
    """
    if given is not None:
        if words := held(given):
            raise ConfigError(f"{words}; choose another name (-o)")
        return given
    others = (default.with_name(f"{default.stem}-{number}{default.suffix}") for number in itertools.count(2))
    return next(path for path in itertools.chain([default], others) if not held(path))


def _read(path: Path, wanted: Mapping[str, Any]) -> tuple[list[Row], str]:
    """Return the repeats of a report, and in words what else it measured; no repeats and no words for no file."""
    if not path.exists():
        return [], ""
    try:
        there = read_json(path)
        rows = list(_rows(there))
        if "run" in wanted["images"] and not there["seeds"]:
            raise ValueError("repeats without their seeds")
    except (CheckpointError, KeyError, TypeError, ValueError):
        return [], f"{path} holds no report that can be gone on with"
    words = gap(there, wanted)
    return ([], f"{path} holds {words}") if words else (rows, "")


def gap(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in words the first thing in which a measurement that is there is not the one that is wanted; "" for none.

    there: as JSON has it; wanted: what the numbers of the other follow from
    """
    if wanted.get("extractor", {}).get("sha256", "") is None:  # a caller's function, which may have changed since
        return "a measurement by a function without a `sha256`, which may be another by now"
    now = json.loads(json.dumps(dict(wanted)))
    if found := difference({key: there.get(key) for key in now}, now, PLACES):
        return "another measurement: expected {} = {!r}, as there, got {!r}".format(*found)
    return ""


def _rows(there: Mapping[str, Any]) -> Iterator[Row]:
    """Return the repeats of a report as they were measured.

    Raises: KeyError, TypeError or ValueError for what `report.content` would not have written
    """
    seeds = there["seeds"] or [None]  # of images that were there
    if (seeds != [None] and not all(type(seed) is int for seed in seeds)) or len({*seeds}) < len(seeds):
        raise ValueError(f"expected seeds that are different whole numbers, got {seeds}")
    values = _numbers(there["frechet"]["values"], len(seeds))
    kernels: list[KernelDistance | None] = [None] * len(seeds)
    if there["kid_subsets"]:
        kernel = there["kernel"]
        shared = {"subsets": kernel["subsets"], "size": kernel["size"]}
        means, deviations = (_numbers(kernel[name], len(seeds)) for name in ("values", "deviations_of_subsets"))
        kernels = [KernelDistance(*pair, **shared) for pair in zip(means, deviations, strict=True)]
    for seed, value, own in zip(seeds, values, kernels, strict=True):
        yield Row(seed, Distances(value, own))


def _numbers(values: Any, count: int) -> list[float]:
    """Return a list of so many finite numbers. Raises: TypeError, ValueError for anything else"""
    if len(values) != count or not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise ValueError(f"expected {count} finite numbers, got {values}")
    return [*values]
