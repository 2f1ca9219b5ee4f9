"""What commands that edit have in common: the run, the images or latents that it works on, and what of them."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from gdm import checkpoint, encoding, intake, latent_files, loading
from gdm.commands import add_model, number, one_of, positive, step_budget, whole
from gdm.encoding import Latents
from gdm.errors import ConfigError, ValueRangeError
from gdm.intake import Images
from gdm.model import Model
from gdm.names import group_names
from gdm.panels import checked_panels
from gdm.sampling import check_guidance
from gdm.solver import SOLVERS
from gdm.wording import counted

STEPS, SOLVER = 64, "heun"  # of encoding, and of decoding what was drawn
FIRST = 16  # steps that a search for a tolerance begins with
SHOWN = 4  # images of a source, unless asked for more
TYPED = {  # what errors call by the names of arguments in code, in the words of the command line
    "channels": "--channel",
    "elements": "--elements",
    "grouping": "--grouping",
    "groups": "--groups",
    "guidance": "--guidance",
    "labels": "--label",
    "mask": "--mask",
    "known": "--known",
    "steps": "--steps",
    "tolerance": "--tol",
    "upscaling": "--upscale",
}


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add RUN."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, as `gdm train` makes it")


def add_solving(parser: argparse.ArgumentParser, solver: str | None = SOLVER) -> None:
    """Add --steps, --solver, --label and --guidance; without `solver`, steps and solver are those of an encoding."""
    shown, own = ("those of the encoding", "that of the encoding") if solver is None else (str(STEPS), solver)
    steps = None if solver is None else STEPS
    budget = f"in all, or one per group: 16,16,8,8 ({shown})"
    parser.add_argument("--steps", type=step_budget, default=steps, metavar="N", help=budget)
    names = f"{', '.join(SOLVERS)} ({own})"
    parser.add_argument("--solver", type=one_of(SOLVERS), default=solver, metavar="NAME", help=names)
    if solver is not None:
        label = "class of all images (what the source says; of samples each class in turn)"
        parser.add_argument("--label", metavar="CLASS", help=label)
        guidance = "above 1: more like the class; 0: no class (1)"
        parser.add_argument("--guidance", type=number, default=1.0, metavar="W", help=guidance)


def add_tolerance(parser: argparse.ArgumentParser) -> None:
    """Add --tol."""
    begin = f"doubled from {FIRST}, or --steps, until the way there and back loses at most T"
    tolerance = f"the fewest steps, {begin} in each group (RMS, in units of [-1, 1])"
    parser.add_argument("--tol", type=number, metavar="T", help=tolerance)


def add_subjects(parser: argparse.ArgumentParser, samples: str) -> None:
    """Add what is edited, --images, --latents or --samples (the default), and what of it."""
    images = "image files, folders, zips, npz, 'digits', ...: what data.source takes; they are encoded"
    parser.add_argument("--images", nargs="+", action="extend", default=[], metavar="PATH", help=images)
    parser.add_argument("--latents", type=Path, metavar="FILE", help="a .safetensors of `gdm encode`")
    numbers = f"generated images by their numbers, those of `gdm sample` with this --seed ({samples})"
    parser.add_argument("--samples", type=_numbers, metavar="LIST", help=numbers)
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="of samples, and of fresh noise (0)")
    limit = f"the first N images of each PATH, or latents of FILE ({SHOWN})"
    parser.add_argument("--limit", type=positive, default=SHOWN, metavar="N", help=limit)
    parser.add_argument("--split", default="train", metavar="NAME", help="part of a source that has several (train)")
    add_solving(parser)
    parser.set_defaults(default_samples=_numbers(samples), steps=None, solver=None, guidance=None)
    add_tolerance(parser)
    add_model(parser)


def add_choices(parser: argparse.ArgumentParser, groups: str, elements: bool = True) -> None:
    """Add --groups, --elements and --channel."""
    names = "numbers or names: 0,2 coarse r0c1 30:100 ...; again for more rows or columns"
    parser.add_argument("--groups", action="append", default=[], metavar="LIST", help=f"{names} ({groups})")
    if elements:
        ranks = "frequencies within a channel, half-open ranges, whether groups or not: 0,7 30:100; again for more"
        parser.add_argument("--elements", "--band", action="append", default=[], metavar="LIST", help=ranks)
    parser.add_argument("--channel", metavar="LIST", help="of these alone: 0, R, green, ... (all)")


def add_output(parser: argparse.ArgumentParser, name: str) -> None:
    """Add -o."""
    output = f"a .png, .pdf or .svg; the arrays go beside it, as .npz ({name}.png in the folder of the run)"
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help=output)


def load(args: argparse.Namespace) -> Model:
    """Load the run of a command, and refuse guidance that it has not learnt."""
    loaded = loading.load(args.run, args.backend, args.device, args.precision, args.checkpoint)
    guidance = getattr(args, "guidance", None)
    check_guidance(1.0 if guidance is None else guidance, loaded.classes, loaded.spec.training.label_dropout)
    return loaded


def subjects(args: argparse.Namespace, loaded: Model, pairs: bool = False) -> Latents:
    """Return the latents that a command is to edit: encoded, read or drawn.

    pairs: whether they are to be pairs, which is known before they are encoded

    Raises: ConfigError for more than one kind; ValueRangeError for images without partner
    """
    given = [name for name in ("images", "latents", "samples") if getattr(args, name)]
    if len(given) > 1:
        raise ConfigError(f"expected one of --images, --latents and --samples, got --{' and --'.join(given)}")
    if args.tol is not None and not args.images:
        raise ConfigError("--tol is for --images, which are encoded; leave it out")
    if args.images:
        images = read(args, loaded, args.images, "--images")
        if pairs and len(images) % 2:
            remedy = (
                "give each its partner (the first two are a pair, then the next two), or name partners by --reference"
            )
            raise ValueRangeError(f"--images: expected an even number of images, got {len(images)}; {remedy}")
        return encoded(args, loaded, images)
    if args.latents:
        return _of_file(args, loaded)
    numbers = args.samples or args.default_samples
    return encoding.drawn(
        loaded,
        numbers,
        seed=args.seed,
        label=args.label,
        steps=args.steps or STEPS,
        solver=args.solver or SOLVER,
        guidance=1.0 if args.guidance is None else args.guidance,
    )


def _of_file(args: argparse.Namespace, loaded: Model) -> Latents:
    """Return the first latents of a file, to be decoded as they were encoded, unless --steps or --solver differ."""
    for option in ("label", "guidance"):
        if getattr(args, option) is not None:
            raise ConfigError(f"--{option}: latents of a file have that of their encoding; leave it out")
    found = read_latents(args, loaded)
    chosen = replace(found, steps=args.steps or found.steps, solver=args.solver or found.solver)
    if len(found) > args.limit:
        print(f"the first {args.limit} of {len(found)} latents (--limit)")
    return chosen.take(range(min(args.limit, len(found))))


def checked_output(args: argparse.Namespace, name: str) -> Path:
    """Return where a picture goes, whose arrays go beside it. Raises: as `checked_panels`; ConfigError for an input"""
    output = checked_panels(args.output or Path(args.run) / f"{name}.png")
    given = [args.images, getattr(args, "reference", []), [getattr(args, "mask", None)]]
    for path in (Path(source).expanduser() for source in chain(*given) if source):
        if path.is_file() and output.exists() and path.samefile(output):
            raise ConfigError(f"-o: expected another file than what is read, got {output}; choose another name")
    return output


def read_latents(args: argparse.Namespace, loaded: Model) -> Latents:
    """Read the file of latents that a command was given; warn if other weights encoded them. Raises: as the reading"""
    found = latent_files.read(args.latents, loaded)
    digest = checkpoint.checksum(args.run, loaded.step)
    if found.facts.get("checkpoint", digest) != digest:
        warnings.warn("the latents were encoded with other weights: the images will differ", stacklevel=1)
    return found


def read(
    args: argparse.Namespace, loaded: Model, paths: Sequence[str], option: str, size: tuple[int, int] | None = None
) -> Images:
    """Read the first images of some sources, which `option` names, as one; of another size than the run's if asked."""
    chosen: Any = {"limit": args.limit, "split": args.split, "label": args.label, "size": size, "option": option}
    return intake.together([intake.read_images(loaded, path, **chosen) for path in paths])


def encoded(args: argparse.Namespace, loaded: Model, images: Images) -> Latents:
    """Encode images, and say how exactly."""
    found = encoding.encode(
        loaded,
        images,
        steps=first_steps(args, loaded),
        solver=args.solver or SOLVER,
        tolerance=args.tol,
        guidance=1.0 if args.guidance is None else args.guidance,
    )
    print(f"{counted(len(found), 'image')} encoded; {error_line(loaded, found, args.tol)}")
    return found


def first_steps(args: argparse.Namespace, loaded: Model) -> int | tuple[int, ...]:
    """Return the steps of an encoding, or those that a search for --tol begins with."""
    return args.steps or (STEPS if args.tol is None else max(FIRST, loaded.schedule.k))


def error_line(loaded: Model, latents: Latents, tolerance: float | None = None) -> str:
    """Return in a line how exact an encoding is, and whether it is as exact as asked for."""
    errors = latents.errors or ()
    worst = max(errors, default=0.0)
    names = group_names(loaded.schedule)
    where = f" in group {names[errors.index(worst)]}" if len(errors) > 1 else ""
    shares = loaded.shares(latents.steps)
    said = ""
    if tolerance is not None and worst > tolerance:
        most = 2 * sum(shares) > encoding.MOST
        why = f"more than {encoding.MOST} steps are not tried" if most else "more steps do not help"
        remedy = "choose a larger one, or --solver rk4" if most else "choose a larger one, or --precision float64"
        said = f"; --tol {tolerance:g} is NOT reached: {why}; {remedy}"
    return (
        f"there and back loses {worst:.2g} (RMS){where}, with {counted(sum(shares), 'step')} of {latents.solver}{said}"
    )


def _numbers(text: str) -> list[int]:
    return [whole(part.strip()) for part in text.split(",")]
