"""The report of a distance: all that its number depends on, as JSON and as lines to read."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gdm.extractors import Extractor
from gdm.fidelity import Distances, summary
from gdm.version import VERSION
from gdm.wording import counted

PACKAGES = ("numpy", "torch", "jax", "torch-fidelity")  # whose versions may show in the last digits


class Row(NamedTuple):
    """One repeat: its seed, None for images that were there, and its distances."""

    seed: int | None
    distances: Distances


def conditions(
    images: Mapping[str, Any], reference: Mapping[str, Any], extractor: Extractor, kid_subsets: int
) -> dict[str, Any]:
    """Return all that a number depends on, besides its seed."""
    by = {"name": extractor.name, "about": extractor.about, "sha256": extractor.sha256, "device": extractor.device}
    return {
        "images": dict(images),
        "reference": dict(reference),
        "extractor": by,
        "kid_subsets": kid_subsets,
        "versions": {"gdm": VERSION, **_versions()},
    }


def content(conditions: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return the report for `write_json`: distances of every repeat, mean and deviation, and what they depend on."""
    kernels = [row.distances.kernel for row in rows if row.distances.kernel is not None]
    result: dict[str, Any] = {"frechet": _summarised([row.distances.frechet for row in rows])}
    if kernels:
        own = {"deviations_of_subsets": [kernel.deviation for kernel in kernels]}
        taken = {"subsets": kernels[0].subsets, "size": kernels[0].size}
        result["kernel"] = {**_summarised([kernel.mean for kernel in kernels]), **own, **taken}
    return {
        **result,
        "seeds": [row.seed for row in rows if row.seed is not None],
        "repeats": len(rows),
        **conditions,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def heading(reference: Mapping[str, Any], extractor: Extractor) -> str:
    """Return what is compared with, by what, and the head of the table."""
    count, available = reference["count"], reference["available"]
    images = f"{count} of {counted(available, 'image')}" if count < available else counted(count, "image")
    part = f", {reference['split']} part" * (reference["split"] != "train")
    known = f", weights SHA-256 {extractor.sha256[:16]}..." if extractor.sha256 else ""
    return (
        f"reference  {reference['source']}{part}: {images}, SHA-256 {reference['hash'][:16]}...\n"
        f"features   {extractor.name} on {extractor.device}: {extractor.about}{known}\n\n"
        f"{'seed':10} {'Frechet distance':>20} {'KID x 1000 (of subsets)':>28}"
    )


def line(row: Row) -> str:
    """Return a repeat as a line of the table."""
    seed = "-" if row.seed is None else row.seed
    kernel = row.distances.kernel
    second = "-" if kernel is None else _pair(1000 * kernel.mean, 1000 * kernel.deviation)
    return f"{seed:<10} {_number(row.distances.frechet):>20} {second:>28}"


def ending(rows: Sequence[Row]) -> str:
    """Return the last line of the table: mean and standard deviation over the repeats."""
    if len(rows) < 2:
        return "one repeat has no deviation; --repeats 3 shows how far another seed may be"
    first = _pair(*summary([row.distances.frechet for row in rows]))
    kernels = [1000 * row.distances.kernel.mean for row in rows if row.distances.kernel is not None]
    second = _pair(*summary(kernels)) if kernels else "-"
    return f"{'mean':10} {first:>20} {second:>28}"


def _pair(mean: float, deviation: float | None) -> str:
    return _number(mean) if deviation is None else f"{_number(mean)} +- {_number(deviation)}"


def _number(value: float) -> str:
    if not abs(value) < 1e7:  # features of a large scale
        return f"{value:.4g}"
    return f"{round(value, 3) + 0.0:.3f}" if abs(value) < 1000 else f"{value:.1f}"  # + 0.0: no minus of a zero


def _summarised(values: Sequence[float]) -> dict[str, Any]:
    mean, deviation = summary(values)
    return {"mean": mean, "sd": deviation, "values": list(values)}


def _versions() -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found
