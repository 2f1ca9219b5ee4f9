"""Generate images with a trained model: a grid to look at, or many of them in a folder, a zip or an array.

Image i of a seed is the same whatever the number of images, the batch and the number of processes.

  gdm sample runs/digits                                a grid, samples-seed0.png in the folder of the run
  gdm sample runs/digits -n 64 --seed 0 --steps 64 --solver ab2
  gdm sample runs/digits -n 50000 -o samples            samples/000000.png, ...; stopped, it goes on from there
  gdm sample runs/digits -n 50000 -o samples.zip        one file, to train on too: data.source=samples.zip
  gdm sample runs/digits schedule.order=spiral          another order, other intervals, or unions of the groups
  gdm sample runs/digits --grouping 1 --guidance 2      the second grouping of the run; towards the class
  torchrun --nproc-per-node 8 -m gdm sample runs/digits -n 50000 -o samples
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gdm import rounds, writers
from gdm.backends.world import World
from gdm.commands import generating, positive, whole


def arguments(parser: argparse.ArgumentParser) -> None:
    output = f"a folder, or a {', '.join(writers.FILES)} (samples-seed0.png in the folder of the run)"
    changes = "settings of the run's schedule, changed: schedule.order=spiral"
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, as `gdm train` makes it")
    parser.add_argument("overrides", nargs="*", default=[], metavar="schedule.KEY=VALUE", help=changes)
    parser.add_argument("-n", type=positive, default=64, metavar="N", help="how many images (64)")
    parser.add_argument("--first", type=whole, default=0, metavar="I", help="number of the first image (0)")
    parser.add_argument("-o", dest="output", type=Path, metavar="PATH", help=output)
    generating.arguments(parser, solver="euler")


def run(args: argparse.Namespace) -> int:
    output = writers.checked_output(args.output or args.run / f"samples-seed{args.seed}.png")
    chosen = generating.chosen(args, args.overrides)
    world = chosen.model.backend.world()
    as_grid = output.suffix.lower() == ".png" and not writers.is_folder(output)
    count = min(args.n, writers.GRID) if as_grid else args.n
    numbers = range(args.first, args.first + count)
    recipe = chosen.recipe()
    lacking = _agreed(numbers, output, recipe, world) if writers.is_folder(output) else numbers
    if world.rank == 0:
        chosen.warn_of_untaught()
    began = time.perf_counter()
    _write(output, _batches(chosen, lacking, world), chosen, recipe, world, count)
    if world.rank == 0:
        _report(chosen, len(lacking), count, time.perf_counter() - began, world)
        print(output)
    return 0


def _agreed(numbers: range, folder: Path, recipe: dict[str, Any], world: World) -> list[int]:
    """Return which images are to be made, as process 0 finds the folder: the others may look when it writes already."""
    lacking = set(writers.lacking(folder, numbers, recipe))
    wanted = rounds.as_first(np.array([number in lacking for number in numbers], float), world)
    return [number for number, is_wanted in zip(numbers, wanted, strict=True) if is_wanted]


def _batches(chosen: generating.Chosen, numbers: range | list[int], world: World) -> Iterator[rounds.Made]:
    """Yield the images, on process 0; compile the network first where that pays."""
    if not numbers:
        return iter(())
    batch = chosen.batch(len(numbers), world)
    return rounds.in_rounds(
        chosen.compiled(len(numbers), batch, world),
        numbers,
        world,
        batch=batch,
        seed=chosen.args.seed,
        progress=True,
        **chosen.how(),
    )


def _write(
    output: Path,
    batches: Iterator[rounds.Made],
    chosen: generating.Chosen,
    recipe: dict[str, Any],
    world: World,
    count: int,
) -> None:
    model, label = chosen.model, chosen.args.label
    if world.rank != 0:
        for _ in batches:  # there is none; but each makes its share of every round
            pass
    elif writers.is_folder(output):
        writers.write_folder(output, batches, recipe, lambda numbers: rounds.labels_of(model, numbers, label))
    elif output.suffix.lower() == ".zip":
        writers.write_zip(output, batches)
    elif output.suffix.lower() == ".npz":
        writers.write_npz(output, batches, count, model.schedule.shape, model.classes)
    else:
        writers.write_grid(output, batches)


def _report(chosen: generating.Chosen, made: int, count: int, seconds: float, world: World) -> None:
    """Say what was chosen, so that the images can be made again."""
    args, model = chosen.args, chosen.model
    last = args.first + count - 1
    there = f", {count - made} of them already there" * (made < count)
    print(f"images {args.first} to {last} of seed {args.seed}{there}, after {model.step} training steps")
    if count < args.n:
        print(f"a grid shows {count} images at most; for all {args.n}: -o with a folder, a .zip or an .npz")
    print(f"schedule: {chosen.described()}")
    print(chosen.solving())
    processes = f", {world.size} processes" * (world.size > 1)
    print(f"{made / seconds:.1f} images/s on {model.backend.name} ({model.backend.device}{processes})")
