"""Walk single latents over a range of values (Fig. 6 of generated images, Fig. 8 of your own).

A row for each image and element, a column for each value.

  gdm edit traverse runs/faces --samples 0,1 --elements 0 --elements 3 --elements 5
  gdm edit traverse runs/faces --images me.png --elements 3 --channel R --range -2 2 -n 5
"""

from __future__ import annotations

import argparse

import numpy as np

from gdm import editing
from gdm.commands import number, positive
from gdm.commands.edit.shared import perform
from gdm.commands.subjects import add_output, add_run, add_subjects


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    ranks = "frequency within a channel; again for more rows; of 0,1,2 all are set together (0, then 1, 2 and 3)"
    parser.add_argument("--elements", "--band", action="append", default=[], metavar="LIST", help=ranks)
    parser.add_argument("--channel", metavar="LIST", help="of these alone: 0, R, green, ... (all)")
    extent = "first and last value (-3 3)"
    parser.add_argument("--range", nargs=2, type=number, default=[-3.0, 3.0], metavar=("A", "B"), help=extent)
    parser.add_argument("-n", type=positive, default=7, metavar="N", help="columns (7)")
    add_output(parser, "edit-traverse")
    add_subjects(parser, "0")
    parser.set_defaults(groups=[])


def run(args: argparse.Namespace) -> int:
    low, high = args.range
    values = np.linspace(low, high, args.n).tolist()
    args.elements = args.elements or ["0", "1", "2", "3"]
    return perform(
        args,
        "edit-traverse",
        lambda model, found, chosen: editing.traverse(model, found, chosen, values=values),
    )
