"""Measure what a step of the training loop costs beside the network itself.

    python benchmarks/step_share.py examples/configs/digits.toml [key=value ...]

Two sides take turns in one process, on the run that the config describes, of which nothing is written:

    loop      a step as `gdm train` takes it: data, noise, x_t, loss, gradients, their norm, Adam, the average, the log
    network   forward and backward of the same network on a fixed batch, and Adam

What the loop takes beyond the network, as a share of the loop, is the last column.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import torch

from gdm import config
from gdm.checkpoint import append_metrics
from gdm.preparation import Ready, batches, prepare, take_step


def bare(ready: Ready) -> Callable[[], None]:
    """Return a step of the network alone."""
    trainer, batch = ready.trainer, ready.config.training.batch // ready.world.size
    schedule, backend = ready.groupings.schedule, ready.backend
    options: dict[str, Any] = {"device": backend.place, "dtype": backend.dtype}
    x_t, target = (torch.randn(batch, *schedule.shape, **options) for _ in range(2))
    alpha = schedule.alpha(torch.rand(batch, **options))
    labels = torch.zeros(batch, trainer.classes, **options) if trainer.classes else None
    optimizer = torch.optim.Adam(trainer.parameters.values(), lr=1e-12, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with backend.computing():
            u = trainer.called(x_t, alpha, labels)
        (u - target).square().mean().backward()
        optimizer.step()
        backend.wait()

    return step


def main() -> None:
    parser = measure.parser(__doc__, rounds=15)
    parser.add_argument("config", type=Path, metavar="CONFIG.toml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    options = parser.parse_args()
    spec = config.load(options.config, options.overrides)
    ready = prepare(spec)
    losses: list[Any] = []
    every = spec.training.log_every
    with tempfile.TemporaryDirectory() as folder, batches(ready, 0) as batch:

        def loop() -> None:
            take_step(ready, len(losses), batch(), losses)
            if len(losses) % every == 0:
                append_metrics(Path(folder), len(losses), {"loss": float(sum(map(float, losses[-every:]))) / every})
            ready.backend.wait()

        times = measure.in_turn({"loop": loop, "network": bare(ready)}, options.rounds)
    shares = [1 - network / whole for whole, network in zip(times["loop"], times["network"], strict=True)]
    rows = [
        {
            "config": options.config.name,
            "batch": spec.training.batch,
            "precision": spec.precision,
            "loop, ms": measure.spread(1e3 * value for value in times["loop"]),
            "network, ms": measure.spread(1e3 * value for value in times["network"]),
            "share beside the network": measure.spread(shares),
        }
    ]
    where = measure.environment(
        ("numpy", "torch"), device=ready.backend.device, threads=torch.get_num_threads(), rounds=options.rounds
    )
    measure.show(where, rows)
    measure.save(options.json, where, rows)


if __name__ == "__main__":
    main()
