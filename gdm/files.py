"""Files that are there as a whole or not at all, whatever happens to the process that writes them.

A file is written under a temporary name, flushed to the disk and renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gdm.errors import CheckpointError

SCHEMA_VERSION = 1  # of every JSON file; raised when an older gdm could not understand a newer file


def write_atomic(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file so that, after a crash at any moment, `path` holds its old content or all of the new.

    content: the bytes, or a function that writes them to an open binary file.

    Raises: CheckpointError if the disk refuses; `path` then holds its old content

    Example: `write_atomic(path, lambda file: image.save(file, "PNG"))`
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(content) if isinstance(content, bytes) else content(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)  # still there only if something failed
        _sync_folder(path.parent)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content`, with the version of its schema, as JSON; atomically.

    Raises: CheckpointError if the disk refuses
    """
    record = {"schema_version": SCHEMA_VERSION, **content}
    write_atomic(path, (json.dumps(record, indent=2, default=_to_json) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote, without the version.

    Raises: CheckpointError if the file is missing, damaged, or written by a newer gdm
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); restore it from a copy") from error
    version = content.pop("schema_version", None) if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise CheckpointError(f"{path}: expected a file written by gdm, got one without a schema_version")
    if version > SCHEMA_VERSION:
        raise CheckpointError(f"{path}: expected schema_version {SCHEMA_VERSION}, got {version}; upgrade gdm")
    return content


def _to_json(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"expected text, numbers, lists and dicts, got {type(value).__name__}")


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk."""
    if os.name == "nt":  # Windows does not open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the errors of the operating system into one that says what to do."""
    try:
        yield
    except OSError as error:
        remedy = "free some space, or choose a folder that you may write to"
        raise CheckpointError(f"cannot write {path} ({error.strerror or error}); {remedy}") from error


def unreadable(path: Path, error: OSError) -> CheckpointError:
    remedy = "check the path and its permissions, or restore it from a copy"
    return CheckpointError(f"cannot read {path} ({error.strerror or error}); {remedy}")
