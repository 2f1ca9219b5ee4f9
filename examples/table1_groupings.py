"""Table 1: the four groupings of k = 2 from one trained network, side by side, beside the paper's distances.

    python examples/table1_groupings.py
    python examples/table1_groupings.py --config examples/configs/cifar10_groupings.toml --data cifar-10-python.tar.gz \\
        --n 10000 --reference 0 --steps 128 --repeats 1

Above, which pixels are generated first (dark); below, images from the same noise. The paper's numbers are by Inception
features and after a far longer training, so only the order of the four can be compared: halves are better than
cascades there, bottom to top is best and CDM worst. `real` is the distance of as many real images: no model is below.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import sweep
from gdm.canvas import in_rows, lay_out, pictures, show_sheet
from gdm.config import build_groupings
from gdm.model import Model
from gdm.partition import Partition
from gdm.sweep import Point

PAPER = {"Bottom → Top": 12.63, "Right → Left": 13.14, "CDM": 14.03, "CDM-inv": 13.70}


def main() -> None:
    parser = shared.parser(__doc__, "digits_groupings.toml", n=500, steps=64, solver="euler", seed=0)
    args = shared.measured(parser, repeats=3).parse_args()
    model = shared.trained(args)
    points = chosen(model, args.steps, args.solver)
    rows = shared.swept(args, "table1_groupings", model, points)
    found = sweep.summary(rows, "frechet")
    figure, axes = shared.grid(2, len(points), cell=2.4)
    for point, above, below in zip(points, *axes, strict=True):
        mean, deviation = found[point.name]
        spread = "" if np.isnan(deviation) else f" ± {deviation:.2g}"
        above.set_title(f"{point.name}\n{mean:.3g}{spread} (paper {PAPER[point.name]:.2f})", fontsize="medium")
        above.imshow(point.schedule.partition.labels[0], cmap="viridis", vmin=0, vmax=1.3)
        above.set(xticks=[], yticks=[])
        sampling = {"seed": args.seed, "steps": args.steps, "solver": args.solver, "schedule": point.schedule}
        made = model.backend.to_numpy(model.generate(16, **sampling))
        show_sheet(below, lay_out(in_rows(pictures(made), 4, 0)))
    floor = shared.floor(args, model)
    figure.suptitle(f"Fréchet distance of {args.n} images; of real ones {floor:.3g}", fontsize="medium")
    shared.save(figure, args, "table1_groupings")
    numbers = {name: {"ours": value, "paper": PAPER[name]} for name, value in found.items()}
    shared.write_numbers(args, "table1_numbers", {**numbers, "real": floor})


def chosen(model: Model, steps: int, solver: str) -> list[Point]:
    """Return the four ways to sample. Raises: ConfigError for a run that did not learn them all"""
    shape = model.schedule.shape
    wanted = {
        "Bottom → Top": Partition.rows(shape, 2, "bottom-to-top"),
        "Right → Left": Partition.columns(shape, 2, "right-to-left"),
        "CDM": Partition.lattice(shape),
        "CDM-inv": Partition.lattice(shape, inverse=True),
    }
    taught = {member.partition: member for member in build_groupings(model.spec, shape).members}
    if missing := [name for name, partition in wanted.items() if partition not in taught]:
        remedy = "train examples/configs/cifar10_groupings.toml or digits_groupings.toml"
        raise shared.ConfigError(f"expected a run on the four groupings, got none for {missing}; {remedy}")
    return [Point(name, taught[partition], steps, solver) for name, partition in wanted.items()]


if __name__ == "__main__":
    shared.run(main)
