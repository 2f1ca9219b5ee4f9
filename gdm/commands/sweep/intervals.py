"""Sampling intervals, or shares of the steps, of one model's groups (Table 2).

An interval's length decides how many of the steps its group gets, and nothing else: so the shares can be given as such.
By default the seven of Table 2 for four groups, and powers of equal times for others.

Examples:

  gdm sweep intervals runs/digits --extractor pixels
  gdm sweep intervals runs/faces --times 0.1,0.8,0.9 0.1,0.5,0.9 --steps 128 --solver euler -n 10000
  gdm sweep intervals runs/digits --shares 16,16,16,16 40,8,8,8 --score error
"""

from __future__ import annotations

import argparse

from gdm import sweep, sweep_figures
from gdm.commands import positive
from gdm.commands.sweep import common
from gdm.errors import ConfigError


def arguments(parser: argparse.ArgumentParser) -> None:
    common.arguments(parser, "intervals", score="frechet")
    times = "per point the times between the groups, rising from data to noise: 0.1,0.8,0.9"
    parser.add_argument("--times", type=_times, nargs="+", metavar="T,T", help=times)
    shares = "or the steps of each group, in order of generation: 16,16,8,8"
    parser.add_argument("--shares", type=_shares, nargs="+", metavar="N,N", help=shares)
    parser.add_argument("--steps", type=positive, metavar="N", help="of each point with --times (64)")
    common.add_solver(parser)


def _times(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected times such as 0.1,0.8,0.9, got {text!r}") from None


def _shares(text: str) -> tuple[int, ...]:
    return tuple(positive(part) for part in text.split(","))


def run(args: argparse.Namespace) -> int:
    if args.shares and (args.times or args.steps):
        other = "--times" if args.times else "--steps"
        raise ConfigError(f"{other} has no effect with --shares, which are steps: give one of them")
    run = common.opened(args, "intervals")
    if args.shares:
        points = sweep.budgets(run.model.schedule, args.shares, args.solver)
        recipe = {"sweep": "shares", "solver": args.solver}
    else:
        points = sweep.intervals(run.model.schedule, args.times, args.steps or 64, args.solver)
        recipe = {"sweep": "intervals", "steps": args.steps or 64, "solver": args.solver}
    rows = common.swept(run, points, recipe)
    label, what = common.label(args), "shares of steps" if args.shares else "times between groups"
    print(*sweep_figures.intervals(rows, args.score, label, what, points, run.stem), sep="\n")
    return 0
