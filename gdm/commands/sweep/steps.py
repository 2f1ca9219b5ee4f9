"""Solvers against numbers of steps: how many network calls a quality takes.

By default the error of the solver alone, against the solution for the same noise; no data are needed for that.

Examples:

  gdm sweep steps runs/digits
  gdm sweep steps runs/digits --solvers euler ab2 heun --steps 8 16 32 64 128
  gdm sweep steps runs/digits --score frechet --extractor pixels -n 5000
"""

from __future__ import annotations

import argparse

from gdm import sweep, sweep_figures
from gdm.commands import one_of, positive
from gdm.commands.sweep import common
from gdm.errors import BudgetError
from gdm.solver import SOLVERS


def arguments(parser: argparse.ArgumentParser) -> None:
    common.arguments(parser, "steps", score="error")
    names = f"{', '.join(SOLVERS)} (euler ab2 heun)"
    parser.add_argument(
        "--solvers", type=one_of(SOLVERS), nargs="+", default=["euler", "ab2", "heun"], metavar="NAME", help=names
    )
    steps = "steps in all, of which those below the number of groups are left out (8 16 32 64 128)"
    parser.add_argument("--steps", type=positive, nargs="+", default=[8, 16, 32, 64, 128], metavar="N", help=steps)


def run(args: argparse.Namespace) -> int:
    run = common.opened(args, "steps")
    schedule = run.model.schedule
    steps = [count for count in args.steps if count >= schedule.k]
    if not steps:
        raise BudgetError(f"steps: expected at least {schedule.k}, one per group, got {max(args.steps)}; raise them")
    points = sweep.solvers(schedule, args.solvers, steps)
    rows = common.swept(run, points, {"sweep": "steps"})
    label = common.label(args)
    title = f"{schedule.k} groups"
    print(*sweep_figures.curves(rows, args.score, label, "solver", title, run.stem), sep="\n")
    return 0
