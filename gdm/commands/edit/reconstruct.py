"""Decode images from a part of their latents, the others drawn anew or 0 (Fig. 4b).

A column for each part of the latents that is kept.

  gdm edit reconstruct runs/faces --images photos/                   the first group, the first two, and so on
  gdm edit reconstruct runs/faces --images photos/ --elements 0:30 --elements 0:100 --elements 0:500 --rest zero
"""

from __future__ import annotations

import argparse

from gdm import editing
from gdm.commands import one_of
from gdm.commands.edit.shared import perform
from gdm.commands.subjects import add_choices, add_output, add_run, add_subjects


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_choices(parser, "the first, the first two, ...")
    rest = "the other latents: noise or zero (noise)"
    parser.add_argument("--rest", type=one_of(("noise", "zero")), default="noise", metavar="HOW", help=rest)
    add_output(parser, "edit-reconstruct")
    add_subjects(parser, "0,1,2,3")


def run(args: argparse.Namespace) -> int:
    return perform(
        args,
        "edit-reconstruct",
        lambda model, found, chosen: editing.reconstruct(model, found, chosen, rest=args.rest, seed=args.seed),
    )
