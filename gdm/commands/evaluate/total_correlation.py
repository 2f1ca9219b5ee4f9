"""How far encoded images are from independent standard normal numbers (Remark 4.1).

The Gaussian total correlation of latents, within and between groups, and how normal each coordinate is, beside the
same latents with each coordinate shuffled over the images and beside draws of N(0, I): the bias of a finite number of
images is the same in all three. It takes more images than an image has elements.

Examples:

  gdm evaluate total-correlation runs/digits
  gdm evaluate total-correlation runs/digits --data digits -n 1000 --steps 64
  gdm evaluate total-correlation runs/cifar10 data.split=test -n 10000
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gdm import figures
from gdm.analysis.bits import dequantise
from gdm.analysis.correlation import TOTAL, Independence, check_count, total_correlation
from gdm.commands import generating, several
from gdm.commands.evaluate import inputs
from gdm.names import group_names, numbered
from gdm.pixels import to_unit
from gdm.schedule import Schedule
from gdm.wording import counted, renaming


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    changes = "of the run's schedule, or of the reading of the data: data.split=test"
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=changes)
    inputs.add_data(parser, n=2000)
    parser.add_argument("--repeats", type=several, default=20, metavar="R", help="of each baseline (20)")
    noise = "blur the steps between bytes by uniform noise of one level first, as for likelihood: steps are not normal"
    parser.add_argument("--dequantise", action="store_true", help=noise)
    inputs.add_output(parser, "total-correlation")
    generating.arguments(parser, solver="ab2")


def run(args: argparse.Namespace) -> int:
    inputs.stem_of(args, "total-correlation")  # refused before a run is read
    own, settings = inputs.split(args.overrides)
    chosen = generating.chosen(args, settings)
    if args.label is not None:
        warnings.warn("--label has no effect here: each image has its own class", stacklevel=1)
    images, labels, about = inputs.images_of(args, chosen.model, own)
    with renaming({"z": "-n"}):
        check_count(len(images), images[0].size)  # before they are encoded, not after
    described = {"run": str(args.run), **chosen.recipe(), "data": about, "repeats": args.repeats}
    described["dequantised"] = args.dequantise
    stem = inputs.begun(args, "total-correlation", described)
    dequantised = dequantise(images, args.seed)
    made = chosen.model.encode(
        dequantised if args.dequantise else to_unit(images),
        steps=args.steps,
        solver=args.solver,
        batch=args.batch,
        labels=labels,
        guidance=args.guidance,
        schedule=chosen.schedule,
    )
    z = np.asarray(chosen.model.backend.to_numpy(made), np.float64)
    found = total_correlation(chosen.schedule, z, repeats=args.repeats, seed=args.seed)
    before = total_correlation(chosen.schedule, dequantised, repeats=2, seed=args.seed)[TOTAL]
    named = _group_names(chosen.schedule)
    rows = [{**q._asdict(), "excess": q.excess, "group_name": named.get(q.name, "all")} for q in found.quantities]
    marginals = [{**each._asdict(), "group_name": named.get(each.name, "all")} for each in found.marginals]
    described |= {"excess_of_images": before.excess, "marginals": marginals}
    inputs.write(stem, rows, described)
    print(f"{counted(found.samples, 'image')} of {about['source']}; encoded with {chosen.solving()}\n")
    _print(found, numbered(chosen.schedule))
    print(f"\nthe images themselves, dequantised: excess {inputs.pair(before.excess, before.error)} nats")
    print(inputs.written(stem, figures.independence(found, chosen.schedule, z, stem)))
    return 0


def _group_names(schedule: Schedule) -> dict[str, str]:
    """Return the group's name of every quantity and marginal that is of one group."""
    names = [*enumerate(group_names(schedule))]
    return {f"within group {j}": name for j, name in names} | {f"group {j}": name for j, name in names}


def _print(found: Independence, names: Sequence[str], most: int = 16) -> None:
    called = {f"within group {j}": f"within group {name}" for j, name in enumerate(names)}
    called |= {f"group {j}": f"group {name}" for j, name in enumerate(names)}
    head = ("nats", "", "latents", "shuffled", "N(0, I)", "excess")
    print(f"{head[0]:26}{head[1]:>6}{head[2]:>20}{head[3]:>20}{head[4]:>20}{head[5]:>10}")
    for q in found.quantities[: 4 + most]:
        cells = ((q.value, q.error), (q.shuffled, q.shuffled_sd), (q.normal, q.normal_sd))
        print(
            f"{called.get(q.name, q.name):26}{q.dimensions:>6}"
            + "".join(f"{inputs.pair(*cell):>20}" for cell in cells),
            end="",
        )
        print(f"{round(q.excess, 9) + 0.0:>10.3g}")
    print(f"\n{'each coordinate':26}{'':>6}{'|mean|':>10}{'sd':>8}{'kurtosis':>10}{'not normal':>12}{'of N(0, 1)':>18}")
    for m in (*found.marginals[:-1][:most], found.marginals[-1]):
        print(
            f"{called.get(m.name, m.name):26}{m.dimensions:>6}{m.mean:>10.3f}{m.sd:>8.3f}{m.kurtosis:>10.2f}{m.rejected:>12.0%}",
            end="",
        )
        print(f"{f'{m.normal:.0%} +- {m.normal_sd:.0%}':>18}")
    print("+- one standard error (latents, by leaving a twentieth out) or one standard deviation (baselines)")
    print("not normal: share of coordinates that Kolmogorov and Smirnov's test against N(0, 1) rejects at 5 %")
