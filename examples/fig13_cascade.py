"""Fig. 13: a cascaded model as two groups: every second pixel of every second row first, then all others given these.

    python examples/fig13_cascade.py
    python examples/fig13_cascade.py --run runs/cifar10_groupings

Columns: noise; the first stage alone, as the small image that it is; enlarged; its pixels where they belong; the same
among the noise of the others, which is the state between the stages; the data. The second stage leaves the first one's
pixels as they are: the number is by how much they differ between the last two columns, which is nothing.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm.completing import UNKNOWN
from gdm.config import build_groupings
from gdm.panels import Panels
from gdm.partition import Partition


def main() -> None:
    args = shared.parser(__doc__, "digits_groupings.toml", n=5, steps=64, solver="ab2", seed=0).parse_args()
    model = shared.trained(args)
    shape = model.schedule.shape
    cascade = Partition.lattice(shape)
    members = build_groupings(model.spec, shape).members
    schedule = next((member for member in members if member.partition == cascade), None)
    if schedule is None:
        raise shared.ConfigError("expected a run with a cascade of two stages among its groupings, got none")
    sampling = {"seed": args.seed, "steps": args.steps, "solver": args.solver, "schedule": schedule}
    states = model.backend.to_numpy(model.generate(args.n, trajectory=True, **sampling))
    noise, between, data = states
    small = between[..., ::2, ::2]
    enlarged = small.repeat(2, axis=-2).repeat(2, axis=-1)[..., : shape[1], : shape[2]]
    corner = np.full_like(noise, 1.0)
    corner[..., : small.shape[-2], : small.shape[-1]] = small
    placed = np.where(cascade.labels == 0, between, UNKNOWN)
    columns = ("noise", "stage 1", "enlarged", "in place", "between the stages", "data")
    rows = tuple(f"no. {i}" for i in range(args.n))
    made = Panels(np.stack([noise, corner, enlarged, placed, between, data], axis=1), rows, columns)
    moved = float(np.abs(data - between)[..., ::2, ::2].max())
    shared.save(made, args, "fig13_cascade", {"first_stage_moved_by_second": moved})


if __name__ == "__main__":
    shared.run(main)
