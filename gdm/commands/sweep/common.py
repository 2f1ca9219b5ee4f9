"""What all sweeps share: the run, the score, the table that grows, and the summary."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gdm import checkpoint, config, extractors, feature_cache, fidelity, intake, loading, sweep
from gdm.commands import add_model, extractor_name, one_of, positive, whole
from gdm.commands.evaluate.inputs import pair, stem_of
from gdm.errors import ConfigError, UnsupportedError
from gdm.figures import SUFFIXES
from gdm.metrics import warn_of_bias
from gdm.model import Model
from gdm.scores import Error, Frechet
from gdm.solver import SOLVERS, Steps
from gdm.sweep import Point, Score
from gdm.wording import counted

SCORES = ("frechet", "error")
IMAGES = {"frechet": 2000, "error": 32}  # per point and seed


def arguments(parser: argparse.ArgumentParser, name: str, score: str) -> None:
    """Add what all sweeps take; score: the default one."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    changes = "frechet: of the reading of the real images: data.split=test"
    parser.add_argument("overrides", nargs="*", default=[], metavar="data.KEY=VALUE", help=changes)
    seeds = "of the noise, the same for every point (0 1 2)"
    parser.add_argument("--seeds", type=whole, nargs="+", default=[0, 1, 2], metavar="S", help=seeds)
    kinds = (
        "frechet: the distance of images to real ones; error: how far the solver is from the solution for the same "
        f"noise, which needs no data ({score})"
    )
    parser.add_argument("--score", type=one_of(SCORES), default=score, metavar="NAME", help=kinds)
    many = f"images per point and seed ({IMAGES['frechet']}; error: {IMAGES['error']})"
    parser.add_argument("-n", type=positive, metavar="N", help=many)
    reference = "frechet: real images, from any source (what the run was trained on)"
    parser.add_argument("--reference", metavar="DATA", help=reference)
    names = f"frechet: {', '.join(extractors.NAMES)}, MODULE:FUNCTION (efficientnet-lite0)"
    parser.add_argument("--extractor", type=extractor_name, metavar="NAME", help=names)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of inception, .pth or .safetensors")
    converged = "error: steps of Heun's method for the solution (four times the most, at least 256)"
    parser.add_argument("--converged", type=positive, metavar="N", help=converged)
    output = f"without a suffix: PATH.csv, the table that grows, PATH.json, .png and .pdf (RUN/sweep-{name})"
    parser.add_argument("-o", dest="output", type=Path, metavar="PATH", help=output)
    parser.add_argument(
        "--batch", type=positive, metavar="N", help="images at once (what fits into a GPU, 64 elsewhere)"
    )
    add_model(parser)


def label(args: argparse.Namespace) -> str:
    """Return what a score is, in two lines for an axis, with what its numbers cannot be compared without."""
    n = counted(args.n or IMAGES[args.score], "image")
    if args.score == "error":
        return f"RMS distance to the converged solution\n({n})"
    return f"Fréchet distance\n({args.extractor or extractors.NAMES[0]}, {n})"


def add_solver(parser: argparse.ArgumentParser, solver: str = "ab2") -> None:
    """Add --solver, one for all points."""
    names = f"{', '.join(SOLVERS)} ({solver})"
    parser.add_argument("--solver", type=one_of(SOLVERS), default=solver, metavar="NAME", help=names)


class Opened(NamedTuple):
    """A run, and where its sweep goes."""

    args: argparse.Namespace
    model: Model
    stem: Path


def opened(args: argparse.Namespace, name: str) -> Opened:
    """Load the run. Raises: UnsupportedError for several processes, which would write one table; as `loading.load`"""
    stem = stem_of(args, f"sweep-{name}")
    _check_given(args)
    loaded = loading.load(args.run, args.backend, args.device, args.precision, args.checkpoint)
    if (size := loaded.backend.world().size) > 1:
        raise UnsupportedError(f"sweep: expected one process, got {size}; start it without torchrun")
    return Opened(args, loaded, stem)


def _check_given(args: argparse.Namespace) -> None:
    """Refuse options of the other score, which would change nothing. Raises: ConfigError"""
    others = ("converged",) if args.score == "frechet" else ("reference", "extractor", "weights")
    for name in others:
        if getattr(args, name) is not None:
            other = "error" if args.score == "frechet" else "frechet"
            raise ConfigError(f"--{name} has no effect with --score {args.score}: leave it out, or --score {other}")
    if args.score == "frechet" and args.n == 1:
        raise ConfigError("-n: expected at least 2 images, for a covariance, got 1; give more images")
    for text in args.overrides:
        if not text.startswith("data."):
            raise ConfigError(f"expected settings of the data, such as data.split=test, got {text!r}; leave it out")
        if args.score == "error":
            raise ConfigError(f"{text} has no effect with --score error: leave it out, or --score frechet")


def swept(run: Opened, points: Sequence[Point], recipe: Mapping[str, Any]) -> list[dict[str, str]]:
    """Warn of what was not trained, score all points, say each, and return the rows."""
    args, loaded = run.args, run.model
    for point in points:
        loaded.parents(point.schedule)  # refuses what the network cannot serve, before anything is made
        loaded.shares(point.steps, point.schedule)
    groupings = config.build_groupings(loaded.spec, loaded.schedule.shape)
    untaught = [point.name for point in points if not groupings.taught(point.schedule.partition)]
    if untaught:
        what = f"{len(untaught)} of {len(points)} points ({untaught[0]}, ...)" if untaught[1:] else untaught[0]
        warnings.warn(f"the network was not trained in the grouping and order of {what}", stacklevel=1)
    score = _score(run, points)
    made = {"run": run.args.run.name, "checkpoint": checkpoint.checksum(args.run, loaded.step), "step": loaded.step}
    whole = {**made, "precision": loaded.backend.precision, **recipe}
    table = run.stem.with_name(f"{run.stem.name}.csv")
    for drawn in (run.stem.with_name(run.stem.name + suffix) for suffix in SUFFIXES):
        if drawn.exists() and not table.exists():
            raise ConfigError(
                f"{drawn} is there, and {table.name}, of which it would be, is not; choose another name (-o)"
            )
    if table.exists() and score.about.get("extractor", {}).get("sha256", "") is None:
        how = "by the function as it was then; with an attribute `sha256` a change would show"
        warnings.warn(f"rows that {table} has are kept: they are {how}", stacklevel=1)
    on_gpu = loaded.backend.device.startswith("cuda")  # all points are the same network
    many = (counted(len(points), "point"), counted(len({*args.seeds}), "seed"), counted(score.about["n"], "image"))
    heading = [f"{', '.join(many)} each; {table}"]

    def told(row: Mapping[str, Any]) -> None:
        if heading:
            print(heading.pop())  # once there is a row: not before a table that is refused
        print(f"{row['point']:24} seed {row['seed']:<3} {score.name} {row[score.name]:.5g}", flush=True)

    chosen = loaded.compiled() if on_gpu else loaded
    rows = sweep.sweep(chosen, points, args.seeds, score, table, whole, told=told)
    print(f"\n{_summary(rows, score.name)}\n{counted(len(rows), 'row')} in {table}", flush=True)
    return rows


def _score(run: Opened, points: Sequence[Point]) -> Score:
    args = run.args
    if args.score == "error":
        most = max(sum(run.model.shares(point.steps, point.schedule)) for point in points)
        return Error(args.n or IMAGES["error"], args.converged or max(256, 4 * most), args.batch)
    on_torch = run.model.backend.name == "torch"
    name = args.extractor or extractors.NAMES[0]
    extractor = extractors.get(name, device=args.device if on_torch else None, weights=args.weights)
    spec = intake.reading(run.model.spec.data, args.reference, args.overrides)
    dataset = intake.real_images(spec, run.model.schedule.shape, "--reference", own=args.reference is None)
    real = fidelity.of_data(dataset, extractor, cache=feature_cache.default_folder(), progress=True)
    n = args.n or IMAGES["frechet"]
    warn_of_bias(min(n, real.moments.count), real.moments.mean.size)
    about = {"source": Path(spec.source).name, "split": spec.split, "hash": dataset.hash, "count": len(dataset)}
    return Frechet(extractor, real, about, n, args.batch)


def _summary(rows: Sequence[Mapping[str, str]], score: str, most: int = 40) -> str:
    found, above = sweep.summary(rows, score), sweep.differences(rows, score)
    ordered = sorted(found, key=lambda name: found[name][0]) if len(found) > most else [*found]
    shown = ordered if len(found) <= most else [*ordered[: most // 2], *ordered[-most // 2 :]]
    lines = [f"{name:24} {pair(*found[name]):>22} {pair(*above[name]):>22}" for name in shown]
    if len(found) > most:
        lines.insert(most // 2, f"... {len(found)} points in all, the best and the worst are listed")
    foot = "sd: over seeds; se: standard error, of differences from the same noise"
    return "\n".join((f"{'point':24} {score + ', mean +- sd':>22} {'above the best +- se':>22}", *lines, foot))


def listed(steps: Steps) -> Any:
    """Return a step budget as the recipe holds it."""
    return steps if isinstance(steps, int) else list(steps)
