"""What every edit does around its own function of `gdm.editing`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from gdm import editing
from gdm.commands.subjects import TYPED, checked_output, encoded, load, read, subjects
from gdm.editing import Choice
from gdm.encoding import Latents, interleave
from gdm.errors import ConfigError
from gdm.intake import together
from gdm.model import Model
from gdm.panels import Panels
from gdm.wording import renaming

Edit = Callable[[Model, Latents, tuple[Choice, ...]], Panels]


def add_reference(parser: argparse.ArgumentParser) -> None:
    """Add --reference, the partners of pairs."""
    reference = "partners of --images, one each or one for all, of another data set too (each image's next one)"
    parser.add_argument("--reference", nargs="+", action="extend", default=[], metavar="PATH", help=reference)


def perform(args: argparse.Namespace, name: str, edit: Edit) -> int:
    """Load the run, gather what is edited, and write the panels; print where. Errors name what was typed."""
    given = next((f"--{option}" for option in ("reference", "images", "latents") if getattr(args, option, None)), None)
    with renaming(
        TYPED | {"pairs": given or "--samples"} | ({"groups": "--fixed"} if getattr(args, "fixed", []) else {})
    ):
        return _performed(args, name, edit)


def _performed(args: argparse.Namespace, name: str, edit: Edit) -> int:
    output = checked_output(args, name)
    loaded = load(args)
    chosen = selected(args, loaded)
    found = (
        _pairs(args, loaded) if getattr(args, "reference", None) else subjects(args, loaded, hasattr(args, "reference"))
    )
    panels = edit(loaded, found, chosen)
    print(panels.save(output))
    print(output)
    return 0


def _pairs(args: argparse.Namespace, loaded: Model) -> Latents:
    """Return images and their references in turn, encoded together: they are decoded together too."""
    if not args.images or args.latents or args.samples:
        raise ConfigError("--reference: expected --images, whose partners it names; samples and latents are pairs")
    own = read(args, loaded, args.images, "--images")
    other = read(args, loaded, args.reference, "--reference")
    found = encoded(args, loaded, together([own, other]))
    return interleave(found.take(range(len(own))), found.take(range(len(own), len(found))))


def selected(args: argparse.Namespace, loaded: Model) -> tuple[Choice, ...]:
    """Return what is chosen; nothing if nothing is named."""
    groups, elements = args.groups, getattr(args, "elements", [])
    if not groups and not elements and args.channel is None:
        return ()
    return editing.choices(loaded.schedule, groups, elements, args.channel)
