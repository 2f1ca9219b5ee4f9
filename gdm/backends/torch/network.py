"""The U-Net as a network of the library: a callable (x_t, alpha) -> u."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gdm.arrays import namespace
from gdm.backends.torch import augment
from gdm.backends.torch.unet import UNet
from gdm.conditioning import clock, plane_count, planes
from gdm.errors import ConfigError, ShapeError, nearest
from gdm.schedule import Schedule

if TYPE_CHECKING:
    from gdm.config import NetworkConfig


class GroupwiseUNet(nn.Module):
    """Predict the direction u = E[x - z | x_t] (Eq. 8) of image events; the network sees A(t), not t.

    In both ways of conditioning the mean of alpha is the clock of the noise embedding. Besides,
    "map" concatenates A(t) to x_t as planes, as in Sec. 3.1, and "film" maps alpha into the embedding.

    labels: the class of each image, or a weight per class, of which all zeros means no class.
    warps: the labels of the augmentation that an image went through; None for images as they are.

    Shapes: x_t (batch, C, H, W), alpha (batch, k) in [0, 1], labels (batch,) integers or
        (batch, classes) weights, warps (batch, 9) -> (batch, C, H, W)
    Raises: ShapeError for a schedule whose events are not images, or inputs that do not fit it;
        ConfigError for sizes from which no network can be built

        >>> from gdm.config import NetworkConfig
        >>> spec = NetworkConfig(channels=8, multipliers=(1, 2), blocks=1, attention=(4,))
        >>> network = GroupwiseUNet(Schedule.blockwise((1, 8, 8), grid=(2, 2)), spec)
        >>> network(torch.zeros(5, 1, 8, 8), torch.ones(5, 4)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(self, schedule: Schedule, config: NetworkConfig, *, classes: int = 0, augmented: bool = False) -> None:
        super().__init__()
        if len(schedule.shape) != 3:
            raise ShapeError(f"schedule: need an image's shape (C, H, W), got {schedule.shape}; reshape the data?")
        ways = ("map", "film")
        if config.conditioning not in ways:
            hint = nearest(config.conditioning, ways)
            raise ConfigError(f"conditioning: need one of {ways}, got {config.conditioning!r}{hint}")
        namespace(torch.empty(0))  # remembered from here on; else the first call under torch.compile compiles twice
        channels, *sides = schedule.shape
        self.schedule, self.classes = schedule, classes
        self.warps = augment.LABELS if augmented else 0
        self.as_map = config.conditioning == "map"
        self.unet = UNet(
            channels + plane_count(schedule) if self.as_map else channels,
            channels,
            min(sides),
            channels=config.channels,
            multipliers=config.multipliers,
            blocks=config.blocks,
            attention=config.attention,
            dropout=config.dropout,
            classes=classes,
            film=(0 if self.as_map else schedule.k) + self.warps,
        )

    def forward(self, x_t: Tensor, alpha: Tensor, labels: Tensor | None = None, warps: Tensor | None = None) -> Tensor:
        if x_t.shape[1:] != self.schedule.shape:
            shape = self.schedule.shape
            raise ShapeError(f"x_t: need (batch, *{shape}), got {tuple(x_t.shape)}; add a batch axis?")
        if alpha.shape != (x_t.shape[0], self.schedule.k):
            raise ShapeError(
                f"alpha: need one data weight per image and group, {(x_t.shape[0], self.schedule.k)}, "
                f"got {tuple(alpha.shape)}; use the alpha of the network's own schedule"
            )
        x = torch.cat((x_t, planes(self.schedule, alpha)), dim=1) if self.as_map else x_t
        return self.unet(x, clock(alpha), labels, film=self._film(alpha, warps))

    def _film(self, alpha: Tensor, warps: Tensor | None) -> Tensor | None:
        """Return what enters the embedding besides the clock and the class: alpha, and the augmentation."""
        told = [] if self.as_map else [alpha]
        if self.warps:
            told.append(alpha.new_zeros(len(alpha), self.warps) if warps is None else warps)
        elif warps is not None:
            raise ShapeError(
                "warps: this network knows no augmentation; leave them out, or build it with augmented=True"
            )
        return torch.cat(told, dim=1) if told else None
