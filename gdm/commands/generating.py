"""How a command line asks for images of a run: arguments, and the model, schedule and recipe that they choose."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gdm import checkpoint, config, loading, rounds
from gdm.backends.world import World
from gdm.commands import add_model, add_sampling, number, one_of, positive, whole
from gdm.config import ScheduleConfig
from gdm.errors import ConfigError
from gdm.model import Model
from gdm.sampling import check_guidance
from gdm.schedule import Schedule

COMPILING = 500  # network calls that earn back the minute that a compiler takes


def arguments(parser: argparse.ArgumentParser, solver: str) -> None:
    """Add --seed, --steps, --solver with this default, and all else that decides what images are and who makes them."""
    add_sampling(parser, solver)
    grouping = "0 is the run's schedule, 1, 2, ... its further groupings (0)"
    parser.add_argument("--grouping", type=whole, default=0, metavar="N", help=grouping)
    parser.add_argument("--label", metavar="CLASS", help="class of all images (each class in turn)")
    guidance = "above 1: more like the class, less diverse, twice the time; 0: no class (1)"
    parser.add_argument("--guidance", type=number, default=1.0, metavar="W", help=guidance)
    batch = "images at once and process (as many as fit into a GPU, 64 elsewhere)"
    parser.add_argument("--batch", type=positive, metavar="N", help=batch)
    add_model(parser)
    compiling = f"the network: auto, on, off (auto: on a GPU, from {COMPILING} network calls)"
    parser.add_argument("--compile", type=one_of(("auto", "on", "off")), default="auto", metavar="WHEN", help=compiling)


class Chosen(NamedTuple):
    """A run's model, and the schedule to sample it with."""

    args: argparse.Namespace
    model: Model
    section: ScheduleConfig
    schedule: Schedule

    def warn_of_untaught(self) -> None:
        """Warn of a schedule that the network was not trained in."""
        if not config.build_groupings(self.model.spec, self.schedule.shape).taught(self.schedule.partition):
            message = "the network was not trained in this grouping and order: what it makes may be poor"
            warnings.warn(message, stacklevel=1)

    def batch(self, count: int, world: World) -> int:
        """Return how many of `count` images each process makes at once."""
        return self.args.batch or rounds.batch_of(self.model, count, self.args.guidance, world)

    def compiled(self, count: int, batch: int, world: World) -> Model:
        """Return the model, with its network compiled if that is asked for, or pays for so many images."""
        when, backend = self.args.compile, self.model.backend
        pays = backend.device.startswith("cuda") and self.calls() * -(-count // (batch * world.size)) >= COMPILING
        return self.model.compiled() if when == "on" or (when == "auto" and pays) else self.model

    def calls(self) -> int:
        """Return how many network calls an image takes."""
        return self.model.calls(self.args.steps, self.args.solver, self.schedule)

    def how(self) -> dict[str, Any]:
        """Return the arguments of `rounds.in_rounds` that decide what images are, but for their numbers and seed."""
        args = self.args
        known = {"steps": args.steps, "solver": args.solver, "label": args.label, "guidance": args.guidance}
        return {**known, "schedule": self.schedule}

    def recipe(self) -> dict[str, Any]:
        """Return what the images follow from, beside their numbers."""
        args = self.args
        return {
            "checkpoint": checkpoint.checksum(args.run, self.model.step),
            "step": self.model.step,
            "seed": args.seed,
            "steps": self.model.shares(args.steps, self.schedule),
            "solver": args.solver,
            "label": args.label,
            "guidance": args.guidance,
            "precision": self.model.backend.precision,
            **{f"schedule.{key}": value for key, value in _settings(self.model.spec, self.section).items()},
        }

    def solving(self) -> str:
        """Return solver, steps and guidance in words."""
        shares = self.model.shares(self.args.steps, self.schedule)
        listed = ", ".join(map(str, shares[:9])) + ", ..." * (len(shares) > 9)
        guided = f", guidance {self.args.guidance:g}" * (self.args.guidance != 1)
        return f"{self.args.solver}, steps per group {listed}: {self.calls()} network calls{guided}"

    def described(self) -> str:
        """Return the schedule in words: its kind, and the settings that are not the defaults."""
        section, settings = self.section, _settings(self.model.spec, self.section)
        changed = [key for key in settings if key != "kind" and getattr(section, key) != _DEFAULTS[key]]
        told = [key for key in changed if key != "order" or not section.shuffled]
        words = [section.kind, *(f"{key} = {settings[key]}" for key in told)]
        if section.shuffled:
            natural = _NATURAL.get(section.kind, "as numbered")
            words.append(f"order = {natural} (the natural one of all; schedule.order_seed=0, say, draws another)")
        return ", ".join(words)


def chosen(args: argparse.Namespace, overrides: Sequence[str]) -> Chosen:
    """Load the run of the arguments, with its schedule changed; refuse what the model cannot do.

    Raises: ConfigError, CheckpointError, BackendError, PartitionError, UnsupportedError, ValueRangeError
    """
    loaded = loading.load(args.run, args.backend, args.device, args.precision, args.checkpoint)
    section = _section(loaded.spec, args.grouping, overrides)
    schedule = config.build_schedule(section, loaded.schedule.shape)
    loaded.parents(schedule)
    check_guidance(args.guidance, loaded.classes, loaded.spec.training.label_dropout)
    rounds.labels_of(loaded, range(1), args.label)
    return Chosen(args, loaded, section, schedule)


def _section(spec: config.Config, grouping: int, overrides: Sequence[str]) -> ScheduleConfig:
    """Return the schedule to sample with: one of the run's, with these changes."""
    sections = (spec.schedule, *spec.groupings)
    if grouping >= len(sections):
        remedy = "0 is the schedule of the run, further ones are [[groupings]] of its config"
        raise ConfigError(f"--grouping: expected 0 to {len(sections) - 1}, got {grouping}; {remedy}")
    for text in overrides:
        if not text.startswith("schedule."):
            raise ConfigError(f"expected schedule.KEY=VALUE, got {text!r}; other settings are fixed by the training")
    table = {"schedule": _settings(spec, sections[grouping])}
    config.override(table, list(overrides))
    return config.from_dict(table).schedule


def _settings(spec: config.Config, section: ScheduleConfig) -> dict[str, Any]:
    return config.to_dict(replace(spec, schedule=section))["schedule"]


_DEFAULTS = {key: getattr(ScheduleConfig(), key) for key in ScheduleConfig.__slots__}
_NATURAL = {
    "blockwise": "raster",
    "autoregressive": "raster",
    "rows": "top-to-bottom",
    "columns": "left-to-right",
}
