"""Time x_t in the blur basis beside the code of the author's earlier model, in one process, on PyTorch.

    python benchmarks/blur_bands.py FOLDER

FOLDER is your own copy of github.com/sangyun884/blur-diffusion (MIT). Every side computes the same
x_t = U (A U^T x + S U^T z), Eq. (11), for four bands of 256 x 256 colour images, batch 32, in float32:

    blur-diffusion  `U(a * Ut(x)) + U(s * Ut(z))`, as its `get_mean` and `get_std`, with ready weights per coordinate
    full            `gdm.interpolate` by full transforms, two square products each
    thin            `gdm.interpolate` as it is: products with the few vectors of the low bands (`gdm.corner`)
    copy            two arrays copied, as a measure of the memory

Its basis is found by a single-precision decomposition, whose vectors of nearly equal eigenvalues are mixed; so that the
outputs can be compared, they are replaced by the exact ones, and its order of coordinates by `Basis.order`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import io
import math
import sys
import types
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch

import gdm

SHAPE, BATCH, EDGES = (3, 256, 256), 32, (30, 100, 500)


def load_deblurring(folder: Path) -> Any:
    """Import the class `Deblurring` from a checkout, without the plotting and image libraries that its helpers want."""
    if not (folder / "blur_diffusion.py").is_file():
        raise SystemExit(f"{folder}: expected a checkout of github.com/sangyun884/blur-diffusion")
    helpers = types.ModuleType("utils")
    helpers.clear = lambda x: x  # type: ignore[attr-defined]
    sys.modules["utils"] = helpers
    sys.path.insert(0, str(folder))
    return importlib.import_module("blur_diffusion")


def peer(folder: Path, schedule: gdm.Schedule, t: torch.Tensor) -> Any:
    """Return its x_t as a function of x and z, with the basis and the order of `schedule`."""
    module, (channels, side, _) = load_deblurring(folder), SHAPE
    with contextlib.redirect_stdout(io.StringIO()):
        blur = module.Deblurring(module.gaussian_kernel_1d(2 * side - 1, 0.4), channels, side, device="cpu")
    blur.U_small = torch.tensor(schedule.basis.factors[0], dtype=torch.float32)
    raster = np.argsort(schedule.basis.order[0].ravel())
    blur._perm = torch.tensor(raster)
    a, s = schedule.alpha(t), schedule.sigma(t)
    groups = torch.tensor(schedule.partition.labels[0].ravel()[raster]).repeat_interleave(channels)
    a, s = a[:, groups], s[:, groups]

    def x_t(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return (blur.U(a * blur.Ut(x)) + blur.U(s * blur.Ut(z))).view(x.shape)

    return x_t


def full_transforms(schedule: gdm.Schedule) -> gdm.Schedule:
    """Return the same schedule without its corner."""
    other = schedule.reorder(range(schedule.k))
    object.__setattr__(other, "corner", None)
    return other


def compare(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Check that the outputs agree and time all sides in turn."""
    schedule = gdm.Schedule.bands(SHAPE, EDGES, "blur")
    x, z = (torch.tensor(gdm.draw_latents(seed, range(BATCH), SHAPE)) for seed in range(2))
    t, goal = (torch.arange(BATCH) + 0.5) / BATCH, torch.empty_like(x)
    theirs = peer(options.folder, schedule, t)
    full = full_transforms(schedule)
    sides = {
        "blur-diffusion": functools.partial(theirs, x, z),
        "full": functools.partial(gdm.interpolate, full, x, z, t),
        "thin": functools.partial(gdm.interpolate, schedule, x, z, t),
    }
    expected = sides["full"]()
    gaps = {name: float((side() - expected).abs().max()) for name, side in sides.items()}
    if max(gaps.values()) > 1e-4:
        raise SystemExit(f"the outputs differ: {gaps}")
    times = measure.in_turn(sides | {"copy": lambda: (goal.copy_(x), goal.copy_(z))}, options.rounds)
    rows = []
    for name, seconds in times.items():
        ratios = [peers / own for peers, own in zip(times["blur-diffusion"], seconds, strict=True)]
        rows.append({
            "side": name, "ms": measure.spread(1e3 * value for value in seconds), "least ms": 1e3 * min(seconds),
            "blur-diffusion / side": measure.spread(ratios), "of the least": min(times["blur-diffusion"]) / min(seconds),
            "largest gap": gaps.get(name, math.nan),
        })  # fmt: skip
    return rows


def main() -> None:
    parser = measure.parser(__doc__, rounds=15)
    parser.add_argument("folder", type=Path, help="a checkout of blur-diffusion")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch (default: all cores)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.no_grad():
        rows = compare(options)
    where = measure.environment(
        ("numpy", "torch"), threads=options.threads, dtype="float32", event=SHAPE, batch=BATCH, edges=EDGES,
        rounds=options.rounds,
    )  # fmt: skip
    measure.show(where, rows)
    measure.save(options.json, where, rows)


if __name__ == "__main__":
    main()
