"""Train the model that a TOML file describes, or go on with a run that was stopped.

Settings of the file are overridden by key=value, with dotted keys. The run's folder holds everything:
checkpoints, the log, and what the run is.

  gdm train examples/configs/digits.toml
  gdm train examples/configs/digits.toml training.steps=500 schedule.kind=rows --run runs/rows
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gdm import config, training
from gdm.commands import add_backend

_ENDINGS = {
    "steps": "trained all steps",
    "minutes": "stopped after the time given by training.minutes",
    "signal": "stopped on request; the same command goes on from here",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    folder = "folder of the run (runs/ and the name of the config)"
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="what to train, on what, how long")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings: training.steps=500")
    parser.add_argument("--run", type=Path, metavar="DIR", help=folder)
    parser.add_argument("--no-resume", action="store_true", help="refuse a folder that holds a run")
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    choices = [f"{key}={value}" for key in ("backend", "device") if (value := getattr(args, key))]
    spec = config.load(args.config, [*args.overrides, *choices])
    folder = args.run or Path("runs") / args.config.stem
    print(f"training in {folder}; Ctrl-C saves and stops")
    summary = training.train(spec, folder, resume=not args.no_resume)
    numbers = f"step {summary.step}, loss {summary.loss:.4f}, {summary.seconds:.0f} s in all"
    print(f"{_ENDINGS[summary.reason]}: {numbers}")
    print(f"sample it: gdm sample {folder}")
    return 0
