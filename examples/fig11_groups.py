"""Fig. 11: more groups need more steps: the distance to the data against network calls, for each number of groups k.

    python examples/fig11_groups.py
    python examples/fig11_groups.py --config examples/configs/paper_groups_cifar10.toml --data cifar-10-python.tar.gz \\
        --n 5000 --calls 32 64 128 256

Columns from right to left, k of them, all from one network; Euler's method, as the paper's. The paper finds that curves
of larger k lie higher, most of all where calls are few.
"""

from __future__ import annotations

import shared

from gdm import sweep, sweep_figures
from gdm.config import build_groupings
from gdm.groupings import Groupings


def main() -> None:
    parser = shared.parser(__doc__, "digits_groupings.toml", n=500, solver="euler", seed=0)
    parser.add_argument("--calls", type=int, nargs="+", default=[8, 16, 32, 64], help="(8 16 32 64)")
    args = shared.measured(parser, repeats=2).parse_args()
    model = shared.trained(args)
    sections = (model.spec.schedule, *model.spec.groupings)
    members = build_groupings(model.spec, model.schedule.shape).members
    chosen = [m for s, m in zip(sections, members, strict=True) if s.kind == "vanilla" or s.order == "right-to-left"]
    points = sweep.groups(Groupings(tuple(chosen)), None, args.calls, args.solver)
    rows = shared.swept(args, "fig11_groups", model, points)
    label, title = f"Fréchet distance of {args.n} images", f"{args.solver}, k groups from right to left"
    sweep_figures.curves(rows, "frechet", label, "k", title, args.out / "fig11_groups")
    shared.write_numbers(args, "fig11_numbers", sweep.summary(rows, "frechet"))


if __name__ == "__main__":
    shared.run(main)
