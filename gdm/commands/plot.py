"""Draw a schedule, a basis, how a run went, or what a trained model does.

Examples:

  gdm plot schedule examples/configs/digits.toml     groups and their data weights alpha_j(t)
  gdm plot schedule CONFIG.toml schedule.kind=rows   the same for other settings
  gdm plot basis runs/faces -o basis.pdf             the smoothest vectors of the basis
  gdm plot process runs/digits -n 8                  images coming into being, group after group
  gdm plot groups runs/digits                        one latent group varied at a time
  gdm plot run runs/digits                           loss, learning rate, images per second
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from gdm import checkpoint, config, data, diagrams, loading, plots
from gdm.canvas import FORMATS, checked_name
from gdm.commands import add_backend, add_sampling, one_of, positive
from gdm.errors import ConfigError
from gdm.schedule import Schedule


def arguments(parser: argparse.ArgumentParser) -> None:
    path = "folder of a run; for schedule and basis, a config will do"
    output = "a .png, .pdf or .svg (WHAT.png in the folder of the run)"
    parser.add_argument("what", type=one_of(_DRAW), metavar="WHAT", help=", ".join(_DRAW))
    parser.add_argument("path", type=Path, metavar="RUN|CONFIG.toml", help=path)
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="settings of the config, changed")
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help=output)
    parser.add_argument("-n", type=positive, default=6, metavar="N", help="process: how many images (6)")
    add_sampling(parser, solver="euler")
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    if args.overrides and not args.path.is_file():
        raise ConfigError(f"key=value is for a config; {args.path} is a run: leave out {args.overrides[0]}")
    name = f"{args.what}.png"
    default = Path(f"{args.path.stem}-{name}") if args.path.is_file() else args.path / name
    output = checked_name(args.output or default, FORMATS)
    _DRAW[args.what](args, output)
    print(output)
    return 0


def _schedule(args: argparse.Namespace, output: Path) -> None:
    diagrams.schedule_plot(_schedule_of(args), output)


def _basis(args: argparse.Namespace, output: Path) -> None:
    diagrams.basis_plot(_schedule_of(args).basis, output)


def _process(args: argparse.Namespace, output: Path) -> None:
    loaded = loading.load(args.path, args.backend, args.device)
    plots.process(loaded, output, n=args.n, seed=args.seed, steps=args.steps, solver=args.solver)


def _groups(args: argparse.Namespace, output: Path) -> None:
    loaded = loading.load(args.path, args.backend, args.device)
    plots.group_variation(loaded, output, seed=args.seed, steps=args.steps, solver=args.solver)


def _run(args: argparse.Namespace, output: Path) -> None:
    checkpoint.read_run(args.path)  # says so if it is no run
    plots.run_curves(args.path, output)


_DRAW: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "schedule": _schedule,
    "basis": _basis,
    "process": _process,
    "groups": _groups,
    "run": _run,
}


def _schedule_of(args: argparse.Namespace) -> Schedule:
    """Return the schedule of a run, or that which a config makes for its data."""
    if args.path.is_file():
        spec = config.load(args.path, args.overrides)
        return config.build_schedule(spec.schedule, data.load(spec.data).shape)
    described = checkpoint.read_run(args.path)
    return config.build_schedule(config.from_dict(described["config"]).schedule, tuple(described["event"]))
