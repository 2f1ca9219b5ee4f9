"""Latents in a file: safetensors with the schedule that decodes them, and how they were encoded as metadata.

`latents` float32 (n, *event); `labels` int64 (n,), -1 for none; `schedule.labels`, `.intervals` and `.order` as in a
checkpoint. The metadata `gdm_latents` is JSON: names and hashes of the images, steps, solver, the error of each group.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from gdm.config import to_dict
from gdm.encoding import Latents
from gdm.errors import CheckpointError, PartitionError
from gdm.files import unreadable, write_atomic
from gdm.loading import schedule_tensors
from gdm.model import Model
from gdm.names import group_names
from gdm.schedule import Schedule
from gdm.version import VERSION

_KEY = "gdm_latents"  # of the metadata


def write(path: Path, latents: Latents, model: Model) -> None:
    """Write latents with the schedule and how they came about, atomically. Raises: CheckpointError"""
    from safetensors.numpy import save as serialise

    tensors = {name: np.ascontiguousarray(value) for name, value in schedule_tensors(model.schedule).items()}
    tensors |= {"latents": np.ascontiguousarray(latents.z, np.float32), "labels": latents.labels.astype(np.int64)}
    described = json.dumps(to_dict(model.spec), sort_keys=True).encode()
    record = {
        "gdm_version": VERSION,
        "config_sha256": hashlib.sha256(described).hexdigest(),
        "step": model.step,
        "schedule": _kind(model.schedule),
        "groups": group_names(model.schedule),
        "classes": model.classes,
        "names": latents.names,
        "hashes": latents.hashes,
        "steps": latents.steps,
        "solver": latents.solver,
        "guidance": latents.guidance,
        "errors": latents.errors,
        **latents.facts,
    }
    write_atomic(path, serialise(tensors, metadata={_KEY: json.dumps(record)}))


def read(path: str | Path, model: Model) -> Latents:
    """Read a file of latents for a run that can decode them.

    Raises: CheckpointError for a file that is missing, damaged or of another kind; PartitionError for latents of
        another schedule, which would decode to other images
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path).expanduser()
    try:
        path.open("rb").close()  # for the error of the operating system
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            record = json.loads((file.metadata() or {}).get(_KEY, "null"))
    except OSError as error:
        raise unreadable(path, error) from error
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged, or no .safetensors ({error}); encode the images again") from error
    own = ("names", "hashes", "steps", "solver", "guidance", "errors")
    whole = isinstance(record, dict) and {*own, "groups"} <= record.keys()
    if not whole or not {"latents", "labels"} <= tensors.keys():
        raise CheckpointError(f"{path}: expected latents as `gdm encode` writes them, got other tensors")
    _check_schedule(path, record, tensors, model)
    steps, errors = record["steps"], record["errors"]
    return Latents(
        z=tensors["latents"],
        names=tuple(record["names"]),
        labels=tensors["labels"],
        steps=tuple(steps) if isinstance(steps, list) else steps,
        solver=record["solver"],
        guidance=record["guidance"],
        hashes=tuple(record["hashes"]),
        errors=None if errors is None else tuple(errors),
        facts={key: value for key, value in record.items() if key not in own},
    )


def _kind(schedule: Schedule) -> list[str]:
    return [schedule.basis.name, schedule.path.name]


def _check_schedule(path: Path, record: dict[str, Any], tensors: dict[str, np.ndarray], model: Model) -> None:
    """Refuse latents of other groups, intervals or coordinates."""
    expected = schedule_tensors(model.schedule)
    differ = [
        name.removeprefix("schedule.")
        for name, value in expected.items()
        if name not in tensors or not np.array_equal(tensors[name], value)
    ]
    differ += [] if record.get("schedule") == _kind(model.schedule) else ["basis or path"]
    if differ:
        ours, theirs = (", ".join(names[:8]) for names in (group_names(model.schedule), record["groups"]))
        remedy = "decode them with the run that encoded them"
        raise PartitionError(
            f"{path}: expected latents of the run's schedule (groups {ours}), got another's (groups {theirs}): "
            f"other {' and '.join(differ)}; {remedy}"
        )
