"""Give images some latents of others: mixing (Fig. 7).

Images are taken in pairs, original and reference; a column for each choice of latents.

  gdm edit swap runs/faces --images me.png you.png                   a column per group
  gdm edit swap runs/faces --images cats/ --reference dogs/ --groups coarse      two data sets, one run
"""

from __future__ import annotations

import argparse

from gdm import editing
from gdm.commands.edit.shared import add_reference, perform
from gdm.commands.subjects import add_choices, add_output, add_run, add_subjects


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_choices(parser, "each group")
    add_output(parser, "edit-swap")
    add_subjects(parser, "0,1,2,3")
    add_reference(parser)


def run(args: argparse.Namespace) -> int:
    return perform(args, "edit-swap", editing.swap)
