"""Turn some latents of an image into another's, the rest fixed (Fig. 3).

Images are taken in pairs, the first with the second; a row for each choice of latents. Each group's part turns along a
great circle (spherical interpolation): latents are normal numbers, and a straight mix of two has too little variance,
half of it in the middle.

  gdm edit interpolate runs/faces --samples 0,1                      a row per group, and one of all
  gdm edit interpolate runs/faces --images a.png b.png --groups low --groups 100:500 -n 9
"""

from __future__ import annotations

import argparse

from gdm import editing
from gdm.commands import one_of, positive
from gdm.commands.edit.shared import add_reference, perform
from gdm.commands.subjects import add_choices, add_output, add_run, add_subjects
from gdm.editing import Choice
from gdm.schedule import Schedule


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_choices(parser, "each group, and all together")
    parser.add_argument("-n", type=positive, default=7, metavar="N", help="columns (7)")
    mode = "spherical (slerp): latents keep their length; linear: they shrink on the way (spherical)"
    parser.add_argument("--mode", type=one_of(("spherical", "linear")), default="spherical", metavar="M", help=mode)
    add_output(parser, "edit-interpolate")
    add_subjects(parser, "0,1")
    add_reference(parser)


def run(args: argparse.Namespace) -> int:
    return perform(
        args,
        "edit-interpolate",
        lambda model, pairs, chosen: editing.interpolate(
            model, pairs, chosen or _each_and_all(model.schedule), n=args.n, mode=args.mode
        ),
    )


def _each_and_all(schedule: Schedule) -> tuple[Choice, ...]:
    """Return each group, and all of them: the row that ends with the other image."""
    return editing.choices(schedule, [*range(schedule.k), *["all"] * (schedule.k > 1)])
