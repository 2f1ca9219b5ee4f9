"""A run's folder: what is on disk is complete and checked, whatever happens to the process that writes it.

    RUN/run.json                                what the run is
    RUN/metrics.jsonl                           one line of numbers per logged step
    RUN/checkpoints/step-00001000.safetensors   the tensors after 1000 steps
    RUN/checkpoints/step-00001000.json          their checksum, written last: without it, no checkpoint

No pickle anywhere: loading a checkpoint runs no code.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gdm.errors import CheckpointError
from gdm.files import read_json, unreadable, write_atomic, write_json, writing


class Checkpoint(NamedTuple):
    """The state of a run after `step` steps: tensors by name, and whatever `info` was saved with them."""

    step: int
    tensors: dict[str, np.ndarray]
    info: dict[str, Any]


def write_run(run: Path, description: Mapping[str, Any]) -> None:
    """Write `RUN/run.json`, which makes a folder a run. Raises: CheckpointError if the disk refuses."""
    write_json(run / "run.json", description)


def read_run(run: Path) -> dict[str, Any]:
    """Read `RUN/run.json`. Raises: CheckpointError for a folder that is not a run."""
    if not (run / "run.json").is_file():
        found = "has no run.json" if run.is_dir() else "is no folder"
        raise CheckpointError(f"{run} {found}; expected the folder of a run, as `gdm train` makes it")
    return read_json(run / "run.json")


def save(
    run: Path,
    step: int,
    tensors: Mapping[str, np.ndarray],
    info: Mapping[str, Any],
    *,
    keep: int = 3,
    keep_every: int = 0,
) -> None:
    """Save the state after `step` steps, then remove the checkpoints before the `keep` latest.

    keep_every: those of its multiples stay for ever; 0 keeps none.
    tensors: arrays of numbers, of at most 64 bits, by name; info: anything that JSON can hold

    Raises: CheckpointError for other arrays, or if the disk refuses; what was saved before stays intact
    """
    from safetensors.numpy import save as serialise  # here, so that reading a log needs NumPy alone

    if step < 0 or keep < 1 or keep_every < 0:
        got = f"step={step}, keep={keep}, keep_every={keep_every}"
        raise CheckpointError(f"expected step >= 0, keep >= 1 and keep_every >= 0, got {got}; keep one")
    content = serialise({name: _storable(name, tensor) for name, tensor in tensors.items()})
    tensor_file, record_file = _files(run, step)
    write_atomic(tensor_file, content)
    record = {
        "step": step,
        "sha256": hashlib.sha256(content).hexdigest(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "info": dict(info),
    }
    write_json(record_file, record)
    for old in [saved for saved in steps(run) if saved <= step][:-keep]:
        if not keep_every or old % keep_every:
            _remove(run, old)


def steps(run: Path) -> tuple[int, ...]:
    """Return the steps that have a checkpoint, rising; whether it is intact shows when it is loaded."""
    found = [_step_of(path) for path in (run / "checkpoints").glob("step-*.json")]
    return tuple(sorted(step for step in found if step >= 0))


def load(run: Path, step: int) -> Checkpoint:
    """Load the checkpoint of one step, after checking that it is what was saved.

    Raises: CheckpointError if it is missing or damaged
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialise

    if step not in (kept := steps(run)):
        raise CheckpointError(f"{run}: expected a step that has a checkpoint, one of {kept}, got {step}")
    tensor_file, record_file = _files(run, step)
    record = read_json(record_file)
    try:
        content = tensor_file.read_bytes()
    except OSError as error:
        raise unreadable(tensor_file, error) from error
    checksum, expected = hashlib.sha256(content).hexdigest(), record.get("sha256")
    if (record.get("step"), expected) != (step, checksum):
        got = f"expected step {record.get('step')} with SHA-256 {expected}, got step {step} with {checksum}"
        raise CheckpointError(f"{tensor_file} is damaged: {got}; restore it from a copy")
    try:
        return Checkpoint(step, deserialise(content), record.get("info", {}))
    except (SafetensorError, KeyError) as error:
        problem = f"holds tensors that cannot be read ({error}); upgrade gdm and safetensors"
        raise CheckpointError(f"{tensor_file} {problem}") from error


def checksum(run: Path, step: int) -> str:
    """Return the SHA-256 (hex) of the tensors of one step, as recorded. Raises: CheckpointError if it is missing"""
    return str(read_json(_files(run, step)[1]).get("sha256"))


def latest(run: Path) -> Checkpoint:
    """Load the latest intact checkpoint, with a warning for each damaged one that it passes over.

    Raises: CheckpointError if there is none
    """
    damaged = []
    for step in reversed(steps(run)):
        try:
            return load(run, step)
        except CheckpointError as error:
            warnings.warn(f"{error}; going on with the checkpoint before it", RuntimeWarning, stacklevel=2)
            damaged.append(step)
    if damaged:
        remedy = "restore one from a copy, or train anew in another folder"
        raise CheckpointError(f"{run}: every checkpoint is damaged (steps {damaged}); {remedy}")
    raise CheckpointError(f"{run}: expected a checkpoint, got none; train until one is saved")


def rewind(run: Path, step: int) -> None:
    """Forget what a run did after `step`, before it goes on from there.

    Removes the checkpoints and log lines of later steps (they would be mixed with the new ones) and the
    temporary files of a writer that was killed.

    Raises: CheckpointError if the disk refuses
    """
    folder = run / "checkpoints"
    stale = [path for path in folder.glob("step-*.*") if _step_of(path) > step]
    with writing(folder):
        for path in sorted(stale):  # a .json sorts before its .safetensors, see _remove
            path.unlink()
        for path in (*run.glob(".*.tmp"), *folder.glob(".*.tmp")):
            path.unlink()
    lines = [json.dumps(record) + "\n" for record in read_metrics(run) if record["step"] <= step]
    write_atomic(run / "metrics.jsonl", "".join(lines).encode())


def append_metrics(run: Path, step: int, values: Mapping[str, float]) -> None:
    """Add a line to the log: the numbers of one step. NaN and infinity, which JSON lacks, become null.

    Raises: CheckpointError if the disk refuses
    """
    record = {"step": step, **{name: _finite(value) for name, value in values.items()}}
    path = run / "metrics.jsonl"
    with writing(path), open(path, "a+b") as file:
        line = json.dumps(record).encode() + b"\n"
        file.write(line if _at_line_start(file) else b"\n" + line)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """Return the log, a dict with "step" per line; a line that a kill cut short is left out.

    Raises: CheckpointError if the disk refuses
    """
    path = run / "metrics.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(path, error) from error
    return [record for record in map(_parse, lines) if record]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else {}


def _at_line_start(file: BinaryIO) -> bool:
    """Tell whether an appended file ends with a whole line; if not, its last writer was killed."""
    if not file.tell():
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _finite(value: float) -> float | None:
    value = value.item() if isinstance(value, np.generic) else value
    return value if math.isfinite(value) else None


def _storable(name: str, tensor: np.ndarray) -> np.ndarray:
    """Return the array laid out in C order: safetensors copies memory as it lies, even of a transpose."""
    if tensor.dtype.kind not in "biuf" or tensor.dtype.itemsize > 8:
        raise CheckpointError(f"{name}: expected numbers of at most 64 bits, got {tensor.dtype}; cast it")
    return np.asarray(tensor, order="C")


def _files(run: Path, step: int) -> tuple[Path, Path]:
    stem = run / "checkpoints" / f"step-{step:08d}"
    return stem.with_suffix(".safetensors"), stem.with_suffix(".json")


def _step_of(path: Path) -> int:
    """Return the step in a checkpoint's file name, -1 for a file of another name."""
    match = re.fullmatch(r"step-(\d+)", path.stem)
    return int(match[1]) if match else -1


def _remove(run: Path, step: int) -> None:
    """Delete a checkpoint, its record first: a checkpoint without a record does not exist."""
    tensor_file, record_file = _files(run, step)
    with writing(record_file):
        record_file.unlink()
        tensor_file.unlink(missing_ok=True)
