"""Time training and sampling on JAX beside PyTorch, on the networks of the examples and of the paper.

    python benchmarks/backends.py [--sizes digits fashion cifar10] [--device cpu] [--threads 1] [--precision float32]

For each size both backends take turns in one process, on the same config:

    train     a step as `gdm train` takes it: data, noise, loss, gradients, Adam, the average
    sample    `Model.generate`, 64 images (`--images`) in few steps (`--steps`)
    solver    the same with a network that costs nothing and many steps, so that all time is the sampler's

"first" is the first call, which on JAX compiles; it does not count in "us per step", of training or of sampling.
"ratio" is PyTorch's time over JAX's, above 1 where JAX is faster, one for each round.

Data and weights are random: uint8 images of the data set's shape. On a CPU either side uses `--threads` cores. On a GPU
both share its memory: set XLA_PYTHON_CLIENT_PREALLOCATE=false. JAX asks the system anew for a step's memory, for
which it waits less with GLIBC_TUNABLES=glibc.malloc.hugetlb=1 on Linux.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import measure
import numpy as np

from gdm import Schedule, backends, config
from gdm.model import Model
from gdm.preparation import batches, prepare, take_step
from gdm.presets import PRESETS

BACKENDS = ("torch", "jax")
SMALL = {"blocks": 1, "channels": 24, "dropout": 0.0}


class Size(NamedTuple):
    """A config: shape of its images, network, batch of a train step, which is smaller on a CPU if it has to be."""

    shape: tuple[int, int, int]
    network: dict[str, Any]
    batch: int
    cpu_batch: int


SIZES = {
    "digits": Size((1, 8, 8), {**SMALL, "multipliers": [1, 2], "attention": [4]}, 64, 64),
    "fashion": Size((1, 28, 28), {**SMALL, "multipliers": [1, 2, 2], "attention": [14, 7]}, 64, 64),
    "cifar10": Size((3, 32, 32), PRESETS["edm"]["network"], 128, 4),
}


class Side(NamedTuple):
    """What one backend does, and the seconds of its first call."""

    call: Callable[[], object]
    first: float


def configured(size: Size, backend: str, options: argparse.Namespace, folder: Path) -> config.Config:
    """Return the config of a backend, with its random images in `folder`."""
    batch = options.batch or (size.cpu_batch if options.device == "cpu" else size.batch)
    data = folder / "images.npz"
    if not data.exists():
        rng = np.random.default_rng(0)
        np.savez(data, images=rng.integers(0, 256, (4 * batch, *size.shape), dtype=np.uint8))
    return config.from_dict(
        {
            "backend": backend,
            "device": options.device,
            "precision": options.precision,
            "data": {"source": str(data)},
            "schedule": {"kind": "blockwise", "grid": [2, 2]},
            "network": size.network,
            "training": {"batch": batch, "learning_rate": 1e-4},
        }
    )


@contextmanager
def training(spec: config.Config) -> Iterator[Callable[[], object]]:
    """Yield a train step that waits for its end."""
    ready, losses = prepare(spec), []
    with batches(ready, 0) as batch:

        def step() -> float:
            take_step(ready, len(losses), batch(), losses)
            return float(losses[-1])  # which waits

        yield step


def sampling(spec: config.Config, shape: tuple[int, ...], options: argparse.Namespace) -> Callable[[], object]:
    """Return what generates images from new weights and brings them to the host."""
    backend, schedule = backends.get(spec.backend, spec.device, spec.precision), Schedule.blockwise(shape, (2, 2))
    model = Model(backend.build(spec.network, schedule), schedule, spec, backend)
    return lambda: backend.to_numpy(model.generate(options.images, steps=options.steps))


def solving(spec: config.Config, options: argparse.Namespace) -> Callable[[], object]:
    """Return a sampler of small images whose network costs nothing."""
    backend, schedule = backends.get(spec.backend, spec.device, spec.precision), Schedule.blockwise((1, 8, 8), (2, 2))
    model = Model(still, schedule, spec, backend)
    return lambda: backend.to_numpy(model.generate(1, steps=options.solver_steps))


def still(x_t: Any, alpha: Any, labels: Any = None) -> Any:
    """Return x_t: a network that costs nothing."""
    return x_t


def begun(call: Callable[[], object]) -> Side:
    """Call for the first time, which compiles."""
    start = time.perf_counter()
    call()
    return Side(call, time.perf_counter() - start)


def compare(size: str, task: str, batch: int, steps: int, sides: dict[str, Side], rounds: int) -> list[dict[str, Any]]:
    """Time both sides in turn; return a row for each."""
    times = measure.in_turn({name: side.call for name, side in sides.items()}, rounds)
    ratios = [theirs / ours for theirs, ours in zip(times["torch"], times["jax"], strict=True)]
    return [
        {
            "size": size,
            "task": task,
            "batch": batch,
            "backend": name,
            "first, s": side.first,
            "us per step": measure.spread(1e6 * seconds / steps for seconds in times[name]),
            "least": 1e6 * min(times[name]) / steps,
            "ratio": measure.spread(ratios) if name == "jax" else None,
        }
        for name, side in sides.items()
    ]


def measured(name: str, options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each task of a size, as they are measured."""
    size = SIZES[name]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        specs = {backend: configured(size, backend, options, Path(folder)) for backend in BACKENDS}
        if "train" in options.tasks:
            sides = {key: begun(stack.enter_context(training(spec))) for key, spec in specs.items()}
            yield compare(name, "train", specs["jax"].training.batch, 1, sides, options.rounds)
        if "sample" in options.tasks:
            sides = {key: begun(sampling(spec, size.shape, options)) for key, spec in specs.items()}
            yield compare(name, "sample", options.images, options.steps, sides, options.rounds)
        if "solver" in options.tasks and name == options.sizes[0]:  # the same for all
            sides = {key: begun(solving(spec, options)) for key, spec in specs.items()}
            yield compare("8 x 8", "solver", 1, options.solver_steps, sides, options.rounds)


def parsed() -> argparse.Namespace:
    """Return the options of the command line."""
    tasks = ("train", "sample", "solver")
    parser = measure.parser(__doc__, rounds=10)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="networks (default all)")
    parser.add_argument("--tasks", nargs="+", choices=tasks, default=tasks, help="what to time (default all)")
    parser.add_argument("--device", default="cpu", help="of both backends: cpu, or auto for a GPU (default cpu)")
    parser.add_argument("--threads", type=int, help="cores of a CPU to compute on (default all there are)")
    parser.add_argument("--precision", default="float32", help="of networks (default float32)")
    parser.add_argument("--batch", type=int, help="images of a train step (default 64; cifar10 128, on a CPU 4)")
    parser.add_argument("--images", type=int, default=64, help="images to sample at once (default 64)")
    parser.add_argument("--steps", type=int, default=4, help="steps of sampling (default 4)")
    parser.add_argument("--solver-steps", type=int, default=4096, help="with the trivial network (default 4096)")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    cores = sorted(os.sched_getaffinity(0))
    threads = min(options.threads or len(cores), len(cores))
    os.sched_setaffinity(0, cores[:threads])  # before JAX is loaded, which makes a thread for each core
    import torch

    torch.set_num_threads(threads)
    rows = []
    for name in options.sizes:
        for found in measured(name, options):
            rows += found
            print(f"{name}: {found[0]['task']}", flush=True)
    where = measure.environment(
        ("numpy", "torch", "jax", "jaxlib"),
        device=options.device, threads=threads, precision=options.precision, rounds=options.rounds,
        data="random uint8", steps=options.steps, **{"solver steps": options.solver_steps},
    )  # fmt: skip
    measure.show(where, rows)
    measure.save(options.json, where, rows)


if __name__ == "__main__":
    main()
