"""The two sides of `songunet_speed.py`: the public network and its train step as found, and ours.

Both get the same weights (by `songunet_equality.py`), inputs, dropout, learning rate and average.
"""

from __future__ import annotations

import copy
import textwrap
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from songunet_equality import Case
from torch import Tensor, nn

SIZES = {
    "small": Case("small", 16, 32, (2, 2, 2), 1, (16,)),
    "CIFAR-10": Case("CIFAR-10", 32, 128, (2, 2, 2), 4, (16,)),
}
RATE, BETAS, HALF_LIFE = 1e-3, (0.9, 0.999), 500_000  # of Adam, and of the average in images: both sides'
SEEN = 10**8  # images that the run has seen: its warm-up is over
Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Variant:
    """What is run on our side; the public side has the same `what`, `size` and `batch`."""

    what: str
    size: str
    batch: int
    precision: str = "float32"
    mode: str = "eager"
    layout: str = "contiguous"


class Data(NamedTuple):
    """One batch of inputs: images and target (batch, 3, H, W), noise levels (batch,)."""

    x: Tensor
    noise: Tensor
    target: Tensor


def public_update(folder: Path) -> types.CodeType:
    """Compile what the public training loop does between the gradients and its bookkeeping, as it stands there."""
    path = folder / "training" / "training_loop.py"
    body = path.read_text().partition("# Update weights.")[2].partition("# Perform maintenance")[0]
    if "optimizer.step()" not in body:
        raise SystemExit(f"{path}: no longer the loop this script knows; take github.com/NVlabs/edm as of 2022-2023")
    return compile(textwrap.dedent(body), str(path), "exec")


def squared_error(output: Tensor, data: Data) -> Tensor:
    return (output - data.target).square().sum() / len(data.x)


def public_train_step(network: nn.Module, data: Data, update: types.CodeType) -> Step:
    """One step of the public loop: its optimiser, and its own lines after the gradients."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, eps=1e-8)
    names = {
        "torch": torch, "net": network, "ema": copy.deepcopy(network).eval().requires_grad_(False),
        "optimizer": optimizer, "optimizer_kwargs": {"lr": RATE}, "cur_nimg": SEEN, "batch_size": len(data.x),
        "lr_rampup_kimg": 10_000, "ema_halflife_kimg": HALF_LIFE / 1000, "ema_rampup_ratio": 0.05,
    }  # fmt: skip

    def step() -> Tensor:
        set_tf32(False)
        optimizer.zero_grad(set_to_none=True)
        loss = squared_error(network(data.x, data.noise, None), data)
        loss.backward()
        exec(update, names)
        return loss

    return step


def our_train_step(network: nn.Module, data: Data, variant: Variant) -> Step:
    """One step of ours: fused Adam that skips gradients which are not finite, and one fused average."""
    run = our_forward(network, data, variant)  # first: it sets the weights' layout, which the averages must share
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, fused=True)
    weights = list(network.parameters())
    averages = [weight.detach().clone() for weight in weights]
    share = 1 - 0.5 ** (len(data.x) / HALF_LIFE)

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = squared_error(run(), data)
        loss.backward()
        norms = torch._foreach_norm([weight.grad for weight in weights])
        bad = ~torch.stack(norms).isfinite().all()
        vars(optimizer)["found_inf"] = bad.float()  # the fused kernels look at it, on the device
        optimizer.step()
        torch._foreach_lerp_(averages, weights, share)
        return loss

    return step


def our_forward(network: nn.Module, data: Data, variant: Variant) -> Step:
    """Return the network's call at the variant's precision, compiled or not."""
    kind, bf16 = data.x.device.type, variant.precision == "bf16"
    if variant.layout == "channels_last":
        network.to(memory_format=torch.channels_last)
    run = network if variant.mode == "eager" else torch.compile(network, mode=variant.mode, fullgraph=True)

    def forward() -> Tensor:
        set_tf32(variant.precision != "float32")
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            return run(data.x, data.noise)

    return forward


def without_gradients(forward: Step) -> Step:
    def step() -> Tensor:
        with torch.no_grad():
            return forward()

    return step


def set_tf32(allowed: bool) -> None:
    """Say whether the float32 products of a GPU may round to TF32; each side says it anew at each step."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def set_dropout(network: nn.Module, rate: float) -> None:
    for module in network.modules():
        if hasattr(module, "dropout"):
            vars(module)["dropout"] = rate


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def as_found(network: nn.Module, data: Data) -> Tensor:
    set_tf32(False)
    return network(data.x, data.noise, None)


def relative_difference(got: Tensor, expected: Tensor) -> float:
    return ((got.float() - expected).abs().max() / expected.abs().max()).item()
