"""Frechet distance and KID of images to real ones, with mean and deviation over seeds.

The images are a run's, generated here, or those of a folder, a zip or an .npz. Numbers by different extractors, or of
different numbers of images, are not comparable; those of the literature are by inception, most with -n 50000.

Examples:

  gdm evaluate frechet runs/digits --extractor pixels           to the images that the run was trained on
  gdm evaluate frechet runs/digits --reference photos -n 2000 --repeats 5 --steps 64 --solver ab2
  gdm evaluate frechet runs/cifar10 data.split=test             to the other part of its data
  gdm evaluate frechet runs/faces schedule.order=spiral         generated in another order
  gdm evaluate frechet samples --reference digits               images that are there: of any origin
  gdm evaluate frechet runs/faces --extractor inception --weights weights-inception-2015-12-05-6726825d.pth
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm import data, extractors, feature_cache, fidelity, intake, rounds, sources
from gdm.canvas import checked_name
from gdm.commands import extractor_name, generating, none_or_several, positive, several
from gdm.commands.evaluate import inputs, report
from gdm.commands.evaluate.kept import Kept, begun
from gdm.config import DataConfig
from gdm.errors import ConfigError, DataError, ValueRangeError, nearest
from gdm.extractors import Extractor
from gdm.feature_cache import Features
from gdm.files import read_json, write_json
from gdm.metrics import warn_of_bias
from gdm.wording import counted, renaming
from gdm.writers import RECORD

GENERATED = 10_000


def arguments(parser: argparse.ArgumentParser) -> None:
    source = "folder of a run; or images: a folder, a zip, an .npz"
    changes = "of the run's schedule, or of the reading of the data: data.split=test"
    parser.add_argument("run", type=Path, metavar="RUN|IMAGES", help=source)
    parser.add_argument("overrides", nargs="*", default=[], metavar="schedule.KEY=VALUE", help=changes)
    reference = "real images, from any source (what the run was trained on)"
    parser.add_argument("--reference", metavar="DATA", help=reference)
    many = f"images per repeat ({GENERATED}; of a folder, all)"
    parser.add_argument("-n", type=several, metavar="N", help=many)
    of = "how many of the real images; 0 is all (0)"
    parser.add_argument("--reference-n", type=none_or_several, default=0, metavar="N", help=of)
    repeats = "with the seeds S, S + 1, ... of --seed S (3)"
    parser.add_argument("--repeats", type=positive, metavar="R", help=repeats)
    names = f"features to compare by: {', '.join(extractors.NAMES)}, MODULE:FUNCTION (efficientnet-lite0)"
    parser.add_argument("--extractor", type=extractor_name, default=extractors.NAMES[0], metavar="NAME", help=names)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of inception, .pth or .safetensors")
    where = "where the extractor computes: cpu, cuda, ... (as --device; the best there is)"
    parser.add_argument("--extractor-device", metavar="NAME", help=where)
    at_once = "images at once in the extractor (as suits it and its device)"
    parser.add_argument("--extractor-batch", type=positive, metavar="N", help=at_once)
    subsets = "of the kernel distance (KID); 0: leave it out (100)"
    parser.add_argument("--kid-subsets", type=none_or_several, default=100, metavar="N", help=subsets)
    cache = "where features of real images are kept ($XDG_CACHE_HOME/gdm, or ~/.cache/gdm)"
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help=cache)
    output = "the report, as JSON; one of the same measurement is gone on with (RUN/frechet-EXTRACTOR.json, or -2, ...)"
    parser.add_argument("-o", dest="output", type=Path, metavar="FILE", help=output)
    generating.arguments(parser, solver="euler")


def run(args: argparse.Namespace) -> int:
    if (args.run / "run.json").is_file():
        return _of_run(args)
    return _of_images(args)


class _Reference(NamedTuple):
    """Real images: what they are, for the report, and their features."""

    about: dict[str, Any]
    features: Features


def _of_run(args: argparse.Namespace) -> int:
    """Generate images of each seed, measure each set, and write the report anew after each."""
    output = _output(args)
    settings, others = inputs.split(args.overrides)
    chosen = generating.chosen(args, others)
    model, world = chosen.model, chosen.model.backend.world()
    extractor = _extractor(args)
    n, repeats = args.n or GENERATED, args.repeats or 3
    there: Kept = Kept(Path(), [])
    real: _Reference | None = None
    conditions: dict[str, Any] = {}
    if world.rank == 0:
        chosen.warn_of_untaught()
        spec = intake.reading(model.spec.data, args.reference, settings)
        real = _reference(args, spec, extractor, model.schedule.shape, n)
        conditions = report.conditions(_made(chosen, n), real.about, extractor, args.kid_subsets)
        there = begun(output, args.run / f"frechet-{_short(args.extractor)}.json", conditions)
        print(f"images     {n} per seed of {args.run}, after {model.step} training steps")
        print(f"schedule   {chosen.described()}\nsampling   {chosen.solving()}")
        print(report.heading(real.about, extractor), flush=True)
    rows = list(there.rows)
    for row in rows:
        print(f"{report.line(row)}   (as in {there.path})", flush=True)
    wanted = range(args.seed, args.seed + repeats)
    done = {row.seed for row in rows}
    missing = rounds.as_first(np.array([seed not in done for seed in wanted]), world) > 0.5
    batch = chosen.batch(n, world)
    compiled = chosen.compiled(n * int(missing.sum()), batch, world)
    common = {"batch": batch, "extractor_batch": args.extractor_batch, "world": world, **chosen.how()}
    for seed in itertools.compress(wanted, missing):
        own = fidelity.of_model(compiled, n, extractor, seed=seed, progress=True, **common)
        if own is not None and real is not None:
            rows.append(report.Row(seed, fidelity.compare(own, real.features, subsets=args.kid_subsets)))
            write_json(there.path, report.content(conditions, rows))
            print(report.line(rows[-1]), flush=True)
    if real is not None:
        print(f"{report.ending(rows)}\n{there.path}")
    return 0


def _made(chosen: generating.Chosen, n: int) -> dict[str, Any]:
    """Return what the images of a run follow from, for the report, which has their seeds."""
    recipe = {key: value for key, value in chosen.recipe().items() if key != "seed"}
    backend = chosen.model.backend
    where = {"backend": backend.name, "device": backend.device}
    return {"run": str(chosen.args.run), "n": n, "calls": chosen.calls(), **recipe, **where}


def _of_images(args: argparse.Namespace) -> int:
    """Measure images that are there."""
    output = _output(args)
    opened = _opened(args.run)
    _check_given(args)
    found = data.read(opened, DataConfig(source=str(args.run)), progress=True)
    extractor = _extractor(args)
    spec = intake.reading(DataConfig(source=args.reference), settings=args.overrides)
    count = args.n or len(found)
    if not 2 <= count <= len(found):
        there = "at least 2 images" if len(found) < 2 else f"2 to {len(found)} images"
        raise ValueRangeError(f"{args.run}: expected {there}, got {count}; without -n all that are there are taken")
    real = _reference(args, spec, extractor, found.shape, count)
    print(f"images     {count} of {args.run}, SHA-256 {found.hash[:16]}...")
    print(report.heading(real.about, extractor), flush=True)
    record = args.run / RECORD
    made = {"images": str(args.run), "hash": found.hash, "n": count, "available": len(found)}
    if record.is_file():
        made["recipe"] = read_json(record)
    conditions = report.conditions(made, real.about, extractor, args.kid_subsets)
    path, rows = begun(output, Path(f"{args.run.name}-frechet-{_short(args.extractor)}.json"), conditions)
    if not rows:
        own = fidelity.of_data(found, extractor, count=count, batch=args.extractor_batch, progress=True)
        rows = [report.Row(None, fidelity.compare(own, real.features, subsets=args.kid_subsets))]
        write_json(path, report.content(conditions, rows))
    print(report.line(rows[0]))
    print(path)
    return 0


def _output(args: argparse.Namespace) -> Path | None:
    """Return what -o says. Raises: ValueRangeError for another kind of file, before anything is done"""
    return None if args.output is None else checked_name(args.output, (".json",))


def _short(name: str) -> str:
    """Return the name of an extractor as a part of a file name."""
    return name.rpartition(":")[2].replace("/", "-")


def _extractor(args: argparse.Namespace) -> Extractor:
    device = args.device if args.extractor_device is None else args.extractor_device
    on_torch = args.extractor_device is not None or args.backend in (None, "torch") or device == "cpu"
    return extractors.get(args.extractor, device=device if on_torch else None, weights=args.weights)


def _reference(
    args: argparse.Namespace, spec: DataConfig, extractor: Extractor, shape: tuple[int, ...], n: int
) -> _Reference:
    """Return the features of the real images, from the cache if they are there.

    n: how many images they are compared with; shape: of those
    """
    dataset = intake.real_images(spec, shape, "--reference", own=args.reference is None)
    if args.reference_n > len(dataset):
        there = f"expected at most the {counted(len(dataset), 'image')} of {spec.source}"
        raise ValueRangeError(f"--reference-n: {there}, got {args.reference_n}; 0 takes all")
    cache = feature_cache.default_folder() if args.cache is None else args.cache
    features = fidelity.of_data(
        dataset, extractor, count=args.reference_n, batch=args.extractor_batch, cache=cache, progress=True
    )
    known = features.moments
    warn_of_bias(min(n, known.count), known.mean.size)  # before the images are generated, not after
    reading = {"source": spec.source, "split": spec.split, "size": spec.size, "channels": spec.channels}
    about = {**reading, "hash": dataset.hash, "count": known.count, "available": len(dataset)}
    return _Reference(about, features)


def _opened(path: Path) -> sources.Source:
    """Open the images that are to be measured. Raises: DataError"""
    try:
        with renaming({"data.source": "RUN|IMAGES"}):
            return sources.find(DataConfig(source=str(path)))
    except DataError:
        if path.exists():
            raise
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        hint = nearest(path.name, [sibling.name for sibling in siblings])
        expected = "expected the folder of a run, or images in a folder, a zip or an .npz"
        raise DataError(f"{path} does not exist{hint or ';'} {expected}") from None


def _check_given(args: argparse.Namespace) -> None:
    """Refuse what is only for a run, where there is none. Raises: ConfigError"""
    parser = argparse.ArgumentParser()
    generating.arguments(parser, solver="euler")
    defaults = {**vars(parser.parse_args([])), "repeats": None}
    for name, default in defaults.items():
        if getattr(args, name) != default and name != "device":  # which an extractor has too
            raise ConfigError(f"--{name} is for a run; {args.run} has no run.json: leave it out, or name a run")
    for text in inputs.split(args.overrides)[1]:
        raise ConfigError(f"{text} is for a run; {args.run} has no run.json: leave it out, or name a run")
    if args.reference is None:
        raise ConfigError(
            f"--reference: expected real images, got none; {args.run} is no run, whose data could be taken"
        )
