"""What a run is made of before its first step, and what a step is given: batch, learning rate, decay of the average."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from gdm import backends, data
from gdm.backends.world import World, share
from gdm.config import Config, TrainingConfig, build_groupings
from gdm.groupings import Groupings

Batch = tuple[np.ndarray, np.ndarray | None]  # bytes (n, *event) and labels (n,)


class Ready(NamedTuple):
    """What a run is made of, before its first step."""

    config: Config
    dataset: data.Dataset
    groupings: Groupings
    backend: Any
    trainer: Any
    world: World


def prepare(config: Config) -> Ready:
    """Load the data, build the network, and initialise the trainer of a config."""
    backend = backends.get(config.backend, config.device, config.precision)
    dataset = data.load(config.data)
    groupings = build_groupings(config, dataset.shape)
    network = backend.build(
        config.network,
        groupings.schedule,
        classes=len(dataset.classes),
        augmented=config.training.augment > 0,
        seed=config.seed,
    )
    trainer = backend.trainer(network, groupings, config.training, config.seed)
    return Ready(config, dataset, groupings, backend, trainer, backend.world())


def learning_rate(training: TrainingConfig, step: int) -> float:
    """Return the learning rate of step `step` (from 0): linear warm-up, then constant or linear to zero at the end."""
    rate = training.learning_rate * min(1.0, (step + 1) / max(training.warmup, 1))
    if training.decay == "linear":
        rate *= max(0.0, 1 - max(0, step - training.warmup) / max(training.steps - training.warmup, 1))
    return rate


def ema_decay(training: TrainingConfig, step: int) -> float:
    """Return the decay of the averaged weights at step `step`, ramped up so that early averages are of recent weights.

    With a half-life of h images, 0.5^(batch / h), and h is at most a share of the images seen (Karras et al. 2022).
    """
    if not training.ema_half_life:
        return min(training.ema, (1 + step) / (10 + step))
    half_life = min(training.ema_half_life, training.ema_ramp_up * step * training.batch)
    return 0.5 ** (training.batch / half_life) if half_life else 0.0


def take_step(ready: Ready, step: int, batch: Batch, losses: list[Any]) -> None:
    """Take one step and add its loss, still on the device."""
    training = ready.config.training
    losses.append(ready.trainer.step(*batch, step, learning_rate(training, step), ema_decay(training, step)))


@contextmanager
def batches(ready: Ready, step: int, ahead: int = 2) -> Iterator[Callable[[], Batch]]:
    """Yield what returns this process's share of the batch of `step`, then of the next: bytes and labels.

    A batch follows from the number of its step. A thread makes a few ahead, so that no step waits for its data.
    """
    config, dataset, world = ready.config, ready.dataset, ready.world
    size = config.training.batch

    def make(step: int) -> Batch:
        mine = share(size, world)
        chosen = data.batch_indices(len(dataset), size, step, config.seed)[mine]
        flip = data.flip_mask(config.seed, step, size)[mine] if config.data.flip else None
        return dataset.take(chosen, flip), None if dataset.labels is None else dataset.labels[chosen]

    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(make, step + i) for i in range(ahead))

        def following() -> Batch:
            nonlocal step
            waiting.append(pool.submit(make, step + ahead))
            step += 1
            return waiting.popleft().result()

        try:
            yield following
        finally:  # an error, or the end: what is not begun is not needed
            for future in waiting:
                future.cancel()
