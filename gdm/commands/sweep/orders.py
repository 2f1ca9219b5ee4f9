"""Random orders of generation, from one model (Fig. 5): which is best, and by how much.

The model should have been trained with schedule.order = "random". Orders are lists of its groups, the first generated
first; they are drawn once, so --count 200 goes on where --count 100 ended.

Examples:

  gdm sweep orders runs/digits --count 24 --extractor pixels
  gdm sweep orders runs/cifar10 --count 100 --seeds 0 1 2 -n 5000 --steps 64 --reference cifar-10-python.tar.gz
"""

from __future__ import annotations

import argparse

from gdm import sweep, sweep_figures
from gdm.commands import positive, step_budget, whole
from gdm.commands.sweep import common


def arguments(parser: argparse.ArgumentParser) -> None:
    common.arguments(parser, "orders", score="frechet")
    parser.add_argument(
        "--count", type=positive, default=100, metavar="N", help="different orders; all, if fewer (100)"
    )
    parser.add_argument("--order-seed", type=whole, default=0, metavar="S", help="they are drawn from (0)")
    parser.add_argument("--steps", type=step_budget, default=64, metavar="N", help="in all, or one per group (64)")
    common.add_solver(parser)


def run(args: argparse.Namespace) -> int:
    run = common.opened(args, "orders")
    points = sweep.orders(run.model.schedule, args.count, args.order_seed, args.steps, args.solver)
    rows = common.swept(run, points, {"sweep": "orders", "steps": common.listed(args.steps), "solver": args.solver})
    label = common.label(args)
    print(*sweep_figures.orders(rows, args.score, label, run.model, points, run.stem), sep="\n")
    return 0
