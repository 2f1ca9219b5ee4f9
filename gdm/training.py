"""The training loop: data order, progress, log, checkpoints and signals, for any backend.

What computes a step is the backend's trainer. The state of a run is its tensors and its step number, so
a run that was stopped goes on to the same bits as one that never was.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm import checkpoint
from gdm.canvas import image_grid
from gdm.config import Config
from gdm.errors import TrainingError
from gdm.loading import schedule_tensors
from gdm.logbook import Logbook
from gdm.model import Model
from gdm.preparation import Ready, batches, learning_rate, prepare, take_step
from gdm.progress import training_bar
from gdm.resume import open_run
from gdm.rounds import batch_of

SAMPLES = 64  # in a grid


class Summary(NamedTuple):
    """How a call of `train` ended: steps done in all, the last logged loss, seconds in all, and why it stopped."""

    run: Path
    step: int
    loss: float
    seconds: float
    reason: str  # "steps", "minutes" or "signal"


def train(config: Config, run: Path, *, resume: bool = True, progress: bool = True) -> Summary:
    """Train the network that `config` describes, in the folder `run`; go on where it stopped if it exists.

    SIGTERM and SIGINT finish the step, save, and return. A step whose gradients are not finite is skipped and counted;
    `training.skip_limit` of them in a row stop the run, and what was saved before stays.

    Of several processes (`torchrun`'s, or JAX's) every one calls this with the same arguments; number 0 writes.

    Raises: ConfigError if the folder holds a run of another config or data; TrainingError; CheckpointError
    """
    ready = prepare(config)
    state = _State(ready, run, *open_run(ready, run, resume))
    return _loop(state, progress)


class _State:
    """A run in progress: steps and seconds done, steps skipped, and the losses since the last line of the log."""

    def __init__(self, ready: Ready, run: Path, step: int, info: dict[str, Any]) -> None:
        self.ready, self.run, self.step = ready, run, step
        self.seconds: float = info.get("seconds", 0.0)
        self.losses: list[Any] = [float("nan") if loss is None else loss for loss in info.get("losses", [])]
        self.skipped: int = info.get("skipped", 0)
        self.streak: int = info.get("streak", 0)
        self.fresh = len(self.losses)  # where the losses begin that are still on the device
        self.loss = _mean(self.losses)
        self.lap = (step, time.perf_counter())
        self.log = Logbook(run, step) if ready.world.rank == 0 else None

    def note(self) -> float:
        """Write a line of the log; return images per second since the line before."""
        training = self.ready.config.training
        before, then = self.lap
        self.loss = _mean(self.settled())
        now = time.perf_counter()
        speed = (self.step - before) * training.batch / (now - then)
        values = {
            "loss": self.loss,
            "learning_rate": learning_rate(training, self.step - 1),
            "images_per_second": speed,
            "seconds": self.seconds,
            "skipped": self.skipped,
        }
        if self.log:
            self.log.numbers(self.step, values)
        self.losses, self.fresh, self.lap = [], 0, (self.step, now)
        return speed

    def save(self) -> None:
        """Save a checkpoint. Raises: TrainingError if a weight is not finite; what was saved before stays."""
        losses = [loss if np.isfinite(loss) else None for loss in self.settled()]
        tensors = self.ready.trainer.state()
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise TrainingError(f"{name} is not finite after step {self.step}; {self._remedy()}")
        if self.ready.world.rank == 0:
            info = {"seconds": self.seconds, "losses": losses, "skipped": self.skipped, "streak": self.streak}
            tensors |= schedule_tensors(self.ready.groupings.schedule)
            training = self.ready.config.training
            checkpoint.save(self.run, self.step, tensors, info, keep=training.keep, keep_every=training.keep_every)
        self.ready.world.wait()

    def settled(self) -> list[float]:
        """Return the losses as numbers, over all processes, waiting for the device; NaN for steps that were skipped.

        Raises: TrainingError if too many in a row were skipped
        """
        fresh = np.array([float(loss) for loss in self.losses[self.fresh :]])
        if len(fresh):
            self.losses[self.fresh :] = self.ready.world.mean(fresh).tolist()
        first = self.step - len(self.losses) + self.fresh + 1
        for step, loss in enumerate(self.losses[self.fresh :], start=first):
            self.streak = 0 if np.isfinite(loss) else self.streak + 1
            self.skipped += self.streak > 0
            if self.streak >= self.ready.config.training.skip_limit:
                raise TrainingError(
                    f"{self.streak} steps in a row up to step {step} had gradients that are not finite; "
                    + self._remedy()
                )
        self.fresh = len(self.losses)
        return self.losses

    def _remedy(self) -> str:
        saved = checkpoint.steps(self.run)
        last = f"the checkpoint of step {saved[-1]} is intact" if saved else "no checkpoint was saved yet"
        return f"{last}: lower training.learning_rate, or set training.clip?"

    def draw_samples(self) -> None:
        """Draw a grid of samples from fixed latents, for each grouping, by the averaged weights."""
        config, *_ = self.ready
        classes = self.ready.dataset.classes
        for number, member in enumerate(self.ready.groupings.members):
            model = Model(
                self.ready.trainer.ema_network(), member, config, self.ready.backend, classes, self.step,
                self.ready.groupings.schedule.partition,
            )  # fmt: skip
            steps = max(config.training.sample_steps, member.k)
            batch = batch_of(model, SAMPLES * self.ready.world.size, 1.0, self.ready.world)  # the same everywhere
            made = model.generate(SAMPLES, seed=config.seed, steps=steps, solver="ab2", batch=batch)
            images = self.ready.backend.to_numpy(made)
            if self.log:
                name = f"grouping{number}" if len(self.ready.groupings.members) > 1 else "samples"
                path = self.run / "samples" / f"{name}-{self.step:08d}.png"
                self.log.picture(self.step, name, image_grid(images, path))


def _mean(losses: list[float]) -> float:
    """Return the mean of the losses that are finite."""
    finite = [loss for loss in losses if np.isfinite(loss)]
    return float(np.mean(finite)) if finite else float("nan")


def _loop(state: _State, progress: bool) -> Summary:
    ready, training = state.ready, state.ready.config.training
    limit = training.minutes * 60 or float("inf")
    first, began, reason = state.seconds, time.perf_counter(), "steps"
    shown = progress and ready.world.rank == 0
    with (
        _signals() as stopping,
        training_bar(state.step, training.steps, shown) as bar,
        batches(ready, state.step) as batch,
    ):
        while state.step < training.steps:
            if ready.world.any(bool(stopping)):
                reason = "signal"
                break
            if ready.world.any(state.seconds >= limit):
                reason = "minutes"
                break
            take_step(state.ready, state.step, batch(), state.losses)
            state.step += 1
            state.seconds = first + time.perf_counter() - began
            bar.update()
            if state.step % training.log_every == 0:
                speed = state.note()
                bar.set_postfix_str(f"loss {state.loss:.4f}, {speed:.0f} images/s", refresh=False)
            if state.step % training.save_every == 0:
                state.save()
            if training.sample_every and state.step % training.sample_every == 0:
                state.draw_samples()
        if ready.world.any(state.step not in checkpoint.steps(state.run)):  # all or none: saving waits for the others
            state.save()
    if state.log:
        state.log.close()
    loss = state.loss if state.loss == state.loss else _mean(state.settled())  # a short run has logged none
    return Summary(state.run, state.step, loss, state.seconds, reason)


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
