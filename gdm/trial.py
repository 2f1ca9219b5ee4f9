"""A trial before a run: what it would take, measured here and now; nothing is written."""

from __future__ import annotations

import sys
import time
from typing import Any, NamedTuple

from gdm.config import Config
from gdm.errors import TrainingError
from gdm.preparation import Ready, batches, prepare, take_step

WARM_UP = 2  # steps that compile, allocate, and choose algorithms


class Trial(NamedTuple):
    """What a run takes: parameters of the network, peak memory in bytes, images per second, and seconds in all."""

    ready: Ready
    parameters: int
    memory: int | None
    speed: float
    seconds: float
    steps: int  # that were measured


def measure(config: Config, *, seconds: float = 10.0, least: int = 1) -> Trial:
    """Take a few real steps of the run that `config` describes, for about so many seconds, and project them.

    Raises: as `gdm.training.train`; TrainingError if a loss is not finite at once
    """
    ready = prepare(config)
    losses: list[Any] = []
    with batches(ready, 0) as batch:
        for step in range(WARM_UP):
            take_step(ready, step, batch(), losses)
        ready.backend.wait()
        began, step = time.perf_counter(), WARM_UP
        while step < WARM_UP + least or ready.world.any(time.perf_counter() - began < seconds):
            take_step(ready, step, batch(), losses)
            ready.backend.wait()
            step += 1
        spent = time.perf_counter() - began
    bad = [i for i, loss in enumerate(losses) if not float(loss) < float("inf")]
    if bad:
        raise TrainingError(
            f"the loss of step {bad[0]} is not finite; lower training.learning_rate, or look at the data"
        )
    training = config.training
    speed = (step - WARM_UP) * training.batch / spent
    whole = training.steps * training.batch / speed
    limited = min(whole, training.minutes * 60 or whole)
    size = sum(value.size for value in ready.backend.export_parameters(ready.trainer.ema_network()).values())
    return Trial(ready, size, ready.backend.peak_memory() or _host_memory(), speed, limited, step - WARM_UP)


def _host_memory() -> int | None:
    """Return the most bytes that this process has held; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else 1024 * held
