"""What every edit does around its own function of `gdm.editing`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from gdm import editing
from gdm.canvas import FORMATS, checked_name
from gdm.commands.subjects import encoded, load, subjects
from gdm.editing import Choice
from gdm.encoding import Latents, interleave
from gdm.model import Model
from gdm.panels import Panels

Edit = Callable[[Model, Latents, tuple[Choice, ...]], Panels]


def add_reference(parser: argparse.ArgumentParser) -> None:
    """Add --reference, the partners of pairs."""
    reference = "partners of --images, one each or one for all, of another data set too (each image's next one)"
    parser.add_argument("--reference", nargs="+", action="extend", default=[], metavar="PATH", help=reference)


def perform(args: argparse.Namespace, name: str, edit: Edit) -> int:
    """Load the run, gather what is edited, and write the panels; print where."""
    output = checked_name(args.output or Path(args.run) / f"{name}.png", FORMATS)
    loaded = load(args)
    chosen = selected(args, loaded)
    found = subjects(args, loaded)
    if getattr(args, "reference", None):
        found = interleave(found, encoded(args, loaded, args.reference))
    panels = edit(loaded, found, chosen)
    print(panels.save(output))
    print(output)
    return 0


def selected(args: argparse.Namespace, loaded: Model) -> tuple[Choice, ...]:
    """Return what is chosen; nothing if nothing is named."""
    groups, elements = args.groups, getattr(args, "elements", [])
    if not groups and not elements and args.channel is None:
        return ()
    return editing.choices(loaded.schedule, groups, elements, args.channel)
