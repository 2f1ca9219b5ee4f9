"""Which latent group moves which image group, as a matrix (Prop. 3.3).

Row i: how far (root mean square) each image group moves when latent group i is drawn anew. Groups that were generated
earlier, left of the diagonal, stay: to the bit if the run was trained with training.mask_pending=true and its groups
are of pixels, else as far as the network has learnt it.

Examples:

  gdm evaluate influence runs/digits
  gdm evaluate influence runs/digits schedule.order=reverse -n 64 --steps 128
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gdm import figures
from gdm.analysis.influence import Influence, influence
from gdm.commands import generating, positive
from gdm.commands.evaluate import inputs
from gdm.names import group_names, numbered
from gdm.wording import counted


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    changes = "settings of the run's schedule, changed: schedule.order=spiral"
    parser.add_argument("overrides", nargs="*", default=[], metavar="schedule.KEY=VALUE", help=changes)
    parser.add_argument("-n", type=positive, default=32, metavar="N", help="images, each with one other noise (32)")
    inputs.add_output(parser, "influence")
    generating.arguments(parser, solver="ab2")


def run(args: argparse.Namespace) -> int:
    inputs.stem_of(args, "influence")  # refused before a run is read
    chosen = generating.chosen(args, args.overrides)
    about = {"run": str(args.run), **chosen.recipe(), "n": args.n}
    stem = inputs.begun(args, "influence", about)
    found = influence(
        chosen.model,
        n=args.n,
        seed=args.seed,
        steps=args.steps,
        solver=args.solver,
        batch=args.batch,
        schedule=chosen.schedule,
    )
    inputs.write(stem, _rows(found, group_names(chosen.schedule)), {**about, "leak": found.leak})
    print(f"{counted(args.n, 'image')}; {chosen.solving()}\n")
    _print(found, numbered(chosen.schedule))
    masked = chosen.model.spec.training.mask_pending
    why = "pending groups are hidden from the network" if masked else "pending groups are shown to the network"
    print(f"\nlargest influence on an earlier group: {found.leak:.2g} of the largest of all ({why})")
    print(inputs.written(stem, figures.influence(found, chosen.schedule, stem)))
    return 0


def _rows(found: Influence, names: Sequence[str]) -> list[dict[str, float | str]]:
    return [
        {
            "latent_group": i,
            "image_group": j,
            "rms": float(found.rms[i, j]),
            "error": float(found.error[i, j]),
            "latent_group_name": latent,
            "image_group_name": image,
        }
        for i, latent in enumerate(names)
        for j, image in enumerate(names)
    ]


def _print(found: Influence, names: Sequence[str], most: int = 12) -> None:
    k = len(found.rms)
    wide = max(9, 2 + max(map(len, names[:most])))
    print(f"{'latent group':{wide + 5}}image group: root mean square")
    print(" " * (wide + 5) + "".join(f"{name:>{wide}}" for name in names[:most]) + " ..." * (k > most))
    for name, row in zip(names[:most], found.rms, strict=False):
        print(f"{name:{wide + 5}}" + "".join(f"{value:>{wide}.3g}" for value in row[:most]))
    if k > most:
        print(f"... {k} groups in all: see the file")
