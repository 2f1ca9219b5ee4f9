"""Tables of numbers as CSV: written whole or not at all, and read back as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdm.errors import CheckpointError
from gdm.files import unreadable, write_atomic


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that have the same columns, with a header; numbers with all their digits, NaN as nothing.

    Raises: CheckpointError if the disk refuses; the file then holds its old content
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
    write_atomic(path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read what `write_csv` wrote, as text. Raises: CheckpointError if it cannot be read or lines are torn"""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), restkey="", restval=None))
    except OSError as error:
        raise unreadable(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CheckpointError(f"{path} is damaged ({error}); move it away, or restore it from a copy") from error
    for number, row in enumerate(rows, start=2):
        if "" in row or None in row.values():
            raise CheckpointError(f"{path}, line {number}: expected a value per column; move the file away, or mend it")
    return rows


def _plain(value: Any) -> Any:
    """Return a value as text that reads back the same."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else value
