"""Complete images: keep what is known of them, and draw the rest; inpainting, outpainting, upscaling, colouring.

Trustworthy where the network was trained on random orders (schedule.order = "random") or on the order that has what
is known first; a warning says so where it was not. Known pixels come back as they are. Upscaling takes small images
as every second pixel (or so) of large ones: those that were averaged are smoother than what a cascade was trained on.

  gdm complete runs/digits digits --known left                the right halves of four digits, four times
  gdm complete runs/faces me.png --known border -n 8          inpainting: the centre; --known centre: outpainting
  gdm complete runs/faces me.png --mask known.png             white is known; along the run's groups
  gdm complete runs/cascade small.png --upscale               a run with schedule.kind = "cascade"
  gdm complete runs/colour grey.png --known luma              a run with schedule.kind = "colour"
  gdm complete runs/bands me.png --known 0:100                bands of frequencies
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

from gdm import completing, intake
from gdm.commands import add_model, positive, whole
from gdm.commands.subjects import SHOWN, TYPED, add_output, add_run, add_solving, checked_output, load, read
from gdm.completing import Known
from gdm.errors import ConfigError
from gdm.intake import Images
from gdm.model import Model
from gdm.names import vocabulary
from gdm.wording import renaming


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    images = "an image, a folder, a zip, an npz, 'digits', ...: what data.source takes"
    parser.add_argument("images", nargs="+", metavar="IMAGES", help=images)
    known = "groups by number or name: left, top, centre, border, r0c1, coarse, luma, 0:100, 0,2, ..."
    parser.add_argument("--known", metavar="REGION", help=known)
    parser.add_argument("--mask", type=Path, metavar="FILE", help="an image instead, white where pixels are known")
    upscale = "IMAGES are small: they become the coarse pixels of a cascade"
    parser.add_argument("--upscale", action="store_true", help=upscale)
    parser.add_argument("-n", type=positive, default=4, metavar="N", help="results per image (4)")
    parser.add_argument("--limit", type=positive, default=SHOWN, metavar="N", help=f"the first N images ({SHOWN})")
    parser.add_argument("--split", default="train", metavar="NAME", help="part of a source that has several (train)")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="the same seed draws the same results (0)")
    grouping = "0 is the run's schedule, 1, 2, ... its further groupings (the first that was trained for this)"
    parser.add_argument("--grouping", type=whole, metavar="N", help=grouping)
    add_output(parser, "completed")
    add_solving(parser, solver="euler")
    add_model(parser)


@renaming(TYPED | {"groups": "--known"})
def run(args: argparse.Namespace) -> int:
    output = checked_output(args, "completed")
    loaded = load(args)
    known = _known(args, loaded)
    images = _images(args, loaded)
    if not known.taught:
        warnings.warn(
            f"the network was not trained with {known.name} first: what it draws may be poor; "
            "train it with schedule.order = 'random', or with these groups first",
            stacklevel=1,
        )
    panels = completing.complete(
        loaded,
        images,
        known,
        n=args.n,
        seed=args.seed,
        steps=args.steps,
        solver=args.solver,
        guidance=args.guidance,
    )
    beside = panels.save(output)
    made = panels.images[:, 2:].reshape(-1, *panels.images.shape[2:])
    total, changed, gap = completing.kept(known, images.images.repeat(args.n, axis=0), made)
    in_pixels = not known.schedule.basis.factors
    said = f"all {total} known bytes" if in_pixels else f"known coordinates are kept to {gap:.1g}: all {total}"
    print(f"known: {known.name}; {said if changed == 0 else f'{changed} of {total} numbers are NOT'} as they were")
    print(beside)
    print(output)
    return 0


def _known(args: argparse.Namespace, loaded: Model) -> Known:
    """Return what is known. Raises: ConfigError unless it is said in one way"""
    ways = [name for name in ("known", "mask", "upscale") if getattr(args, name)]
    if len(ways) != 1:
        got = " and ".join(f"--{name}" for name in ways) or "none"
        names = ", ".join([*vocabulary(loaded.schedule)][:16])
        raise ConfigError(f"expected one of --known, --mask and --upscale, got {got}; this run knows {names}")
    if args.upscale:
        completing.small_size(loaded)
        return completing.known_first(loaded, "coarse", 0)
    if args.known:
        return completing.known_first(loaded, args.known, args.grouping)
    mask = intake.read_images(loaded, args.mask, limit=1, option="--mask")
    return completing.known_first(loaded, np.asarray(mask.images[0, 0] > 127), args.grouping)


def _images(args: argparse.Namespace, loaded: Model) -> Images:
    size = completing.small_size(loaded) if args.upscale else None
    images = read(args, loaded, args.images, "IMAGES", size)
    return completing.placed(loaded, images) if args.upscale else images
