"""Compare the speed of gdm's U-Net with that of the public code of Karras et al. 2022, on the same weights.

    python benchmarks/songunet_speed.py FOLDER [--device cuda] [--minutes 4] [--json FILE]
    python benchmarks/songunet_speed.py FOLDER --what train --size CIFAR-10 --batch 8 --precision float32 bf16

FOLDER is your own copy of github.com/NVlabs/edm, whose licence allows non-commercial use only: nothing of it is
part of gdm, and this script only runs it. Two things are timed, both sides in turn, in one process:

    forward   images to images, as in sampling: no gradients, no dropout
    train     one step: forward, squared error to a given target, gradients, Adam, moving average of the weights

The public side is the code as found: its network in float32 with TF32 off, eager, cuDNN choosing by trial, its
Adam, and for what follows the gradients the very lines of its training loop, read from FOLDER. gdm's side is the
same network with the same weights and inputs, and what a row says: float32, tf32 or bf16 (autocast), eager or
compiled in one of the modes of `torch.compile`, contiguous or channels-last, with fused Adam and one fused average;
a step whose gradients are not finite changes nothing, and nothing waits for the device.

A row gives images/s of both sides, and the ratio of their speeds (median over the rounds of the ratio in one round,
with quartiles), the peak memory of each beyond the weights, floating-point operations per image as torch.utils.flop_counter counts
them, and what they make per second, over the rate of a bf16 product of large matrices measured in this run. The
difference is that of the outputs, without dropout, relative to the public one's largest: that of the precision. A
row that fails says why and the next one goes on; after --minutes, no further one starts. Rows are ordered
by importance. --profile adds the ten costliest operations of each of our train steps.
"""

from __future__ import annotations

import argparse
import copy
import functools
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import measure
import torch
from songunet_equality import build, load_public
from songunet_sides import (
    SIZES,
    Data,
    Step,
    Variant,
    as_found,
    our_forward,
    our_train_step,
    public_train_step,
    public_update,
    relative_difference,
    set_dropout,
    squared_error,
    synchronize,
    without_gradients,
)
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

MODES = ("eager", "default", "reduce-overhead", "max-autotune-no-cudagraphs")
COLUMNS = (
    "ratio", "ours", "public", "ours GiB", "public GiB", "GFLOP/image", "TFLOP/s", "of bf16 product", "difference",
    "ours first s", "public first s", "failed",
)  # fmt: skip


class Run(NamedTuple):
    """One side, warm: a step, the seconds its first call took, and its peak memory in GiB (CUDA only)."""

    step: Step
    first: float
    peak: float | None


def cuda_variants() -> list[Variant]:
    """Return what is most worth knowing on a GPU, first things first."""
    best = Variant("train", "CIFAR-10", 128, "bf16", "default", "channels_last")
    forward = replace(best, what="forward", batch=512)
    return [
        best,
        forward,
        replace(best, mode="eager"),
        replace(best, mode="eager", layout="contiguous"),
        replace(forward, mode="eager"),
        replace(forward, mode="reduce-overhead", batch=64),
        replace(best, batch=512),
        replace(best, mode="eager", precision="tf32"),
        replace(best, mode="eager", precision="float32", layout="contiguous"),
        replace(forward, mode="reduce-overhead", batch=1),
        replace(forward, batch=64),
        replace(best, mode="reduce-overhead"),
        replace(best, precision="tf32"),
        replace(best, mode="max-autotune-no-cudagraphs"),
    ]


def cpu_variants() -> list[Variant]:
    """Return the rows of the table of expectations."""
    small, large = Variant("train", "small", 64), Variant("train", "CIFAR-10", 8)
    quick = replace(small, precision="bf16", mode="default", layout="channels_last")
    return [
        small,
        replace(small, precision="bf16"),
        replace(small, precision="bf16", layout="channels_last"),
        quick,
        replace(quick, what="forward"),
        large,
        replace(large, precision="bf16"),
        replace(large, precision="bf16", layout="channels_last"),
        replace(quick, size="CIFAR-10", batch=8),
        replace(quick, what="forward", precision="float32"),
        replace(quick, precision="float32", layout="contiguous"),
    ]


def free(device: torch.device) -> None:
    """Forget compiled code and what the last variant held."""
    torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def warm(make: Callable[[], Step], device: torch.device) -> Run:
    """Make a side and run it until nothing is new: compiled, algorithms chosen, optimiser state and graphs there."""
    cuda = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if cuda else 0
    start = time.perf_counter()
    step = make()
    step()
    synchronize(device)
    first = time.perf_counter() - start
    for _ in range(3 if cuda else 1):  # CUDA graphs are recorded in the second call or the third
        step()
    synchronize(device)
    if not cuda:
        return Run(step, first, None)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    synchronize(device)
    return Run(step, first, (torch.cuda.max_memory_allocated(device) - before) / 2**30)


def timed(step: Step, repeats: int, device: torch.device) -> Callable[[], None]:
    """Return a call of `repeats` steps that ends when the device has done them."""

    def call() -> None:
        for _ in range(repeats):
            step()
        synchronize(device)

    return call


def repeats_for(step: Step, device: torch.device, seconds: float) -> int:
    """Return how many steps take about that long, at most 50."""
    start = time.perf_counter()
    timed(step, 1, device)()
    return max(1, min(50, round(seconds / (time.perf_counter() - start))))


class Benchmark:
    """The two codes, the device, and how to measure."""

    def __init__(self, folder: Path, device: torch.device, options: argparse.Namespace) -> None:
        self.networks, self.update = load_public(folder), public_update(folder)
        self.device, self.rounds, self.dropout = device, options.rounds, options.dropout
        self.clock = time.process_time if options.cpu_time else time.perf_counter
        self.profile, self.product_rate = options.profile, product_rate(device, self.clock)
        self.built = functools.cache(lambda size: build(self.networks, SIZES[size], torch.Generator().manual_seed(0)))
        self.gigaflops = functools.cache(self.count_gigaflops)

    def sides(self, variant: Variant) -> tuple[nn.Module, nn.Module, Data]:
        """Return the public network, ours, and a batch, all on the device."""
        public, ours = (copy.deepcopy(network).to(self.device) for network in self.built(variant.size))
        generator = torch.Generator().manual_seed(1)
        shape = (variant.batch, 3, SIZES[variant.size].resolution, SIZES[variant.size].resolution)
        x, z = (torch.randn(shape, generator=generator) for _ in range(2))
        t = torch.rand(variant.batch, generator=generator)
        weight = t[:, None, None, None]
        data = Data((1 - weight) * x + weight * z, 999 * t, x - z)
        return public, ours, Data(*(part.to(self.device) for part in data))

    def count_gigaflops(self, what: str, size: str) -> float:
        """Return 1e9 floating-point operations per image, a multiplication and an addition being two."""
        _, ours, data = self.sides(Variant(what, size, 2))
        plain = sdpa_kernel(SDPBackend.MATH)  # not every fused kernel of attention has its count
        with plain, FlopCounterMode(display=False) as counter, torch.set_grad_enabled(what == "train"):
            loss = squared_error(ours(data.x, data.noise), data)
            if what == "train":
                loss.backward()
        return counter.get_total_flops() / 2 / 1e9

    def run(self, variant: Variant) -> dict[str, Any]:
        """Measure one variant; if one side fails, the other is measured alone."""
        free(self.device)
        train = variant.what == "train"
        public, ours, data = self.sides(variant)
        row: dict[str, Any] = {**asdict(variant), **dict.fromkeys(COLUMNS)}
        for network in (public, ours):
            network.train(train).requires_grad_(train)
            set_dropout(network, self.dropout if train else 0.0)
        makers: dict[str, Callable[[], Step]] = {
            "public": lambda: without_gradients(lambda: as_found(public, data)),
            "ours": lambda: without_gradients(our_forward(ours, data, variant)),
        }
        if train:
            makers = {
                "public": lambda: public_train_step(public, data, self.update),
                "ours": lambda: our_train_step(ours, data, variant),
            }
        runs: dict[str, Run] = {}
        for name, make in makers.items():
            try:
                runs[name] = warm(make, self.device)
            except Exception as error:
                row["failed"] = f"{name}: {type(error).__name__}: {str(error).strip()[:300]}"
        if "ours" in runs and not train and "public" in runs:
            row["difference"] = relative_difference(runs["ours"].step(), runs["public"].step())
        row |= self.measure(variant, runs)
        if self.profile and train and "ours" in runs:
            print_profile(runs["ours"].step, self.device)
        return row

    def measure(self, variant: Variant, runs: dict[str, Run]) -> dict[str, Any]:
        """Time the sides in turn and return a row's numbers."""
        row: dict[str, Any] = {}
        repeats = {name: repeats_for(run.step, self.device, 0.15) for name, run in runs.items()}
        calls = {name: timed(run.step, repeats[name], self.device) for name, run in runs.items()}
        times = measure.in_turn(calls, self.rounds, clock=self.clock)
        for name, seconds in times.items():
            row[name] = measure.spread(variant.batch * repeats[name] / second for second in seconds)
            row[f"{name} GiB"], row[f"{name} first s"] = runs[name].peak, runs[name].first
        if len(runs) == 2:
            pairs = zip(times["public"], times["ours"], strict=True)
            factor = repeats["ours"] / repeats["public"]
            row["ratio"] = measure.spread(public / ours * factor for public, ours in pairs)
        row["GFLOP/image"] = self.gigaflops(variant.what, variant.size)
        if "ours" in runs:
            row["TFLOP/s"] = row["ours"].median * row["GFLOP/image"] / 1000
            row["of bf16 product"] = row["TFLOP/s"] / self.product_rate
        return row


def product_rate(device: torch.device, clock: Callable[[], float]) -> float:
    """Return the TFLOP/s of a bf16 product of square matrices: 8192 on a GPU, 2048 elsewhere."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    call = timed(lambda: a @ b, 10 if device.type == "cuda" else 1, device)
    seconds = measure.in_turn({"product": call}, rounds=5, clock=clock)["product"]
    return 2 * side**3 * (10 if device.type == "cuda" else 1) / statistics.median(seconds) / 1e12


def print_profile(step: Step, device: torch.device) -> None:
    """Print the ten operations (kernels on a GPU) that take the most time of three steps."""
    cuda = device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if cuda else [])]
    with torch.profiler.profile(activities=kinds) as profiler:
        timed(step, 3, device)()
    averages: Iterable[Any] = profiler.key_averages()
    events = [event for event in averages if (str(event.device_type).endswith("CUDA")) == cuda]
    seconds = {e.key: (e.self_device_time_total if cuda else e.self_cpu_time_total, e.count) for e in events}
    total = sum(taken for taken, _ in seconds.values()) or 1.0
    for name, (taken, count) in sorted(seconds.items(), key=lambda item: -item[1][0])[:10]:
        print(f"  {taken / total:6.1%} {taken / 3000:9.3f} ms {count // 3:5d} x {name[:90]}", flush=True)


def chosen(options: argparse.Namespace, device: torch.device) -> list[Variant]:
    """Return the variants asked for: every combination of what is named, or the default list if nothing is."""
    default = cuda_variants() if device.type == "cuda" else cpu_variants()
    named = (options.what, options.size, options.batch, options.precision, options.mode, options.layout)
    if not any(named):
        return default
    rest = (["train"], ["CIFAR-10"], [128 if device.type == "cuda" else 8], ["bf16"], ["default"], ["channels_last"])
    choices = (given or usual for given, usual in zip(named, rest, strict=True))
    return [Variant(*values) for values in product(*choices)]  # pyright: ignore[reportArgumentType]


def arguments() -> argparse.Namespace:
    parser = measure.parser(__doc__, rounds=7)
    add = parser.add_argument
    add("folder", type=Path, help="your copy of github.com/NVlabs/edm")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (default: a GPU if any)")
    add("--minutes", type=float, default=4.0, help="start no further row after this (default 4)")
    add("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch on the CPU (default: all cores)")
    add("--dropout", type=float, default=0.13, help="in train steps, on both sides (default 0.13)")
    add("--cpu-time", action="store_true", help="count the process's CPU seconds: fair on a busy CPU with --threads 1")
    add("--profile", action="store_true", help="print where our train steps spend their time")
    add("--what", nargs="+", choices=("train", "forward"))
    add("--size", nargs="+", choices=tuple(SIZES))
    add("--batch", nargs="+", type=int)
    add("--precision", nargs="+", choices=("float32", "tf32", "bf16"))
    add("--mode", nargs="+", choices=MODES, help="eager, or a mode of torch.compile")
    add("--layout", nargs="+", choices=("contiguous", "channels_last"))
    return parser.parse_args()


def describe(options: argparse.Namespace, device: torch.device, product_rate: float) -> dict[str, Any]:
    settings: dict[str, Any] = {"device": str(device), "threads": options.threads, "dropout": options.dropout}
    settings["clock"] = "process" if options.cpu_time else "wall"
    if device.type == "cuda":
        settings |= {
            "card": torch.cuda.get_device_name(device),
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),
        }
    settings |= {"rounds": options.rounds, "bf16 product TFLOP/s": round(product_rate, 3)}
    return measure.environment(("numpy", "torch", "triton"), **settings)


def show_row(row: dict[str, Any]) -> None:
    """Print what a row says at once, so that a run cut short has said it."""
    short = {name: value for name, value in row.items() if value is not None}
    texts = {name: f"{v:.4g}" if isinstance(v, (float, measure.Spread)) else v for name, v in short.items()}
    print(json.dumps(texts), flush=True)


def main() -> None:
    started = time.perf_counter()
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True  # both sides: the public loop sets it
    device = torch.device(options.device)
    bench = Benchmark(options.folder, device, options)
    rows: list[dict[str, Any]] = []
    where = describe(options, device, bench.product_rate)
    variants: Sequence[Variant] = chosen(options, device)
    for number, variant in enumerate(variants):
        if time.perf_counter() - started > 60 * options.minutes:
            print(f"{options.minutes} minutes are over; left out: {len(variants) - number} rows", flush=True)
            break
        try:
            row = bench.run(variant)
        except Exception as error:
            failed = f"{type(error).__name__}: {str(error).strip()[:300]}"
            row = {**asdict(variant), **dict.fromkeys(COLUMNS), "failed": failed}
        rows.append(row)
        show_row(row)
        measure.save(options.json, where, rows)
    measure.show(where, rows)


if __name__ == "__main__":
    main()
