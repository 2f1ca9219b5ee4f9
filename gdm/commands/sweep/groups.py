"""The number of groups k against network calls (Fig. 11): what controllability costs.

A run that was trained on several groupings ([[groupings]] in its config) is sampled in each of them. Of a run with one,
consecutive groups are joined, which it was not trained in: a warning says so.

Examples:

  gdm sweep groups runs/columns --steps 8 16 32 64 128 --extractor pixels
  gdm sweep groups runs/columns --groups 1 2 8 --steps 32 64 --solver euler -n 5000 --reference cifar-10-python.tar.gz
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

from gdm import config, sweep, sweep_figures
from gdm.commands import positive
from gdm.commands.sweep import common
from gdm.groupings import Groupings


def arguments(parser: argparse.ArgumentParser) -> None:
    common.arguments(parser, "groups", score="frechet")
    ks = "numbers of groups (those of the run's groupings)"
    parser.add_argument("--groups", type=positive, nargs="+", metavar="K", help=ks)
    steps = "steps in all, of which those below k are left out (8 16 32 64 128)"
    parser.add_argument("--steps", type=positive, nargs="+", default=[8, 16, 32, 64, 128], metavar="N", help=steps)
    common.add_solver(parser)


def run(args: argparse.Namespace) -> int:
    run = common.opened(args, "groups")
    groupings = config.build_groupings(run.model.spec, run.model.schedule.shape)
    points = sweep.groups(groupings, args.groups, args.steps, args.solver)
    _tell(run.model.spec, groupings, [*dict.fromkeys(point.schedule.k for point in points)])
    rows = common.swept(run, points, {"sweep": "groups", "solver": args.solver})
    label = common.label(args)
    title = f"{args.solver}, k groups"
    untaught = {str(point.facts["k"]) for point in points if not groupings.taught(point.schedule.partition)}
    print(*sweep_figures.curves(rows, args.score, label, "k", title, run.stem, untaught), sep="\n")
    return 0


def _tell(spec: config.Config, groupings: Groupings, ks: Sequence[int]) -> None:
    """Warn where the run has several groupings of k groups, of which a point takes the first."""
    kinds = [section.kind for section in (spec.schedule, *spec.groupings)]
    for k in ks:
        own = [f"{kind} (--grouping {i})" for i, kind in enumerate(kinds) if groupings.members[i].k == k]
        if len(own) > 1:
            warnings.warn(f"k = {k} is {own[0]}; the run has {', '.join(own[1:])} of {k} groups, too", stacklevel=1)
