"""Bits per dimension of images, in all and group by group, given the groups before.

An upper bound, by uniform dequantisation, of what images of 8 bits cost under the model; noise would cost 8. It needs
derivatives: a backend torch or jax. Whether images were trained on shows: name others with --data or data.split=test.
Too few steps show in the last digits: some images are measured with half of them, too, and the difference is told.

Examples:

  gdm evaluate likelihood runs/digits
  gdm evaluate likelihood runs/digits --probes exact --steps 128 -n 256
  gdm evaluate likelihood runs/cifar10 data.split=test -n 1000 --probes 4 --repeats 2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdm import figures, statistics
from gdm.analysis import bits as analysis
from gdm.analysis.bits import Bits, bits, halved
from gdm.commands import generating, positive
from gdm.commands.evaluate import inputs
from gdm.names import group_names, numbered
from gdm.solver import Steps
from gdm.wording import counted

COARSE = 32  # images that are measured with half the steps, too


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    changes = "of the run's schedule, or of the reading of the data: data.split=test"
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=changes)
    inputs.add_data(parser, n=128)
    probes = (
        "random signs per image that estimate the trace of the Jacobian, or exact "
        f"(exact up to {analysis.EXACT} elements per group, else {analysis.PROBES})"
    )
    parser.add_argument("--probes", type=_probes, metavar="N", help=probes)
    repeats = "how often each image is dequantised, and probed, anew (1)"
    parser.add_argument("--repeats", type=positive, default=1, metavar="R", help=repeats)
    inputs.add_output(parser, "likelihood")
    generating.arguments(parser, solver="heun")


def _probes(text: str) -> int:
    """An argparse type: a whole number from 1, or "exact", which is 0."""
    if text != "exact" and (not text.isdecimal() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, or exact, got {text!r}")
    return 0 if text == "exact" else int(text)


def run(args: argparse.Namespace) -> int:
    inputs.stem_of(args, "likelihood")  # refused before a run is read
    own, settings = inputs.split(args.overrides)
    chosen = generating.chosen(args, settings)
    chosen.model.check_differentiable()
    images, labels, about = inputs.images_of(args, chosen.model, own)
    probes = analysis.probes_of(chosen.schedule, args.probes or None, None if args.probes is None else args.probes == 0)
    described = {"run": str(args.run), **chosen.recipe(), "data": about, "probes": probes or "exact"}
    described["times_dequantised"] = args.repeats
    stem = inputs.begun(args, "likelihood", described)
    found = _measured(chosen, images, labels, args.steps)
    few = slice(0, COARSE)
    own = None if labels is None else labels[few]
    away = _coarse(chosen, images[few], own, found) if max(found.sizes.size * 2, 4) <= _total(args.steps) else None
    trace = "exact trace" if found.probes is None else f"{counted(found.probes, 'probe')} per image"
    described["half_the_steps"] = (
        None if away is None else {name: inputs.finite(value) for name, value in away._asdict().items()}
    )
    inputs.write(stem, _rows(found, group_names(chosen.schedule)), {**described, "repeats": found.repeats.tolist()})
    print(
        f"{len(images)} of {counted(about['available'], 'image')} of {about['source']}; {chosen.solving()}; {trace}\n"
    )
    _print(found, numbered(chosen.schedule))
    if away is not None:
        sign = "+" if away.value >= 0 else ""
        changed = f"with half the steps {sign}{inputs.pair(float(away.value), float(away.error))}, of {counted(len(images[few]), 'image')}"
        print(f"{changed}: if that matters, raise --steps")
    print(inputs.written(stem, figures.bits(found, chosen.schedule, stem)))
    return 0


def _measured(chosen: generating.Chosen, images: np.ndarray, labels: np.ndarray | None, steps: Steps) -> Bits:
    args = chosen.args
    return bits(
        chosen.model,
        images,
        steps=steps,
        solver=args.solver,
        probes=args.probes or None,
        exact=None if args.probes is None else args.probes == 0,
        repeats=args.repeats,
        seed=args.seed,
        batch=args.batch,
        labels=labels if args.label is None else args.label,
        guidance=args.guidance,
        schedule=chosen.schedule,
    )


def _coarse(
    chosen: generating.Chosen, images: np.ndarray, labels: np.ndarray | None, found: Bits
) -> statistics.Estimate:
    """Return how much more bits per dimension these images cost with half the steps, from the same noise."""
    coarse = _measured(chosen, images, labels, halved(chosen.args.steps))
    away = (coarse.values - found.values[: len(images)]).sum(axis=1) / found.sizes.sum()
    return statistics.mean(away)


def _total(steps: Steps) -> int:
    return steps if isinstance(steps, int) else sum(steps)


def _rows(found: Bits, names: Sequence[str]) -> list[dict[str, object]]:
    value, error = found.groups
    groups = [
        {"group": j, "elements": int(size), "bits_per_dimension": float(value[j]), "error": float(error[j])}
        for j, size in enumerate(found.sizes)
    ]
    total = {"bits_per_dimension": float(found.total.value), "error": float(found.total.error)}
    rows: list[dict[str, object]] = [*groups, {"group": "all", "elements": int(found.sizes.sum()), **total}]
    return [{**row, "group_name": name} for row, name in zip(rows, (*names, "all"), strict=True)]


def _print(found: Bits, names: Sequence[str], most: int = 16) -> None:
    rows = _rows(found, names)
    called = [*names[:most], "all"]
    wide = max(8, 2 + max(map(len, called)))
    print(f"{'group':{wide}}{'elements':>10}{'bits per dimension':>24}")
    for name, row in zip(called, (*rows[:-1][:most], rows[-1]), strict=True):
        pair = inputs.pair(float(str(row["bits_per_dimension"])), float(str(row["error"])))
        print(f"{name:{wide}}{row['elements']:>10}{pair:>24}")
    if len(found.repeats) > 1:
        print(f"repeats: {', '.join(f'{value:.4f}' for value in found.repeats)}")
    print("+- one standard error, over images")
