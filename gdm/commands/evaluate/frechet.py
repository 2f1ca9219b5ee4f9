"""Frechet distance and KID of generated images to real ones, with mean and deviation over seeds.

Examples:

  gdm evaluate frechet runs/digits --reference digits --extractor pixels
"""

from __future__ import annotations

import argparse

from gdm.errors import UnsupportedError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="RUN", help="folder of a run")


def run(args: argparse.Namespace) -> int:
    raise UnsupportedError("not yet")
