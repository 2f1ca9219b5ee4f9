"""Measure x_t, target and loss in GB/s over this machine's copy bandwidth, eagerly and compiled, on PyTorch.

    python benchmarks/bandwidth.py

None of the three computes much, so memory is the limit: a perfect program reads and writes every event array
once. With n the bytes of one array (batch, *event), the bytes that must move are

    x_t               3 n   read x and z, write x_t                   `gdm.interpolate`
    target            3 n   read x and z, write x - z
    x_t and the loss  4 n   read x, z and the network's u, write x_t  `gdm.direction_loss`
    copy              2 n   read x, write its copy

Values per sample or group, and caches, count nothing: what is moved besides lowers the figure, and so does
arithmetic, which in a cosine basis is 2 r multiplications per element, axis and transform for r x r images.
The network of the loss returns a ready u. The large copy, 2 x 512 MiB, is beyond most caches; the copy in each
block of rows has that block's size, which may fit a cache and then beats it. Both are NumPy's or PyTorch's
own copy, whichever is faster. "Compiled" is `torch.compile` with fullgraph=True (inductor: needs a C++ compiler).

Where other programs run, the best rate of many is closer to the truth than the median: both are shown. Eager
code also pays for its temporaries: glibc hands large ones back to the system, which maps their pages anew on the
next call. MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_MMAP_THRESHOLD_=4294967296 in the environment prevents it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import measure
import numpy as np
import torch

import gdm

SIZES = {64: (3, 32, 32), 32: (3, 256, 256)}  # batch: event
LARGE = 1 << 29  # bytes
Function = Callable[..., Any]


def schedules(shape: tuple[int, ...]) -> dict[str, gdm.Schedule]:
    """Return the schedules to try: groups of pixels, and four bands of frequencies."""
    n = shape[-1] * shape[-2]
    blocks = gdm.Schedule.blockwise(shape, (3, 3))
    return {"3 x 3 blocks": blocks, "cosine bands": gdm.Schedule.bands(shape, (n // 64, n // 16, n // 4))}


def functions(schedule: gdm.Schedule) -> dict[str, tuple[int, Function]]:
    """Return, by name, the arrays that must move and the function of (x, z, u, t)."""

    def x_t(x: Any, z: Any, u: Any, t: Any) -> Any:
        return gdm.interpolate(schedule, x, z, t)

    def target(x: Any, z: Any, u: Any, t: Any) -> Any:
        return x - z

    def loss(x: Any, z: Any, u: Any, t: Any) -> Any:
        shown: list[Any] = []

        def network(x_t: Any, alpha: Any) -> Any:
            shown.append(x_t)  # it is handed out, so that no compiler can leave it out
            return u

        return gdm.direction_loss(network, x, z, t, schedule), shown[0]

    return {"x_t": (3, x_t), "target": (3, target), "x_t and the loss": (4, loss)}


def copy_rate(bytes_each: int, rounds: int) -> list[float]:
    """Return the GB/s, read and written, of the faster plain copy of that many bytes, NumPy's or PyTorch's."""
    source = torch.ones(bytes_each // 4)
    goal = torch.empty_like(source)
    sides = {
        "torch": functools.partial(goal.copy_, source),
        "numpy": functools.partial(np.copyto, goal.numpy(), source.numpy()),
    }
    times = measure.in_turn(sides, rounds, calls=repeats(bytes_each))
    return [2e-9 * bytes_each / seconds for seconds in min(times.values(), key=min)]


def repeats(bytes_each: int) -> int:
    """Return how often to call per measurement, so that the clock's resolution does not matter."""
    return max(1, (1 << 24) // bytes_each)


def compare(batch: int, shape: tuple[int, ...], large: float, rounds: int) -> list[dict[str, Any]]:
    """Time every function of one size, eager and compiled in turn."""
    x, z, u = (torch.tensor(gdm.draw_latents(seed, range(batch), shape)) for seed in range(3))
    t = (torch.arange(batch) + 0.5) / batch
    n = x.numel() * x.element_size()
    size = f"{batch} x {shape}"
    rows = [row(size, "-", "copy", "eager", copy_rate(n, rounds), large)]
    for name, schedule in schedules(shape).items():
        for what, (arrays, function) in functions(schedule).items():
            torch.compiler.reset()
            sides = {"eager": function, "compiled": torch.compile(function, fullgraph=True, dynamic=False)}
            calls = {how: functools.partial(side, x, z, u, t) for how, side in sides.items()}
            for how, times in measure.in_turn(calls, rounds, calls=repeats(n)).items():
                rates = [1e-9 * arrays * n / seconds for seconds in times]
                rows.append(row(size, name, what, how, rates, large))
    return rows


def row(size: str, schedule: str, what: str, how: str, rates: list[float], large: float) -> dict[str, Any]:
    """Return one line of the table; the share of the large copy compares best with best."""
    case = {"size": size, "schedule": schedule, "what": what, "how": how}
    return case | {"GB/s": measure.spread(rates), "best": max(rates), "best / large copy": max(rates) / large}


def main() -> None:
    parser = measure.parser(__doc__, rounds=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch (default: all cores)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rates = copy_rate(LARGE, options.rounds)
    rows = [row(f"{LARGE >> 20} MiB", "-", "copy", "eager", rates, max(rates))]
    with torch.no_grad():
        for batch, shape in SIZES.items():
            rows += compare(batch, shape, max(rates), options.rounds)
    where = measure.environment(("numpy", "torch"), threads=options.threads, dtype="float32", rounds=options.rounds)
    measure.show(where, rows)
    measure.save(options.json, where, rows)


if __name__ == "__main__":
    main()
