"""Models from disk: a run's network and schedule, and the proof that both belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gdm import backends, checkpoint
from gdm.config import build_groupings, from_dict
from gdm.errors import CheckpointError
from gdm.model import Model
from gdm.schedule import Schedule


def load(
    run: str | Path,
    backend: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    step: int | None = None,
) -> Model:
    """Load the latest intact checkpoint of a run, as `gdm train` writes it, or that of one step.

    backend: any will do, whichever it was trained with; None is that one. device: None takes the best there is here.
    precision: "float32", "tf32", "bfloat16" (faster products in the network, on torch and jax) or "float64"; None is
        what it was trained with, or float32 where the backend, NumPy, does not have that

    The model's schedule is the first of the run; others of its config, `spec.groupings`, it serves as well.

    Raises: CheckpointError for a folder that is no run, has no such checkpoint, or does not fit its own config;
        BackendError for a backend that is not installed or does not have the precision

    Example: `images = gdm.load("runs/digits").generate(64, seed=1)`
    """
    run = Path(run).expanduser()
    described = checkpoint.read_run(run)
    if missing := sorted({"config", "event", "classes"} - described.keys()):
        raise CheckpointError(f"{run / 'run.json'}: expected the keys {missing}, got none; restore it")
    spec = from_dict(described["config"])
    groupings = build_groupings(spec, tuple(described["event"]))
    classes = tuple(described["classes"])
    name = backend or spec.backend
    maker = backends.get(name, device, precision or backends.precision_like(name, spec.precision))
    augmented = spec.training.augment > 0
    network = maker.build(spec.network, groupings.schedule, classes=len(classes), augmented=augmented, seed=spec.seed)
    saved = checkpoint.latest(run) if step is None else checkpoint.load(run, step)
    _check_schedule(run, groupings.schedule, saved.tensors)
    averages = {key[4:]: value for key, value in saved.tensors.items() if key.startswith("ema.")}
    maker.import_parameters(network, averages)
    return Model(network, groupings.members[0], spec, maker, classes, saved.step, groupings.schedule.partition)


def schedule_tensors(schedule: Schedule) -> dict[str, np.ndarray]:
    """Return what a schedule is, for the checkpoint: group labels, intervals, and the frequency order of its basis."""
    trailing = schedule.basis.order.reshape(-1, *schedule.shape[-2:])[0]
    return {
        "schedule.labels": schedule.partition.compact,
        "schedule.intervals": schedule.intervals,
        "schedule.order": trailing,
    }


def _check_schedule(run: Path, schedule: Schedule, tensors: dict[str, np.ndarray]) -> None:
    """Refuse weights whose groups are not those of the schedule: the images would be wrong, not absent."""
    for name, ours in schedule_tensors(schedule).items():
        theirs = tensors.get(name)
        if theirs is None or theirs.shape != ours.shape or not np.array_equal(theirs, ours):
            remedy = "restore its run.json, or load it with the gdm that trained it"
            raise CheckpointError(f"{run}: {name} differs between checkpoint and config; {remedy}")
