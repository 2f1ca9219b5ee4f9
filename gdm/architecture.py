"""The architecture of the network: its sizes and its blocks, the same on every backend.

    x -> stem -> encoder -> middle -> decoder -> norm -> head -> y
           |________|__ skips __________|

The DDPM++ U-Net of Song et al. 2021 as Karras et al. 2022 configure it. A backend computes it; what is computed is
written here, and in `gdm.parameters` how a checkpoint names its parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gdm.conditioning import plane_count
from gdm.errors import ConfigError, ShapeError, UnsupportedError, nearest
from gdm.schedule import Schedule

if TYPE_CHECKING:
    from gdm.config import NetworkConfig

Resample = Literal["down", "up"]

RESIDUAL_SCALE = math.sqrt(0.5)  # keeps the variance of a sum of two unrelated terms
NEARLY_ZERO = 1e-5  # gain of a branch's last layer: the branch starts silent, yet gradients pass
QKV_GAIN = math.sqrt(0.2)
NORM_EPSILON = 1e-6
WARPS = 9  # labels that say how an augmentation has transformed an image


class BlockPlan(NamedTuple):
    """What one residual block takes and gives: channels, whether it changes the sides, whether it attends."""

    inputs: int
    outputs: int
    resample: Resample | None = None
    attention: bool = False

    @property
    def has_shortcut(self) -> bool:
        """Whether its shortcut is a 1 x 1 convolution, and not the identity."""
        return self.resample is not None or self.inputs != self.outputs


class Layout(NamedTuple):
    """The blocks of the U-Net in the order in which they run."""

    encoder: tuple[BlockPlan, ...]
    middle: tuple[BlockPlan, ...]
    decoder: tuple[BlockPlan, ...]


class _Level(NamedTuple):
    """One resolution: channels, blocks on the way down (one more on the way up), attention."""

    width: int
    blocks: int
    attention: bool


def layout(
    resolution: int, channels: int, multipliers: Sequence[int], blocks: int, attention: Sequence[int], dropout: float
) -> Layout:
    """Lay out the blocks; level l works on sides of ceil(H / 2^l) and channels * multipliers[l] channels.

    `resolution`, the shorter side, only names the levels: level l has attention if `resolution >> l` is in `attention`.

    Raises: ConfigError for sizes from which no U-Net can be built
    """
    check_sizes(resolution, channels, multipliers, blocks, dropout)
    levels = [
        _Level(channels * multiplier, blocks, resolution >> depth in attention)
        for depth, multiplier in enumerate(multipliers)
    ]
    last = levels[-1].width
    encoder, skips = _way_down(channels, levels)
    middle = (BlockPlan(last, last, attention=True), BlockPlan(last, last))
    return Layout(tuple(encoder), middle, tuple(_way_up(skips, levels)))


def _way_down(channels: int, levels: Sequence[_Level]) -> tuple[list[BlockPlan], list[int]]:
    """Return the blocks, and the channels of the skips: those of the stem, then of each block."""
    encoder, skips = [], [channels]
    for depth, level in enumerate(levels):
        if depth > 0:
            encoder.append(BlockPlan(skips[-1], skips[-1], "down"))
            skips.append(skips[-1])
        for _ in range(level.blocks):
            encoder.append(BlockPlan(skips[-1], level.width, None, level.attention))
            skips.append(level.width)
    return encoder, skips


def _way_up(skips: Sequence[int], levels: Sequence[_Level]) -> list[BlockPlan]:
    """Return the blocks: each but those that double takes one skip back, the last of a level attends."""
    decoder, skips, width = [], list(skips), levels[-1].width
    for level in reversed(levels):
        if level is not levels[-1]:
            decoder.append(BlockPlan(width, width, "up"))
        for left in reversed(range(level.blocks + 1)):
            decoder.append(BlockPlan(width + skips.pop(), level.width, None, level.attention and left == 0))
            width = level.width
    return decoder


def check_sizes(resolution: int, channels: int, multipliers: Sequence[int], blocks: int, dropout: float) -> None:
    """Raise ConfigError for sizes from which no U-Net can be built."""
    if len(multipliers) == 0 or min(multipliers) < 1:
        got = tuple(multipliers)
        raise ConfigError(f"multipliers: need one positive integer per level, got {got}; try (1, 2)")
    side, most = 2 ** (len(multipliers) - 1), max(resolution, 1).bit_length()
    if resolution < side:
        raise ConfigError(
            f"multipliers: {len(multipliers)} levels need a side of at least {side}, got {resolution}; "
            f"use at most {most} multipliers"
        )
    if channels < 4 or channels % 2:
        remedy = max(4, channels + 1)
        raise ConfigError(f"channels: need an even number of at least 4, got {channels}; try {remedy}")
    if blocks < 1:
        raise ConfigError(f"blocks: need at least one block per level, got {blocks}; try 1")
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout: need a probability in [0, 1), got {dropout}; 0 turns it off")


def group_count(channels: int) -> int:
    """Return how many groups a normalisation of so many channels has: at most 32, equal, of four channels or more."""
    most = max(1, min(32, channels // 4))
    return next(count for count in range(most, 0, -1) if channels % count == 0)


def wave_frequencies(count: int) -> np.ndarray:
    """Return `count` frequencies, falling geometrically from 1 to 1 / 10000, as float32.

    The powers are taken on the host, in float64, of operands rounded to float32: the same bits on every
    backend and device, and those of Karras et al. 2022's float32 table but for a last bit here and there.
    """
    exponents = np.arange(count, dtype=np.float32) / np.float32(count - 1)
    return np.power(float(np.float32(1e-4)), exponents.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True)
class Architecture:
    """A network of the library: the U-Net's sizes, and what enters it besides the image. Hashable.

    as_map: A(t) enters as input planes, else through the film vector of the embedding; film: width of that vector;
    warps: labels of an augmentation in it; classes: 0 for a network without; in_basis: the U-Net sees coordinates in
    the schedule's basis, U^T x_t, and predicts those of the direction, U^T u. `of` makes it from a config.
    """

    schedule: Schedule
    as_map: bool
    in_channels: int
    channels: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    dropout: float
    classes: int
    warps: int
    in_basis: bool = False

    @property
    def out_channels(self) -> int:
        return self.schedule.shape[0]

    @property
    def resolution(self) -> int:
        """The shorter side."""
        return min(self.schedule.shape[1:])

    @property
    def film(self) -> int:
        return (0 if self.as_map else self.schedule.k) + self.warps

    @cached_property
    def layout(self) -> Layout:
        return layout(
            self.resolution, self.channels, self.multipliers, self.blocks, self.attention, self.dropout
        )  # fmt: skip


def of(spec: NetworkConfig, schedule: Schedule, *, classes: int = 0, augmented: bool = False) -> Architecture:
    """Return the architecture of a config's network, for images of a schedule.

    Raises: ShapeError for a schedule whose events are not images; ConfigError for impossible sizes;
        UnsupportedError for another kind of network
    """
    if spec.kind != "unet":
        raise UnsupportedError(f"network.kind: expected 'unet', got {spec.kind!r}{nearest(spec.kind, ('unet',))}")
    if len(schedule.shape) != 3:
        raise ShapeError(f"schedule: need an image's shape (C, H, W), got {schedule.shape}; reshape the data?")
    ways = ("map", "film")
    if spec.conditioning not in ways:
        hint = nearest(spec.conditioning, ways)
        raise ConfigError(f"conditioning: need one of {ways}, got {spec.conditioning!r}{hint}")
    if spec.space == "frequency" and not schedule.basis.factors:
        remedy = "choose schedule.kind = 'bands', or leave network.space out"
        raise ConfigError(f"network.space: 'frequency' needs a schedule of frequencies, got pixels; {remedy}")
    as_map, in_basis = spec.conditioning == "map", spec.space == "frequency"
    inputs = schedule.shape[0] + (plane_count(schedule, in_basis) if as_map else 0)
    sizes = (spec.channels, tuple(spec.multipliers), spec.blocks, tuple(spec.attention), spec.dropout)
    made = Architecture(schedule, as_map, inputs, *sizes, classes, WARPS if augmented else 0, in_basis)
    check_sizes(made.resolution, made.channels, made.multipliers, made.blocks, made.dropout)
    return made
