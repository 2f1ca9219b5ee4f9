"""Fig. 11: more groups need more steps: the distance to the data against network calls, for each number of groups k.

    python examples/fig11_groups.py
    python examples/fig11_groups.py --config examples/configs/paper_groups_cifar10.toml --data cifar-10-python.tar.gz \\
        --n 5000 --calls 29 32 64 128 256

Columns from right to left, k of them, all from one network; Euler's method, as the paper. The paper finds that curves
of larger k lie higher, most of all where calls are few.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm.config import build_groupings


def main() -> None:
    parser = shared.parser(__doc__, "digits_groupings.toml", n=1000, solver="euler", seed=0)
    parser.add_argument("--calls", type=int, nargs="+", default=[8, 16, 32, 64, 128], help="(8 16 32 64 128)")
    parser.add_argument("--repeats", type=int, default=2, help="seeds (2)")
    args = parser.parse_args()
    model = shared.trained(args)
    distance = shared.Distance(model)
    sections = (model.spec.schedule, *model.spec.groupings)
    members = build_groupings(model.spec, model.schedule.shape).members
    chosen = [m for s, m in zip(sections, members, strict=True) if s.kind == "vanilla" or s.order == "right-to-left"]
    figure, axes = shared.curves(5.6, 3.8)
    numbers = {"calls": args.calls, "features": distance.name}
    for schedule, colour, marker in zip(sorted(chosen, key=lambda m: m.k), shared.PALETTE, shared.MARKERS, strict=False):
        calls = [count for count in args.calls if count >= schedule.k]
        sampling = {"solver": args.solver, "schedule": schedule}
        found = np.array(
            [[distance(args.n, seed=args.seed + i, steps=c, **sampling) for i in range(args.repeats)] for c in calls]
        )
        numbers[f"k = {schedule.k}"] = found
        spread = np.abs(found - found.mean(axis=1, keepdims=True)).max(axis=1)
        axes.errorbar(calls, found.mean(1), spread, color=colour, marker=marker, capsize=3, label=f"k = {schedule.k}")
    axes.set(xlabel="network calls", ylabel=f"Fréchet distance ({distance.name})", xscale="log", yscale="log")
    axes.set_xticks(args.calls, [str(count) for count in args.calls])
    axes.minorticks_off()
    axes.legend(frameon=False)
    shared.save(figure, args, "fig11_groups", numbers)


if __name__ == "__main__":
    shared.run(main)
