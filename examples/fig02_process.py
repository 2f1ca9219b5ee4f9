"""Fig. 2: how the usual diffusion model and GDM-F come to an image, from coarse to fine or all at once.

    python examples/fig02_process.py                                 trains two runs on digits: one group, and bands
    python examples/fig02_process.py --run RUN --vanilla-run RUN     runs that are there

Two rows per model: the state x_t, and what is known of the data by then: E[x | x_t] in the groups begun, 0 in others.
With one group details show early; with bands the image stays smooth until the last band is begun. The numbers say it:
the share of the final energy that E[x | x_t] has in each band of the second run, at each of the times shown.
"""

from __future__ import annotations

import copy
from argparse import Namespace
from dataclasses import replace
from typing import Any

import numpy as np
import shared

import gdm
from gdm.likelihood import group_sums
from gdm.model import Model
from gdm.panels import Panels

SHOWN = 9  # times, from 1 to 0


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", steps=64, seed=0)
    parser.add_argument("--vanilla", default="digits_groupings.toml", help="config of the run with one group")
    parser.add_argument("--vanilla-run", type=shared.Path, help="that run (runs/NAME OF THE CONFIG)")
    args = parser.parse_args()
    other = copy.copy(args)
    other.config, other.run = shared.CONFIGS / args.vanilla, args.vanilla_run
    rows: list[np.ndarray] = []
    names: list[str] = []
    numbers: dict[str, Any] = {"times": np.linspace(1, 0, SHOWN)}
    bands = shared.trained(args)
    for name, model in {"one group": shared.trained(other), "bands": bands}.items():
        states, known = film(model, args)
        rows, names = [*rows, states, known], [*names, f"{name}: x_t", f"{name}: expected"]
        energy = group_sums(bands.schedule, bands.schedule.basis.analyze(known) ** 2)
        numbers[name] = energy / energy[-1]
    columns = tuple(f"t = {t:.3g}" for t in numbers["times"])
    shared.save(Panels(np.stack(rows), tuple(names), columns), args, "fig02_process", numbers)


def film(model: Model, args: Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return x_t and what is known, x_t + (I - A) u on the linear path, at the times shown. Shapes: (SHOWN, *event)"""
    schedule, z = model.schedule, gdm.draw_latents(args.seed, [0], model.schedule.shape)
    every = -(-args.steps // (SHOWN - 1))
    times = iter(np.linspace(1, 0, every * (SHOWN - 1), endpoint=False))
    states, known = [], []

    def watched(x_t: Any, alpha: Any) -> Any:
        u, t = model.network(x_t, alpha), next(times)
        begun = (schedule.intervals[:, 1] > t - 1e-9)[None].astype(np.float32)
        x = schedule.scale(begun, model.backend.to_numpy(x_t))  # without groups to come, which may be hidden already
        rest = begun - begun * schedule.alpha(np.array([t], np.float32))
        states.append(x + schedule.scale(1 - begun, z))
        known.append(x + schedule.scale(rest, model.backend.to_numpy(u)))
        return u

    end = replace(model, network=watched).generate(1, seed=args.seed, steps=every * (SHOWN - 1), batch=1)
    last = model.backend.to_numpy(end)
    return tuple(np.concatenate([*found[::every], last]) for found in (states, known))  # type: ignore[return-value]


if __name__ == "__main__":
    shared.run(main)
