"""Generate images with a trained model, as a PNG.

Image i of a seed is the same whatever the number of images and the batch.

  gdm sample runs/digits
  gdm sample runs/digits -n 64 --seed 0 --steps 64 --solver ab2
  gdm sample runs/digits -n 1000 --first 64 --npz -o samples
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from gdm import model
from gdm.canvas import checked_name, image_grid
from gdm.commands import add_backend, add_sampling, positive, whole
from gdm.files import write_atomic
from gdm.pixels import to_uint8
from gdm.solver import get


def arguments(parser: argparse.ArgumentParser) -> None:
    output = "a folder, or a .png (samples-seed0.png in the folder of the run)"
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, as `gdm train` makes it")
    parser.add_argument("-n", type=positive, default=64, metavar="N", help="how many images (64)")
    parser.add_argument("--first", type=whole, default=0, metavar="I", help="number of the first image (0)")
    add_sampling(parser, solver="euler")
    parser.add_argument("--batch", type=positive, default=64, metavar="N", help="images at once (64)")
    parser.add_argument("--label", metavar="CLASS", help="class of all images (each class in turn)")
    parser.add_argument("-o", dest="output", type=Path, metavar="PATH", help=output)
    parser.add_argument("--npz", action="store_true", help="also write an array of bytes, (n, C, H, W)")
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    path = _picture(args)
    loaded = model.load(args.run, args.backend, args.device)
    began = time.perf_counter()
    made = loaded.generate(
        args.n,
        seed=args.seed,
        first=args.first,
        steps=args.steps,
        solver=args.solver,
        batch=args.batch,
        labels=args.label,
        progress=True,
    )
    images = loaded.backend.to_numpy(made)
    seconds = time.perf_counter() - began
    _report(args, loaded, seconds)
    image_grid(images, path)
    print(path)
    if args.npz:
        array = path.with_suffix(".npz")
        write_atomic(array, lambda file: np.savez(file, images=to_uint8(images)))
        print(array)
    return 0


def _report(args: argparse.Namespace, loaded: model.Model, seconds: float) -> None:
    """Say what was chosen, so that the images can be made again."""
    shares = loaded.shares(args.steps)
    listed = ", ".join(map(str, shares[:9])) + ", ..." * (len(shares) > 9)
    calls = sum(shares) * get(args.solver).calls
    last, speed = args.first + args.n - 1, args.n / seconds
    print(f"images {args.first} to {last} of seed {args.seed}, after {loaded.step} training steps")
    print(f"{args.solver}, steps per group {listed}: {calls} network calls")
    print(f"{speed:.1f} images/s on {loaded.backend.name} ({loaded.backend.device})")


def _picture(args: argparse.Namespace) -> Path:
    """Return where to write: the .png given, or one in the folder given or that of the run."""
    if args.output is not None and args.output.suffix and not args.output.is_dir():
        return checked_name(args.output, (".png",))  # now, not after an hour of sampling
    return (args.output or args.run) / f"samples-seed{args.seed}.png"
