"""Time what `gdm.generate` spends per step besides the network, on PyTorch and JAX, beside two public solvers.

    python benchmarks/solver_overhead.py [--flow-matching FOLDER]

The network is trivial, (x_t, alpha) -> x_t, so all time is the solver's. Every side takes the same number of
Euler steps from the same noise:

    bare loop      the network calls alone, with a row of a ready table of alpha each: what is subtracted
    least update   the same, and x_t = x_t + u * move with a ready row of numbers per pixel: the least Euler can do
    gdm            `gdm.generate` with a schedule of one group (as the public solvers) and of 3 x 3 blocks
    torchdiffeq    `odeint(method="euler", options={"step_size": 1 / steps})`, which keeps no states in between
    flow_matching  `ODESolver.sample` of FOLDER, your own copy of github.com/facebookresearch/flow_matching
                   (non-commercial licence: nothing of it is part of gdm); left out without one

On PyTorch everything runs eagerly under `no_grad` in one thread. On JAX each side is one program, compiled before the
clock starts; a compiler removes a loop of trivial calls, so there the least update is what to compare with.

Where other programs run, the least time of many is closer to the truth than the median: both are shown.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import measure
import numpy as np
import torch
from torchdiffeq import odeint

import gdm

SHAPE = (3, 32, 32)
SCHEDULES = {
    "gdm, 1 group": gdm.Schedule.vanilla(SHAPE),
    "gdm, 3 x 3 blocks": gdm.Schedule.blockwise(SHAPE, (3, 3)),
}
Sides = dict[str, Callable[[], object]]


def network(x_t: Any, alpha: Any) -> Any:
    """Return x_t: a network that costs nothing."""
    return x_t


def velocity(t: Any, x: Any) -> Any:
    """The same network as the public solvers call it."""
    return x


def check_calls(name: str, side: Callable[[Callable[..., Any]], object], steps: int) -> None:
    """Make sure that a public solver, too, calls the network once per step: its grid is rounded."""
    times = []

    def counted(t: Any, x: Any) -> Any:
        times.append(t)
        return x

    side(counted)
    if len(times) != steps:
        raise SystemExit(f"{name}: expected {steps} network calls, got {len(times)}; try a power of two for --steps")


def torch_sides(z: np.ndarray, steps: int, flow_matching: Path | None) -> Sides:
    """Return the sides in PyTorch, as functions without arguments."""
    y = torch.tensor(z)
    alphas = torch.linspace(0, 1, steps)[:, None, None].expand(steps, len(z), 1)
    moves = torch.full((steps, 1, 1, 32, 32), 1 / steps)

    def bare() -> None:
        for alpha in alphas.unbind():
            network(y, alpha)

    def update() -> torch.Tensor:
        x_t = y
        for alpha, move in zip(alphas.unbind(), moves.unbind(), strict=True):
            x_t = x_t + network(x_t, alpha) * move
        return x_t

    def diffeq(field: Callable[..., Any]) -> Any:
        ends = torch.tensor([0.0, 1.0])
        return odeint(field, y, ends, method="euler", options={"step_size": 1 / steps})[-1]

    public: dict[str, Callable[[Callable[..., Any]], object]] = {"torchdiffeq": diffeq}
    if flow_matching is not None:
        ode_solver = load_flow_matching(flow_matching)
        public["flow_matching"] = lambda field: ode_solver(field).sample(y, step_size=1 / steps, method="euler")
    for name, side in public.items():
        check_calls(name, side, steps)
    sides: Sides = {"bare loop": bare, "least update": update}
    for name, schedule in SCHEDULES.items():
        sides[name] = functools.partial(gdm.generate, network, y, schedule, steps=steps)
    return sides | {name: functools.partial(side, velocity) for name, side in public.items()}


def jax_sides(z: np.ndarray, steps: int) -> Sides:
    """Return the sides in JAX, compiled; each waits for its result."""
    y = jax.numpy.asarray(z)
    alphas = jax.numpy.linspace(0, 1, steps)[:, None, None] * jax.numpy.ones((1, len(z), 1))
    moves = jax.numpy.full((steps, 1, 1, 32, 32), 1 / steps)

    @jax.jit
    def bare(y: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda x_t, alpha: (network(x_t, alpha), None), y, alphas)[0]

    @jax.jit
    def update(y: jax.Array) -> jax.Array:
        def step(x_t: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            return x_t + network(x_t, row[0]) * row[1], None

        return jax.lax.scan(step, y, (alphas, moves))[0]

    programs = {"bare loop": bare, "least update": update}
    for name, schedule in SCHEDULES.items():
        programs[name] = jax.jit(functools.partial(gdm.generate, network, schedule=schedule, steps=steps))
    return {name: functools.partial(wait, program, y) for name, program in programs.items()}


def wait(program: Callable[[Any], Any], y: Any) -> None:
    """Run a JAX program to its end."""
    program(y).block_until_ready()


def load_flow_matching(folder: Path) -> Any:
    """Import ODESolver from a checkout."""
    if not (folder / "flow_matching" / "solver").is_dir():
        raise SystemExit(f"{folder}: expected a checkout of github.com/facebookresearch/flow_matching")
    sys.path.insert(0, str(folder))
    return importlib.import_module("flow_matching.solver").ODESolver


def compare(library: str, batch: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time one library at one batch size: microseconds per step, in all and above the bare loop, median and least."""
    z = gdm.draw_latents(0, range(batch), SHAPE)
    if library == "jax":
        sides = jax_sides(z, options.steps)
    else:
        sides = torch_sides(z, options.steps, options.flow_matching)
    with torch.no_grad():
        times = measure.in_turn(sides, options.rounds)
    per_step = {name: [1e6 * seconds / options.steps for seconds in times[name]] for name in times}
    bare = per_step["bare loop"]
    return [
        {
            "library": library,
            "batch": batch,
            "side": name,
            "us per step": measure.spread(values),
            "above the bare loop": statistics.median(values) - statistics.median(bare),
            "least": min(values),
            "least above the bare loop": min(values) - min(bare),
        }
        for name, values in per_step.items()
    ]


def main() -> None:
    parser = measure.parser(__doc__, rounds=60)
    parser.add_argument("--flow-matching", type=Path, metavar="FOLDER", help="a checkout of flow_matching")
    parser.add_argument("--steps", type=int, default=128, help="Euler steps of every side (default 128)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for library in ("torch", "jax") for batch in (1, 64) for row in compare(library, batch, options)]
    where = measure.environment(
        ("numpy", "torch", "jax", "torchdiffeq"),
        threads=f"1 (torch), {jax.local_device_count()} device (jax)",
        dtype="float32", event=SHAPE, steps=options.steps, rounds=options.rounds,
    )  # fmt: skip
    measure.show(where, rows)
    measure.save(options.json, where, rows)


if __name__ == "__main__":
    main()
