"""Draw some latents of images anew (Fig. 1c), or all but some (Fig. 9: variations).

A row for each choice of latents, with several draws beside the image.

  gdm edit resample runs/blocks --groups r0c0 --groups r1c1          one block anew per row
  gdm edit resample runs/faces --images me.png                       rows with ever more groups fixed
  gdm edit resample runs/faces --images me.png --fixed 0:100 --fixed 0:500
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gdm import editing
from gdm.commands import positive
from gdm.commands.edit.shared import perform
from gdm.commands.subjects import add_choices, add_output, add_run, add_subjects
from gdm.editing import Choice
from gdm.encoding import Latents
from gdm.errors import ConfigError, ValueRangeError
from gdm.model import Model
from gdm.panels import Panels


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_choices(parser, "all but what is fixed")
    fixed = "these groups stay and all others are drawn anew; again for more rows (the first group, the first two, ...)"
    parser.add_argument("--fixed", action="append", default=[], metavar="LIST", help=fixed)
    parser.add_argument("-n", type=positive, default=6, metavar="N", help="variations (6)")
    add_output(parser, "edit-resample")
    add_subjects(parser, "0")


def run(args: argparse.Namespace) -> int:
    anew = bool(args.groups or args.elements)
    if anew and args.fixed:
        raise ConfigError("expected --fixed, or else --groups and --elements, of what is drawn anew; got both")
    args.output = args.output or Path(args.run) / "edit-resample.png"
    args.groups = args.fixed or args.groups

    def edit(model: Model, found: Latents, chosen: tuple[Choice, ...]) -> Panels:
        everything = next((choice.name for choice in chosen if args.fixed and _is_all(model, choice)), None)
        if everything is not None:
            raise ValueRangeError(
                f"groups: expected some of the groups, got {everything}; nothing is left to draw anew"
            )
        return editing.resample(model, found, chosen, fixed=not anew, n=args.n, seed=args.seed)

    return perform(args, "edit-resample", edit)


def _is_all(model: Model, choice: Choice) -> bool:
    return choice.channels is None and len(choice.groups or ()) == model.schedule.k
