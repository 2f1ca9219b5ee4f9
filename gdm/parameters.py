"""The parameters of the network: names, layouts and how they begin, the same on every backend.

Weights are OIHW and start as Karras et al. 2022 draw them: uniform with Xavier's bound, times a gain that makes each
residual branch begin close to zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gdm.architecture import NEARLY_ZERO, QKV_GAIN, Architecture, BlockPlan
from gdm.errors import CheckpointError


class Start(NamedTuple):
    """A parameter's shape, and how it begins: uniform in +-bound or, where that is 0, of one value."""

    shape: tuple[int, ...]
    bound: float = 0.0
    value: float = 0.0


@lru_cache(maxsize=16)
def starts(architecture: Architecture) -> dict[str, Start]:
    """Return the shape of each parameter by name, and how it begins."""
    return {f"unet.{name}.{kind}": start for name, kind, start in _parameters(architecture)}


def initial(architecture: Architecture, seed: int) -> dict[str, np.ndarray]:
    """Draw new parameters from a seed, on the host, in float32: the same for every backend."""
    drawn = np.random.default_rng(seed)

    def values(start: Start) -> np.ndarray:
        if start.bound:
            return drawn.uniform(-start.bound, start.bound, start.shape).astype(np.float32)
        return np.full(start.shape, start.value, np.float32)

    return {name: values(start) for name, start in starts(architecture).items()}


def _parameters(a: Architecture) -> Iterator[tuple[str, str, Start]]:
    """Yield the layer, the kind and the start of each parameter."""
    width, last = 4 * a.channels, a.channels * a.multipliers[0]
    if a.classes:
        yield from _layer("embedding.label", a.channels, a.classes)
    if a.film:
        yield ("embedding.film", "weight", _xavier(a.channels, a.film, (), 1.0))
    yield from _layer("embedding.first", width, a.channels)
    yield from _layer("embedding.second", width, width)
    yield from _layer("stem", a.channels, a.in_channels, 3)
    for part, plans in a.layout._asdict().items():
        for number, plan in enumerate(plans):
            yield from _block(f"{part}.{number}", plan, width)
    yield from _norm("norm", last)
    yield from _layer("head", a.out_channels, last, 3, gain=NEARLY_ZERO)


def _block(name: str, plan: BlockPlan, embedding: int) -> Iterator[tuple[str, str, Start]]:
    inputs, outputs = plan.inputs, plan.outputs
    yield from _norm(f"{name}.norm_in", inputs)
    yield from _layer(f"{name}.conv_in", outputs, inputs, 3)
    yield from _layer(f"{name}.shift", outputs, embedding)
    yield from _norm(f"{name}.norm_out", outputs)
    yield from _layer(f"{name}.conv_out", outputs, outputs, 3, gain=NEARLY_ZERO)
    if plan.has_shortcut:
        yield from _layer(f"{name}.shortcut", outputs, inputs, 1)
    if plan.attention:
        yield from _norm(f"{name}.attention.norm", outputs)
        yield from _layer(f"{name}.attention.qkv", 3 * outputs, outputs, 1, gain=QKV_GAIN)
        yield from _layer(f"{name}.attention.out", outputs, outputs, 1, gain=NEARLY_ZERO)


def _norm(name: str, channels: int) -> Iterator[tuple[str, str, Start]]:
    yield name, "weight", Start((channels,), value=1.0)
    yield name, "bias", Start((channels,))


def _layer(name: str, outputs: int, inputs: int, side: int = 0, gain: float = 1.0) -> Iterator[tuple[str, str, Start]]:
    """Yield the parameters of a convolution of a side, or of a linear layer (0)."""
    yield name, "weight", _xavier(outputs, inputs, (side, side) if side else (), gain)
    yield name, "bias", Start((outputs,))


def _xavier(outputs: int, inputs: int, kernel: tuple[int, ...], gain: float) -> Start:
    """Begin uniformly in +-gain sqrt(6 / (fan in + fan out))."""
    fans = (inputs + outputs) * math.prod(kernel)
    return Start((outputs, inputs, *kernel), bound=gain * math.sqrt(6 / fans))


def check(own: Mapping[str, tuple[int, ...]], given: Mapping[str, np.ndarray], prefix: str = "") -> None:
    """Raise CheckpointError, naming the first, for parameters that do not fit a network's own names and shapes.

    prefix: what a checkpoint writes before these names, for the message
    """
    if odd := sorted(own.keys() ^ given.keys()):
        where = "is missing" if odd[0] in own else "is not one of the network's"
        raise CheckpointError(
            f"parameters: {prefix + odd[0]!r} {where} ({len(odd)} do not match); was the run made with another network?"
        )
    for name, value in given.items():
        if own[name] != value.shape:
            raise CheckpointError(f"parameter {prefix + name!r}: expected shape {own[name]}, got {value.shape}")
