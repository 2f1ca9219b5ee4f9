"""Encode images: the latents that generate them, with how exactly they do.

The way there and back is measured in each group; --tol doubles the steps until it is exact enough.

  gdm encode runs/digits digits --limit 100               latents.safetensors in the folder of the run
  gdm encode runs/faces photos/ -o photos.safetensors --tol 0.01
  gdm encode runs/digits three.png --label 3              the class of all, of a class-conditional run
  gdm decode runs/digits latents.safetensors              and back
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from gdm import checkpoint, encoding, latent_files
from gdm.commands import add_model, positive
from gdm.commands.subjects import TYPED, add_run, add_solving, add_tolerance, error_line, first_steps, load, read
from gdm.encoding import Latents
from gdm.errors import ValueRangeError
from gdm.model import Model
from gdm.names import group_names
from gdm.wording import counted, renaming

LISTED = 40  # groups in the table, at most


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    images = "an image, a folder, a zip, an npz, 'digits', ...: what data.source takes"
    parser.add_argument("images", nargs="+", metavar="IMAGES", help=images)
    output = "a .safetensors (latents.safetensors in the folder of the run)"
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help=output)
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N images of each (all)")
    parser.add_argument("--split", default="train", metavar="NAME", help="part of a source that has several (train)")
    add_solving(parser)
    add_tolerance(parser)
    parser.set_defaults(steps=None)
    batch = "images at once (as many as fit into a GPU, 64 elsewhere)"
    parser.add_argument("--batch", type=positive, metavar="N", help=batch)
    add_model(parser)


@renaming(TYPED)
def run(args: argparse.Namespace) -> int:
    output = (args.output or args.run / "latents.safetensors").expanduser()
    if output.suffix != ".safetensors":
        raise ValueRangeError(f"{output}: expected a file name ending in .safetensors; rename it")
    loaded = load(args)
    latents = encoding.encode(
        loaded,
        read(args, loaded, args.images, "IMAGES"),
        steps=first_steps(args, loaded),
        solver=args.solver,
        tolerance=args.tol,
        guidance=args.guidance,
        batch=args.batch,
        watch=_tell if args.tol is not None else None,
    )
    facts = {
        "checkpoint": checkpoint.checksum(args.run, loaded.step),
        "precision": loaded.backend.precision,
        "tolerance": args.tol,
    }
    latent_files.write(output, replace(latents, facts=facts), loaded)
    print(_table(loaded, latents))
    print(f"{counted(len(latents), 'image')}; {error_line(loaded, latents, args.tol)}")
    print(output)
    return 0


def _tell(steps: int, errors: np.ndarray, images: int) -> None:
    print(f"{counted(steps, 'step')}, {counted(images, 'image')}: worst group {errors.max():.3g}", flush=True)


def _table(loaded: Model, latents: Latents) -> str:
    """Return what each group has lost there and back."""
    names, shares, schedule = group_names(loaded.schedule), loaded.shares(latents.steps), loaded.schedule
    width = max(map(len, ("group", *names)))
    lines = [f"{'group':{width}}  {'size':>7}  {'steps':>5}  error (RMS of there and back, in [-1, 1])"]
    rows = [*zip(names, schedule.partition.sizes, shares, latents.errors or (), strict=True)]
    lines += [f"{name:{width}}  {size:7}  {steps:5}  {error:.2g}" for name, size, steps, error in rows[:LISTED]]
    return "\n".join(lines + [f"... {len(rows)} groups in all"] * (len(rows) > LISTED))
