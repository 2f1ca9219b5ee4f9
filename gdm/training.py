"""The training loop: data order, progress, log, checkpoints and signals, for any backend.

What computes a step is the backend's trainer. The state of a run is its tensors and its step number, so
a run that was stopped goes on to the same bits as one that never was.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm import backends, checkpoint, data
from gdm.config import Config, TrainingConfig, build_schedule, from_dict, to_dict
from gdm.errors import ConfigError, TrainingError
from gdm.schedule import Schedule
from gdm.version import VERSION

# What may differ when a run goes on: how long it is and how it is watched, not what it computes.
_FREE = (
    "device",
    "training.steps",
    "training.minutes",
    "training.save_every",
    "training.log_every",
    "data.source",
)


class Summary(NamedTuple):
    """How a call of `train` ended: steps done in all, the last logged loss, seconds in all, and why it stopped."""

    run: Path
    step: int
    loss: float
    seconds: float
    reason: str  # "steps", "minutes" or "signal"


def train(config: Config, run: Path, *, resume: bool = True, progress: bool = True) -> Summary:
    """Train the network that `config` describes, in the folder `run`; go on where it stopped if it exists.

    SIGTERM and SIGINT finish the step, save, and return. A loss that is not finite stops the run; what was
    saved before stays.

    Raises: ConfigError if the folder holds a run of another config or data; TrainingError; CheckpointError
    """
    dataset = data.load(config.data)
    schedule = build_schedule(config.schedule, dataset.shape)
    backend = backends.get(config.backend, config.device, config.precision)
    network = backend.build(config.network, schedule, classes=len(dataset.classes), seed=config.seed)
    trainer = backend.trainer(network, schedule, config.training, config.seed)
    state = _State(run, trainer, schedule, *_open(config, run, dataset, trainer, resume))
    return _loop(config, dataset, state, progress)


def learning_rate(training: TrainingConfig, step: int) -> float:
    """Return the learning rate of step `step` (from 0): linear warm-up, then constant or linear to zero at the end."""
    rate = training.learning_rate * min(1.0, (step + 1) / max(training.warmup, 1))
    if training.decay == "linear":
        rate *= max(0.0, 1 - max(0, step - training.warmup) / max(training.steps - training.warmup, 1))
    return rate


def ema_decay(training: TrainingConfig, step: int) -> float:
    """Return the decay of the averaged weights, ramped up so that early averages are of recent weights."""
    return min(training.ema, (1 + step) / (10 + step))


class _State:
    """A run in progress: the trainer, the steps and seconds done, and the losses since the last line of the log."""

    def __init__(
        self, run: Path, trainer: Any, schedule: Schedule, step: int, seconds: float, losses: list[float]
    ) -> None:
        self.run, self.trainer, self.schedule = run, trainer, schedule
        self.step, self.seconds, self.losses = step, seconds, [*losses]
        self.loss = float(np.mean(losses)) if losses else float("nan")
        self.lap = (step, time.perf_counter())

    def log(self, config: Config) -> float:
        """Write a line of the log; return images per second since the line before."""
        before, then = self.lap
        now = time.perf_counter()
        speed = (self.step - before) * config.training.batch / (now - then)
        self.loss = float(np.mean(self.settled()))
        rate = learning_rate(config.training, self.step - 1)
        values = {
            "loss": self.loss,
            "learning_rate": rate,
            "images_per_second": speed,
            "seconds": self.seconds,
        }
        checkpoint.append_metrics(self.run, self.step, values)
        self.losses, self.lap = [], (self.step, now)
        return speed

    def save(self) -> None:
        """Save a checkpoint, unless a loss on the way to it was not finite."""
        info = {"seconds": self.seconds, "losses": self.settled()}
        checkpoint.save(self.run, self.step, {**self.trainer.state(), **schedule_tensors(self.schedule)}, info)

    def settled(self) -> list[float]:
        """Return the losses as numbers, waiting for the device. Raises: TrainingError if one is not finite."""
        self.losses = [float(loss) for loss in self.losses]
        for i, loss in enumerate(self.losses):
            if not np.isfinite(loss):
                step = self.step - len(self.losses) + i
                raise TrainingError(
                    f"the loss of step {step} is {loss}; the last checkpoint is intact: lower training.learning_rate?"
                )
        return self.losses


def schedule_tensors(schedule: Schedule) -> dict[str, np.ndarray]:
    """Return what a schedule is, for the checkpoint: group labels, intervals, and the frequency order of its basis."""
    trailing = schedule.basis.order.reshape(-1, *schedule.shape[-2:])[0]
    return {
        "schedule.labels": schedule.partition.compact,
        "schedule.intervals": schedule.intervals,
        "schedule.order": trailing,
    }


def _open(
    config: Config, run: Path, dataset: data.Dataset, trainer: Any, resume: bool
) -> tuple[int, float, list[float]]:
    """Begin a run or go on with one: return the steps and seconds done and the losses not yet logged."""
    if not (run / "run.json").exists():
        checkpoint.write_run(run, _describe(config, dataset))
        return 0, 0.0, []
    if not resume:
        raise ConfigError(f"{run} holds a run; expected a new folder with resume off; remove it or choose another")
    _check_same(config, dataset, run)
    if not checkpoint.steps(run):
        checkpoint.rewind(run, 0)
        return 0, 0.0, []
    saved = checkpoint.latest(run)
    trainer.load_state(saved.tensors, saved.step)
    checkpoint.rewind(run, saved.step)
    return saved.step, saved.info["seconds"], saved.info["losses"]


def _describe(config: Config, dataset: data.Dataset) -> dict[str, Any]:
    return {
        "gdm_version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": to_dict(config),
        "event": list(dataset.shape),
        "classes": list(dataset.classes),
        "data": {"source": config.data.source, "hash": dataset.hash, "count": len(dataset)},
    }


def _check_same(config: Config, dataset: data.Dataset, run: Path) -> None:
    """Refuse to go on with a run of another config or other data."""
    described = checkpoint.read_run(run)
    before, now = _flat(to_dict(from_dict(described["config"]))), _flat(to_dict(config))
    for key in sorted(before.keys() | now.keys()):
        if key not in _FREE and before.get(key) != now.get(key):
            raise ConfigError(
                f"{run} was trained with {key} = {before.get(key)!r}, got {now.get(key)!r}; go on with the same "
                "config, or choose another folder (--run)"
            )
    if described["data"]["hash"] != dataset.hash:
        source = described["data"]["source"]
        raise ConfigError(f"{run} was trained on other data ({source}); restore it, or choose another folder (--run)")


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _loop(config: Config, dataset: data.Dataset, state: _State, progress: bool) -> Summary:
    training = config.training
    limit = training.minutes * 60 or float("inf")
    reason = "steps"
    with _signals() as stopping, _bar(state.step, training.steps, progress) as bar:
        while state.step < training.steps:
            reason = "signal" if stopping else "minutes" if state.seconds >= limit else "steps"
            if reason != "steps":
                break
            began = time.perf_counter()
            _step(config, dataset, state)
            state.seconds += time.perf_counter() - began
            bar.update()
            if state.step % training.log_every == 0:
                speed = state.log(config)
                bar.set_postfix_str(f"loss {state.loss:.4f}, {speed:.0f} images/s")
            if state.step % training.save_every == 0:
                state.save()
        if state.step not in checkpoint.steps(state.run):
            state.save()
    return Summary(state.run, state.step, state.loss, state.seconds, reason)


def _step(config: Config, dataset: data.Dataset, state: _State) -> None:
    """Take one step; the batch follows from the step's number."""
    training, step = config.training, state.step
    chosen = data.batch_indices(len(dataset), training.batch, step, config.seed)
    flip = data.flip_mask(config.seed, step, training.batch) if config.data.flip else None
    labels = None if dataset.labels is None else dataset.labels[chosen]
    rate, decay = learning_rate(training, step), ema_decay(training, step)
    state.losses.append(state.trainer.step(dataset.batch(chosen, flip), labels, step, rate, decay))
    state.step += 1


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT in a list instead of dying of them; a second one dies. No-op off the main thread."""
    caught: list[int] = []

    def catch(number: int, _: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    try:
        before = {number: signal.signal(number, catch) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar(done: int, total: int, progress: bool) -> Any:
    """Return a progress bar that shows loss, images/s and the time left."""
    from tqdm import tqdm

    return tqdm(
        initial=done, total=total, unit="step", disable=not progress, dynamic_ncols=True, desc="train", mininterval=0.5
    )
