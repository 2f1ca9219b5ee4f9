"""Decode latents of `gdm encode`: the images that a run makes of them.

Steps, solver and guidance are those of the encoding, unless others are given; latents of another schedule are refused.

  gdm decode runs/digits runs/digits/latents.safetensors                a grid, decoded.png in the folder of the run
  gdm decode runs/faces photos.safetensors -o decoded                   decoded/000000.png, ...
  gdm decode runs/faces photos.safetensors -o decoded.npz --steps 256
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gdm import checkpoint, encoding, writers
from gdm.commands import add_model, positive
from gdm.commands.subjects import TYPED, add_run, add_solving, load, read_latents
from gdm.encoding import Latents
from gdm.model import Model
from gdm.pixels import to_uint8
from gdm.rounds import Made
from gdm.wording import counted, renaming


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("latents", type=Path, metavar="LATENTS", help="a .safetensors of `gdm encode`")
    output = f"a folder, or a {', '.join(writers.FILES)} (decoded.png in the folder of the run)"
    parser.add_argument("-o", dest="output", type=Path, metavar="PATH", help=output)
    add_solving(parser, solver=None)
    parser.add_argument("--batch", type=positive, default=64, metavar="N", help="images at once (64)")
    add_model(parser)


@renaming(TYPED)
def run(args: argparse.Namespace) -> int:
    output = writers.checked_output(args.output or args.run / "decoded.png")
    loaded = load(args)
    latents = read_latents(args, loaded)
    digest = checkpoint.checksum(args.run, loaded.step)
    chosen = replace(latents, steps=args.steps or latents.steps, solver=args.solver or latents.solver)
    count = len(latents)
    if writers.is_folder(output):
        recipe = {
            "latents": latents.hashes,
            "checkpoint": digest,
            "steps": loaded.shares(chosen.steps),
            "solver": chosen.solver,
            "guidance": chosen.guidance,
        }
        lacking = writers.lacking(output, range(count), recipe)
        labels = None if not loaded.classes else latents.labels
        writers.write_folder(
            output,
            _made(loaded, chosen, lacking, args.batch),
            recipe,
            lambda numbers: None if labels is None else labels[list(numbers)],
        )
    else:
        _write(output, loaded, chosen, args.batch)
    steps = sum(loaded.shares(chosen.steps))
    print(
        f"{counted(count, 'image')} decoded with {counted(steps, 'step')} of {chosen.solver}, after {loaded.step} training steps"
    )
    print(output)
    return 0


def _write(output: Path, loaded: Model, latents: Latents, batch: int) -> None:
    """Write the images as one file."""
    as_grid = output.suffix.lower() == ".png"
    count = min(len(latents), writers.GRID) if as_grid else len(latents)
    if count < len(latents):
        print(f"a grid shows {count} images at most; for all {len(latents)}: -o with a folder, a .zip or an .npz")
    batches = _made(loaded, latents, range(count), batch)
    if as_grid:
        writers.write_grid(output, batches)
    elif output.suffix.lower() == ".zip":
        writers.write_zip(output, batches)
    else:
        classes = loaded.classes if (latents.labels >= 0).all() else ()
        writers.write_npz(output, batches, count, loaded.schedule.shape, classes)


def _made(loaded: Model, latents: Latents, numbers: range | list[int], batch: int) -> Iterator[Made]:
    """Decode batch by batch."""
    for start in range(0, len(numbers), batch):
        chunk = list(numbers[start : start + batch])
        images = to_uint8(np.asarray(encoding.decode(loaded, latents.take(chunk))))
        yield Made(chunk, images, latents.labels[chunk] if loaded.classes else None)
