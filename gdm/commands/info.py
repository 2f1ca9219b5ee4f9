"""Say what a run is, how far it is and how to sample it; or what a config would train.

Examples:

  gdm info runs/digits
  gdm info examples/configs/digits.toml
  gdm info examples/configs/digits.toml training.steps=500 --all     every setting, and what it is
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from gdm import checkpoint, config, data
from gdm.errors import CheckpointError, ConfigError
from gdm.names import group_names
from gdm.schedule import Schedule
from gdm.wording import counted


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="RUN|CONFIG.toml", help="folder of a run, or a config")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the config, changed")
    parser.add_argument("--all", action="store_true", help="list all settings instead")


def run(args: argparse.Namespace) -> int:
    if args.overrides and not args.path.is_file():
        raise ConfigError(f"key=value is for a config; {args.path} is a run: leave out {args.overrides[0]}")
    if args.all:
        lines = settings(args.path, args.overrides)
    else:
        lines = of_config(args.path, args.overrides) if args.path.is_file() else of_run(args.path)
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:{width}}  {text}")
    return 0


def of_run(run: Path) -> dict[str, str]:
    """Return lines about a run by name; reads its newest intact checkpoint, and needs no backend."""
    described = checkpoint.read_run(run)
    spec = config.from_dict(described["config"])
    schedule = config.build_schedule(spec.schedule, tuple(described["event"]))
    progress, parameters = _progress(run, spec)
    how = _sampling(run, spec, schedule, described["classes"]) if checkpoint.steps(run) else {}
    source = described["data"]
    made = f"gdm {described['gdm_version']}, {described['created']}"
    return {
        "run": str(run),
        **_plan(spec, schedule, parameters),
        "data": f"{source['source']}: {counted(source['count'], 'image')}, SHA-256 {source['hash'][:16]}...",
        "classes": ", ".join(described["classes"]) or "none",
        "made by": f"{made}, backend {spec.backend}, {spec.precision}, seed {spec.seed}",
        **progress,
        **how,
    }


def settings(path: Path, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Return every setting of a run or a config by its dotted key, as TOML would write its value."""
    spec = config.load(path, overrides) if path.is_file() else config.from_dict(checkpoint.read_run(path)["config"])
    return {key: json.dumps(value) for key, value in config.flat(spec).items()}


def of_config(path: Path, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Return lines about what a config would train, by name."""
    spec = config.load(path, overrides)
    dataset = data.load(spec.data)
    schedule = config.build_schedule(spec.schedule, dataset.shape)
    training = spec.training
    limit = f", at most {training.minutes:g} minutes" * bool(training.minutes)
    return {
        "config": str(path),
        **_plan(spec, schedule),
        "data": f"{spec.data.source}: {counted(len(dataset), 'image')}, SHA-256 {dataset.hash[:16]}...",
        "classes": ", ".join(dataset.classes) or "none",
        "training": f"{training.steps} steps of {training.batch} images{limit}, Adam at {training.learning_rate:g}",
        "train it": f"gdm train {path}",
    }


def _plan(spec: config.Config, schedule: Schedule, parameters: str = "") -> Mapping[str, str]:
    sizes = [str(size) for size in schedule.partition.sizes]
    listed = ", ".join(sizes[:9]) + ", ..." * (len(sizes) > 9)
    names = group_names(schedule)
    called = f": {', '.join(names[:9])}{', ...' * (len(names) > 9)}"
    where = schedule.basis.coordinates
    network = spec.network
    levels = " x ".join(map(str, (network.channels, list(network.multipliers))))
    return {
        "images": " x ".join(map(str, schedule.shape)) + " (channels, height, width)",
        "schedule": f"{spec.schedule.kind}, {schedule.path.name} path",
        "groups": f"{schedule.k} of {where}, in order of generation with {listed} elements{called}",
        "network": f"{network.kind}, {levels} channels, blocks per level: {network.blocks}{parameters}",
    }


def _progress(run: Path, spec: config.Config) -> tuple[dict[str, str], str]:
    """Return lines about how far a run is, and the number of its network's parameters."""
    if not checkpoint.steps(run):
        return {"trained": "no checkpoint yet"}, ""
    try:
        saved = checkpoint.latest(run)
    except CheckpointError as error:
        return {"trained": str(error)}, ""
    spent = timedelta(seconds=round(saved.info.get("seconds", 0)))
    losses = [record["loss"] for record in checkpoint.read_metrics(run) if record.get("loss") is not None]
    loss = f", loss {losses[-1]:.4f}" if losses else ""
    size = sum(tensor.size for name, tensor in saved.tensors.items() if name.startswith("ema."))
    return {"trained": f"{saved.step} of {spec.training.steps} steps in {spent}{loss}"}, f", {size:,} parameters"


def _sampling(run: Path, spec: config.Config, schedule: Schedule, classes: Sequence[str]) -> dict[str, str]:
    """Return commands that sample from a run: as it is, and in each other way that it has learnt."""
    command = f"gdm sample {shlex.quote(str(run))}"
    steps = f"--steps {max(64, schedule.k)}"
    lines = {"sample it": f"{command} -n 64 {steps} --solver ab2"}
    if spec.schedule.shuffled and schedule.k > 1:
        backwards = str([*range(schedule.k)][::-1]).replace(" ", "")
        order = backwards if spec.schedule.kind == "bands" else "reverse"  # bands have orders without names
        lines["any order"] = f"{command} {steps} schedule.order={order}"
    for number, grouping in enumerate(spec.groupings, start=1):
        own = f"--steps {max(64, config.build_schedule(grouping, schedule.shape).k)}"
        lines[f"grouping {number}"] = f"{command} {own} --grouping {number}  # {grouping.kind}"
    if classes and spec.training.label_dropout:
        lines["guided"] = f"{command} {steps} --label {shlex.quote(classes[0])} --guidance 2"
    return lines
