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
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from gdm import checkpoint, config, model, rounds, writers
from gdm.backends.world import World
from gdm.commands import add_backend, add_sampling, number, one_of, positive, whole
from gdm.config import ScheduleConfig
from gdm.errors import ConfigError
from gdm.sampling import check_guidance
from gdm.schedule import Schedule

COMPILING = 500  # network calls that earn back the minute that a compiler takes


def arguments(parser: argparse.ArgumentParser) -> None:
    output = f"a folder, or a {', '.join(writers.FILES)} (samples-seed0.png in the folder of the run)"
    changes = "settings of the run's schedule, changed: schedule.order=spiral"
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, as `gdm train` makes it")
    parser.add_argument("overrides", nargs="*", default=[], metavar="schedule.KEY=VALUE", help=changes)
    parser.add_argument("-n", type=positive, default=64, metavar="N", help="how many images (64)")
    parser.add_argument("--first", type=whole, default=0, metavar="I", help="number of the first image (0)")
    parser.add_argument("-o", dest="output", type=Path, metavar="PATH", help=output)
    add_sampling(parser, solver="euler")
    grouping = "0 is the run's schedule, 1, 2, ... its further groupings (0)"
    parser.add_argument("--grouping", type=whole, default=0, metavar="N", help=grouping)
    parser.add_argument("--label", metavar="CLASS", help="class of all images (each class in turn)")
    guidance = "above 1: more like the class, less diverse, twice the time; 0: no class (1)"
    parser.add_argument("--guidance", type=number, default=1.0, metavar="W", help=guidance)
    batch = "images at once and process (as many as fit into a GPU, 64 elsewhere)"
    parser.add_argument("--batch", type=positive, metavar="N", help=batch)
    older = "of this training step, if the run kept one (the latest)"
    parser.add_argument("--checkpoint", type=whole, metavar="STEP", help=older)
    add_backend(parser)
    precisions = get_args(config.Precision)
    precision = f"of the network: {', '.join(precisions)} (as trained)"
    parser.add_argument("--precision", type=one_of(precisions), metavar="NAME", help=precision)
    compiling = f"the network: auto, on, off (auto: on a GPU, from {COMPILING} network calls)"
    parser.add_argument("--compile", type=one_of(("auto", "on", "off")), default="auto", metavar="WHEN", help=compiling)


def run(args: argparse.Namespace) -> int:
    output = writers.checked_output(args.output or args.run / f"samples-seed{args.seed}.png")
    loaded = model.load(args.run, args.backend, args.device, args.precision, args.checkpoint)
    section = _section(loaded.spec, args.grouping, args.overrides)
    schedule = config.build_schedule(section, loaded.schedule.shape)
    _check(args, loaded, schedule)
    world = loaded.backend.world()
    as_grid = output.suffix.lower() == ".png" and not writers.is_folder(output)
    count = min(args.n, writers.GRID) if as_grid else args.n
    numbers = range(args.first, args.first + count)
    recipe = _recipe(args, loaded, section, schedule)
    lacking = _agreed(numbers, output, recipe, world) if writers.is_folder(output) else numbers
    if world.rank == 0:
        _warn_of_untaught(loaded, schedule)
    began = time.perf_counter()
    _write(args, output, _batches(args, loaded, schedule, lacking, world), loaded, recipe, world, count)
    if world.rank == 0:
        _report(args, loaded, section, schedule, len(lacking), count, time.perf_counter() - began, world)
        print(output)
    return 0


def _check(args: argparse.Namespace, loaded: model.Model, schedule: Schedule) -> None:
    """Refuse what the model cannot do, before anything is written."""
    loaded.parents(schedule)
    check_guidance(args.guidance, loaded.classes, loaded.spec.training.label_dropout)
    rounds.labels_of(loaded, range(1), args.label)


def _warn_of_untaught(loaded: model.Model, schedule: Schedule) -> None:
    if not config.build_groupings(loaded.spec, schedule.shape).taught(schedule.partition):
        warnings.warn("the network was not trained in this grouping and order: what it makes may be poor", stacklevel=1)


def _section(spec: config.Config, grouping: int, overrides: list[str]) -> ScheduleConfig:
    """Return the schedule to sample with: one of the run's, with these changes."""
    sections = (spec.schedule, *spec.groupings)
    if grouping >= len(sections):
        remedy = "0 is the schedule of the run, further ones are [[groupings]] of its config"
        raise ConfigError(f"--grouping: expected 0 to {len(sections) - 1}, got {grouping}; {remedy}")
    for text in overrides:
        if not text.startswith("schedule."):
            raise ConfigError(f"expected schedule.KEY=VALUE, got {text!r}; other settings are fixed by the training")
    table = {"schedule": _settings(spec, sections[grouping])}
    config.override(table, overrides)
    return config.from_dict(table).schedule


def _agreed(numbers: range, folder: Path, recipe: dict[str, Any], world: World) -> list[int]:
    """Return which images are to be made, as process 0 finds the folder: the others may look when it writes already."""
    lacking = set(writers.lacking(folder, numbers, recipe))
    wanted = rounds.as_first(np.array([number in lacking for number in numbers], float), world)
    return [number for number, is_wanted in zip(numbers, wanted, strict=True) if is_wanted]


def _batches(
    args: argparse.Namespace, loaded: model.Model, schedule: Schedule, numbers: range | list[int], world: World
) -> Iterator[rounds.Made]:
    """Yield the images, on process 0; compile the network first where that pays."""
    if not numbers:
        return iter(())
    batch = args.batch or rounds.batch_of(loaded, len(numbers), args.guidance, world)
    calls = loaded.calls(args.steps, args.solver, schedule) * -(-len(numbers) // (batch * world.size))
    pays = loaded.backend.device.startswith("cuda") and calls >= COMPILING
    return rounds.in_rounds(
        loaded.compiled() if args.compile == "on" or (args.compile == "auto" and pays) else loaded,
        numbers,
        world,
        batch=batch,
        seed=args.seed,
        steps=args.steps,
        solver=args.solver,
        label=args.label,
        guidance=args.guidance,
        schedule=schedule,
        progress=True,
    )


def _write(
    args: argparse.Namespace,
    output: Path,
    batches: Iterator[rounds.Made],
    loaded: model.Model,
    recipe: dict[str, Any],
    world: World,
    count: int,
) -> None:
    if world.rank != 0:
        for _ in batches:  # there is none; but each makes its share of every round
            pass
    elif writers.is_folder(output):
        writers.write_folder(output, batches, recipe, lambda numbers: rounds.labels_of(loaded, numbers, args.label))
    elif output.suffix.lower() == ".zip":
        writers.write_zip(output, batches)
    elif output.suffix.lower() == ".npz":
        writers.write_npz(output, batches, count, loaded.schedule.shape, loaded.classes)
    else:
        writers.write_grid(output, batches)


def _recipe(
    args: argparse.Namespace, loaded: model.Model, section: ScheduleConfig, schedule: Schedule
) -> dict[str, Any]:
    """Return what the images follow from, beside their numbers."""
    return {
        "checkpoint": checkpoint.checksum(args.run, loaded.step),
        "step": loaded.step,
        "seed": args.seed,
        "steps": loaded.shares(args.steps, schedule),
        "solver": args.solver,
        "label": args.label,
        "guidance": args.guidance,
        "precision": loaded.backend.precision,
        **{f"schedule.{key}": value for key, value in _settings(loaded.spec, section).items()},
    }


def _settings(spec: config.Config, section: ScheduleConfig) -> dict[str, Any]:
    return config.to_dict(replace(spec, schedule=section))["schedule"]


def _report(
    args: argparse.Namespace,
    loaded: model.Model,
    section: ScheduleConfig,
    schedule: Schedule,
    made: int,
    count: int,
    seconds: float,
    world: World,
) -> None:
    """Say what was chosen, so that the images can be made again."""
    shares = loaded.shares(args.steps, schedule)
    listed = ", ".join(map(str, shares[:9])) + ", ..." * (len(shares) > 9)
    calls = loaded.calls(args.steps, args.solver, schedule)
    last = args.first + count - 1
    there = f", {count - made} of them already there" * (made < count)
    print(f"images {args.first} to {last} of seed {args.seed}{there}, after {loaded.step} training steps")
    if count < args.n:
        print(f"a grid shows {count} images at most; for all {args.n}: -o with a folder, a .zip or an .npz")
    print(f"schedule: {_described(loaded.spec, section)}")
    guided = f", guidance {args.guidance:g}" * (args.guidance != 1)
    print(f"{args.solver}, steps per group {listed}: {calls} network calls{guided}")
    processes = f", {world.size} processes" * (world.size > 1)
    print(f"{made / seconds:.1f} images/s on {loaded.backend.name} ({loaded.backend.device}{processes})")


def _described(spec: config.Config, section: ScheduleConfig) -> str:
    """Return a schedule in words: its kind, and the settings that are not the defaults."""
    settings = _settings(spec, section)
    changed = [key for key, value in settings.items() if key != "kind" and getattr(section, key) != _DEFAULTS[key]]
    words = [section.kind, *(f"{key} = {settings[key]}" for key in changed if key != "order" or not section.shuffled)]
    if section.shuffled:
        natural = _NATURAL.get(section.kind, "as numbered")
        words.append(f"order = {natural} (the natural one of all; schedule.order_seed=0, say, draws another)")
    return ", ".join(words)


_DEFAULTS = {key: getattr(ScheduleConfig(), key) for key in ScheduleConfig.__slots__}
_NATURAL = {
    "blockwise": "raster",
    "autoregressive": "raster",
    "rows": "top-to-bottom",
    "columns": "left-to-right",
}
