"""What the benchmarks share: timing in turn, medians with their spread, tables, results as JSON.

Other programs run on most machines and clock rates drift. So all sides of a comparison take part in every
round, in one process, and a result is a median over the rounds with its quartiles, never a single time.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from gdm.files import write_json


class Spread(NamedTuple):
    """The median of repeated measurements, the quartiles around it, and the least."""

    median: float
    low: float
    high: float
    least: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def spread(values: Iterable[float]) -> Spread:
    """Summarise at least two measurements."""
    values = list(values)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, min(values))


def in_turn(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    calls: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time every side once per round, after a first round that does not count; return seconds per call.

    Every second round runs backwards, so that no side always follows the same neighbour.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            seconds = timeit.timeit(sides[name], timer=clock, number=calls) / calls
            if number:
                times[name].append(seconds)
    return times


def parser(doc: str | None, *, rounds: int, help: str = "measurements of each side") -> argparse.ArgumentParser:
    """Return a parser with what every benchmark offers: --rounds, of which there are at least two, and --json."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=_two_or_more, default=rounds, help=f"{help} (default {rounds})")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results here as well, atomically")
    return made


def environment(packages: Sequence[str], **settings: Any) -> dict[str, Any]:
    """Describe the run: machine, versions, command, and whatever decides its numbers (threads, dtype, sizes)."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.argv]),
        "commit": _commit(),
        "load": os.getloadavg()[0],
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        "settings": settings,
    }


def show(environment: Mapping[str, Any], *tables: Sequence[Mapping[str, Any]]) -> None:
    """Print where and how it was measured, then each table: one row per line, named as its first row's columns."""
    machine, versions = environment["machine"], environment["versions"]
    print(f"{machine['processor']}, {machine['cores']} cores, load {environment['load']:.1f}")
    print(", ".join(f"{name} {version or '-'}" for name, version in versions.items()))
    print(", ".join(f"{name} {value}" for name, value in environment["settings"].items()))
    for rows in tables:
        print(f"\n{_table(rows)}")
    print("\nCells with brackets: median [lower, upper quartile].", flush=True)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [[str(name) for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def save(path: Path | None, environment: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the results as JSON, if a path was given; a Spread becomes an object."""
    if path is not None:
        plain = [{k: v._asdict() if isinstance(v, Spread) else v for k, v in row.items()} for row in rows]
        write_json(path, {**environment, "rows": plain})


def _two_or_more(text: str) -> int:
    if int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected at least 2, for a spread, got {text}")
    return int(text)


def _cell(value: Any) -> str:
    if isinstance(value, Spread):
        return f"{value:{_digits(value.median)}}"
    return f"{value:{_digits(value)}}" if isinstance(value, float) else "-" if value is None else str(value)


def _digits(value: float) -> str:
    """Return the format that shows three significant digits without an exponent, if that is short."""
    if not math.isfinite(value) or (value and not 1e-3 <= abs(value) < 1e6):
        return ".2e"
    return f".{max(0, 2 - math.floor(math.log10(abs(value))))}f" if value else ".0f"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's name, which Python knows on some systems only."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of this checkout, marked if files differ from it; None outside git."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
