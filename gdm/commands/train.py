"""Train the model that a TOML file describes, or go on with a run that was stopped.

Settings of the file are overridden by key=value, with dotted keys. The run's folder holds everything:
checkpoints, the log, sample grids, and what the run is.

  gdm train examples/configs/digits.toml
  gdm train examples/configs/digits.toml training.steps=500 schedule.kind=rows --run runs/rows
  gdm train examples/configs/digits.toml --dry-run
  torchrun --nproc-per-node 8 -m gdm train CONFIG.toml -o DIR       on eight GPUs, or eight processes
  gdm train CONFIG.toml --backend jax                               on all devices that JAX sees here
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from gdm import config, training, trial
from gdm.commands import add_backend
from gdm.wording import counted

_ENDINGS = {
    "steps": "trained all steps",
    "minutes": "stopped after the time given by training.minutes",
    "signal": "stopped on request; the same command goes on from here",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    folder = "folder of the run (runs/ and the name of the config)"
    dry = "measure a few steps here, say what the run would take, write nothing"
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="what to train, on what, how long")
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="settings: training.steps=500")
    parser.add_argument("-o", "--run", type=Path, metavar="DIR", help=folder)  # torchrun knows a --run-path: -o
    parser.add_argument("--no-resume", action="store_true", help="refuse a folder that holds a run")
    parser.add_argument("--dry-run", action="store_true", help=dry)
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    choices = [f"{key}={value}" for key in ("backend", "device") if (value := getattr(args, key))]
    spec = config.load(args.config, [*args.overrides, *choices])
    if args.dry_run:
        return _dry_run(spec)
    folder = args.run or Path("runs") / args.config.stem
    print(f"training in {folder}; Ctrl-C saves and stops")
    summary = training.train(spec, folder, resume=not args.no_resume)
    loss = f"loss {summary.loss:.4f}, " if summary.loss == summary.loss else ""  # none if there was nothing left to do
    print(f"{_ENDINGS[summary.reason]}: step {summary.step}, {loss}{summary.seconds:.0f} s of training in all")
    print(f"sample it: gdm sample {folder}")
    return 0


def _dry_run(spec: config.Config) -> int:
    print(f"measuring steps of {spec.training.batch} images; nothing is written", flush=True)
    found = trial.measure(spec)
    ready, memory = found.ready, "unknown" if found.memory is None else f"{found.memory / 2**30:.2f} GiB at most"
    processes = f", {ready.world.size} processes" * (ready.world.size > 1)
    end = "steps" if found.seconds < spec.training.minutes * 60 or not spec.training.minutes else "minutes"
    where = f"{memory} on {ready.backend.device}{', in each process' * bool(processes)}"
    lines = {
        "parameters": f"{found.parameters:,}",
        "data": f"{counted(len(ready.dataset), 'image')} of {' x '.join(map(str, ready.dataset.shape))}",
        "memory": where,
        "speed": f"{found.speed:.1f} images/s over {found.steps} steps of {spec.training.batch}{processes}",
        "time": f"{timedelta(seconds=round(found.seconds))}, then training.{end} are over",
    }
    for name, text in lines.items():
        print(f"{name:10}  {text}")
    return 0
