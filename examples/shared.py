"""What the examples share: their options, the run they use, the files they write, and digits whose law is known.

    python examples/fig03_interpolate.py                                     digits of 8 x 8 pixels, trained if need be
    python examples/fig03_interpolate.py --run runs/faces                    a run that is there
    python examples/fig03_interpolate.py --config CONFIG.toml --data FOLDER  trained in runs/CONFIG, or gone on with

Every figure is written as PNG and PDF, and its numbers as JSON, in runs/figures (or --out).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any framework loads: so small networks gain nothing from more

import numpy as np

import gdm
from gdm import canvas, checkpoint, config, data, extractors, feature_cache, fidelity, intake, panels, pixels, training
from gdm.canvas import PALETTE
from gdm.config import Config
from gdm.errors import ConfigError
from gdm.feature_cache import Features
from gdm.files import write_json
from gdm.metrics import frechet_distance
from gdm.model import Model
from gdm.oracle import GaussianMixture
from gdm.scores import Frechet
from gdm.sweep import Point, sweep

__all__ = ["PALETTE", "ConfigError", "Path", "argparse"]  # for the scripts
CONFIGS = Path(__file__).parent / "configs"


def parser(doc: str | None, config: str | None = None, **defaults: Any) -> argparse.ArgumentParser:
    """Return a parser with what every example offers; `defaults` are those of --n, --steps, --solver and --seed."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if config is not None:
        made.add_argument("--config", type=Path, default=CONFIGS / config, help=f"what to train ({config})")
        made.add_argument("--run", type=Path, help="folder of the run, trained if it is not (runs/NAME OF THE CONFIG)")
        made.add_argument("--data", help="images to train on, in place of the config's data.source")
        made.add_argument("--set", nargs="+", default=[], metavar="key=value", help="settings of the config, changed")
    for name, kind in (("n", int), ("steps", int), ("solver", str), ("seed", int)):
        if name in defaults:
            made.add_argument(f"--{name}", type=kind, default=defaults[name], help=f"({defaults[name]})")
    made.add_argument("--out", type=Path, default=Path("runs/figures"), help="folder of the figures (runs/figures)")
    return made


def settings(args: argparse.Namespace, *changes: str) -> Config:
    """Return the config that the options name, with changes."""
    source = [] if args.data is None else [f"data.source={args.data}"]
    return config.load(args.config, [*source, *args.set, *changes])


def trained(args: argparse.Namespace, *changes: str, suffix: str = "") -> Model:
    """Return the model of --run, or of runs/CONFIG; train it first if it is not there, or go on if it is not done."""
    run = Path(f"{args.run or Path('runs') / args.config.stem}{suffix}")
    if args.run is None or not (run / "run.json").is_file():
        wanted = settings(args, *changes)
        if not _done(run, wanted):
            print(f"training {run} (Ctrl-C saves and stops; the same command goes on)", flush=True)
            if training.train(wanted, run).reason == "signal":
                sys.exit(130)
    model = gdm.load(run)
    print(f"{run}: {model.step} steps, {model.schedule}", flush=True)
    return model


def _done(run: Path, wanted: Config) -> bool:
    """Whether a run is there that did all its steps, or stopped because its minutes were over."""
    if not (run / "run.json").is_file():
        return False
    if checkpoint.latest(run).step >= wanted.training.steps:
        return True
    seconds = [record.get("seconds", 0) for record in checkpoint.read_metrics(run)]
    return 0 < wanted.training.minutes * 60 <= max(seconds, default=0)


def real(model: Model, numbers: Sequence[int] | None = None) -> np.ndarray:
    """Return images that a run was trained on, those of these numbers or 5000 spread over all: uint8 (n, C, H, W)."""
    dataset = data.load(replace(model.spec.data, labels=False))
    spread = np.linspace(0, len(dataset) - 1, min(5000, len(dataset))).astype(int)
    return dataset.take(spread if numbers is None else np.array(numbers))


def named(model: Model, numbers: Sequence[int]) -> intake.Images:
    """Return these images of the run's data, called by their numbers there."""
    return intake.named(real(model, numbers), numbers)


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Return images in [-1, 1] as bytes."""
    return pixels.to_uint8(images)


def unit(images: np.ndarray) -> np.ndarray:
    """Return bytes as the network sees them, float32 in [-1, 1]."""
    return pixels.to_unit(images)


def measured(parser: argparse.ArgumentParser, repeats: int) -> argparse.ArgumentParser:
    """Add what scripts take that measure Frechet distances; repeats: seeds, by default."""
    parser.add_argument("--repeats", type=int, default=repeats, help=f"seeds ({repeats})")
    parser.add_argument("--reference", type=int, default=5000, help="real images to compare with, 0: all (5000)")
    return parser


def frechet(args: argparse.Namespace, model: Model) -> Frechet:
    """Return the Frechet distance of --n images to --reference of the run's data, as a score for `gdm.sweep`."""
    features, about = _features(model, args.reference)
    return Frechet(_extractor(model), features, about, args.n, batch=256)


def floor(args: argparse.Namespace, model: Model) -> float:
    """Return the Frechet distance of --n real images to --reference of them; NaN where there are no more than --n."""
    own, about = _features(model, args.n)
    known, _ = _features(model, args.reference)
    return frechet_distance(own.moments, known.moments) if about["count"] < about["available"] else float("nan")


def _extractor(model: Model) -> extractors.Extractor:
    """Return the features of the examples: pixels up to 16 x 16, else those of EfficientNet-Lite0."""
    return extractors.get("pixels" if model.schedule.shape[-1] <= 16 else "efficientnet-lite0")


def _features(model: Model, count: int) -> tuple[Features, dict[str, Any]]:
    """Return features of `count` real images, always the same ones (0, or too many: all), and what they are."""
    dataset = data.load(replace(model.spec.data, labels=False))
    count = min(count or len(dataset), len(dataset))
    cache = feature_cache.default_folder()
    found = fidelity.of_data(dataset, _extractor(model), count=count, cache=cache, progress=True)
    return found, {"hash": dataset.hash, "count": count, "available": len(dataset)}


def swept(args: argparse.Namespace, name: str, model: Model, points: Sequence[Point]) -> list[dict[str, str]]:
    """Measure every point with --repeats seeds, in a table that a stopped script goes on with; see `gdm.sweep`."""
    seeds, path = range(args.seed, args.seed + args.repeats), args.out / f"{name}.csv"
    recipe = {"config": config.to_dict(model.spec), "step": model.step}
    return sweep(
        fast(model), points, seeds, frechet(args, model), path, recipe, told=lambda row: print(row, flush=True)
    )


def fast(model: Model) -> Model:
    """Return the model compiled, where many images from it will pay for that: on a GPU."""
    return model if model.backend.device == "cpu" else model.compiled()


def grid(rows: int, columns: int, cell: float = 1.75, **shared: bool) -> tuple[Any, np.ndarray]:
    """Return a Matplotlib figure and its axes, (rows, columns), each about `cell` inches wide and high."""
    made, axes = canvas.new_figure(cell * columns + 0.5, cell * rows + 0.6)
    axes.remove()
    return made, made.subplots(rows, columns, squeeze=False, **shared)


def save(made: Any, args: argparse.Namespace, name: str, numbers: Mapping[str, Any] | None = None) -> None:
    """Write a figure, or panels, as PNG and PDF, and numbers beside it as JSON."""
    for suffix in (".png", ".pdf"):
        path = args.out / f"{name}{suffix}"
        panels.draw(made, path) if isinstance(made, panels.Panels) else canvas.save_figure(made, path)
    print(args.out / f"{name}.png")
    if numbers is not None:
        write_numbers(args, name, numbers)


def write_numbers(args: argparse.Namespace, name: str, numbers: Mapping[str, Any]) -> None:
    """Write numbers, arrays too, with the options they were made with, as JSON; and show them."""
    options = {key: None if value is None else str(value) for key, value in vars(args).items() if key != "out"}
    plain = json.loads(json.dumps(numbers, default=lambda value: np.asarray(value).tolist()))
    write_json(args.out / f"{name}.json", {"options": options, **plain})
    print(json.dumps(plain) if len(json.dumps(plain)) < 2000 else args.out / f"{name}.json")


def digits_mixture(components: int = 20, floor: float = 0.01) -> GaussianMixture:
    """Return a mixture of Gaussians fitted to the digits of scikit-learn, (1, 8, 8) in [-1, 1].

    Its optimal network is known for every schedule, so what is exact can be shown exactly. floor: added to variances
    """
    from sklearn.datasets import load_digits
    from sklearn.mixture import GaussianMixture as Fitted

    x = load_digits().data / 8 - 1
    fitted = Fitted(components, reg_covar=floor, random_state=0, max_iter=50).fit(x)
    return GaussianMixture(fitted.weights_, fitted.means_.reshape(-1, 1, 8, 8), fitted.covariances_)


def run(main: Callable[[], None]) -> None:
    """Call a script's main, and say how long it took; what goes wrong on purpose is one line."""
    began, name = time.perf_counter(), Path(sys.argv[0]).stem
    try:
        main()
    except gdm.GDMError as error:
        sys.exit(f"{name}: {error}")
    print(f"{name}: {time.perf_counter() - began:.0f} s")
