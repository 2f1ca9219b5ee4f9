"""How much images vary once their first latents are fixed (Fig. 4a).

E ||phi(x) - E phi(x)||^2 over variations that share the fixed latents, averaged over anchors: where it falls, the
latents are that decide. Latents are fixed by group, in order of generation, or by element, from the lowest frequency.

Examples:

  gdm evaluate variance runs/digits                          after each group; phi: pixels
  gdm evaluate variance runs/faces --by elements --extractor efficientnet-lite0
  gdm evaluate variance runs/faces --by elements --fixed 0 30 100 400 700 4096 -n 16 --variations 32
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gdm import extractors, figures
from gdm.analysis.variance import Variance, perceptual_variance
from gdm.commands import extractor_name, generating, one_of, positive, several, whole
from gdm.commands.evaluate import inputs
from gdm.names import group_names
from gdm.pixels import to_uint8
from gdm.schedule import Schedule
from gdm.wording import counted, renaming


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    changes = "settings of the run's schedule, changed: schedule.order=spiral"
    parser.add_argument("overrides", nargs="*", default=[], metavar="schedule.KEY=VALUE", help=changes)
    by = "what is counted: groups or elements (groups)"
    parser.add_argument("--by", type=one_of(("groups", "elements")), default="groups", metavar="WHAT", help=by)
    fixed = "how many are fixed, at each level (all groups; a dozen numbers of elements)"
    parser.add_argument("--fixed", type=whole, nargs="+", metavar="N", help=fixed)
    parser.add_argument("-n", type=positive, default=8, metavar="N", help="anchors: images whose latents are fixed (8)")
    parser.add_argument("--variations", type=several, default=16, metavar="N", help="images per anchor and level (16)")
    names = f"phi: {', '.join(extractors.NAMES)}, MODULE:FUNCTION (pixels)"
    parser.add_argument("--extractor", type=extractor_name, default="pixels", metavar="NAME", help=names)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of inception, .pth or .safetensors")
    inputs.add_output(parser, "variance")
    generating.arguments(parser, solver="ab2")


def run(args: argparse.Namespace) -> int:
    inputs.stem_of(args, "variance")  # refused before a run is read
    chosen = generating.chosen(args, args.overrides)
    on_torch = chosen.model.backend.name == "torch"
    extractor = extractors.get(args.extractor, device=args.device if on_torch else None, weights=args.weights)

    about = {"run": str(args.run), **chosen.recipe(), "by": args.by, "anchors": args.n, "variations": args.variations}
    about["levels"] = None if args.fixed is None else sorted(set(args.fixed))
    about["extractor"] = {"name": extractor.name, "about": extractor.about, "sha256": extractor.sha256}
    stem = inputs.begun(args, "variance", about)

    def features(images: np.ndarray) -> np.ndarray:
        parts = np.array_split(to_uint8(images), -(-len(images) // 64))
        return np.concatenate([extractor(part) for part in parts])

    found = renaming({"fixed": "--fixed"})(perceptual_variance)(
        chosen.model,
        by=args.by,
        fixed=args.fixed,
        features=features,
        anchors=args.n,
        variations=args.variations,
        seed=args.seed,
        steps=args.steps,
        solver=args.solver,
        batch=args.batch,
        schedule=chosen.schedule,
    )
    grouped = chosen.schedule if args.by == "groups" else None
    inputs.write(stem, _rows(found, grouped), about)
    _print(
        found,
        args.by,
        f"{counted(args.n, 'anchor')}, {args.variations} variations each; phi: {extractor.name}; {chosen.solving()}",
    )
    ranked = "frequencies" if chosen.schedule.basis.factors else "pixels, in raster order"
    what = (
        "groups that are fixed, those generated first"
        if args.by == "groups"
        else f"elements that are fixed: first {ranked}"
    )
    print(inputs.written(stem, figures.variance(found, what, extractor.name, stem, grouped)))
    return 0


def _rows(found: Variance, grouped: Schedule | None) -> list[dict[str, float | str]]:
    """Return the rows of the table; grouped: of groups, each row names the last one that is fixed."""
    names = () if grouped is None else ("none", *group_names(grouped))
    rows: list[dict[str, float | str]] = []
    for fixed, *numbers in zip(found.fixed, found.latents, *found.mean, strict=True):
        row = dict(zip(("latents", "variance", "error"), map(float, numbers), strict=True))
        rows.append({"fixed": float(fixed), **row, **({"last_group_name": names[fixed]} if names else {})})
    return rows


def _print(found: Variance, by: str, how: str) -> None:
    print(f"{how}\n\n{by + ' fixed':16}{'latents':>8}{'variance':>22}{'share':>8}")
    value, error = found.mean
    for i, fixed in enumerate(found.fixed):
        share = f"{value[i] / value[0]:.0%}" if found.fixed[0] == 0 and value[0] > 0 else "-"
        print(f"{fixed:<16}{found.latents[i]:>8}{inputs.pair(value[i], error[i]):>22}{share:>8}")
