"""The U-Net as a network of the library: a callable (x_t, alpha) -> u."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gdm import architecture
from gdm.arrays import namespace
from gdm.backends.torch.unet import UNet
from gdm.conditioning import check_given, clock, film_vector, planes
from gdm.parameters import initial
from gdm.schedule import Schedule

if TYPE_CHECKING:
    from gdm.config import NetworkConfig


class GroupwiseUNet(nn.Module):
    """Predict the direction u = E[x - z | x_t] (Eq. 8) of image events; the network sees A(t), not t.

    In both ways of conditioning the mean of alpha is the clock of the noise embedding. Besides,
    "map" concatenates A(t) to x_t as planes, as in Sec. 3.1, and "film" maps alpha into the embedding.
    In frequency space (Fig. 10) the U-Net works on coordinates, u = U f(U^T x_t); else on images, as A.1 advises.

    labels: the class of each image, or a weight per class, of which all zeros means no class.
    warps: the labels of the augmentation that an image went through; None for images as they are.
    seed: of the first weights, `gdm.parameters.initial`

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

    def __init__(
        self, schedule: Schedule, config: NetworkConfig, *, classes: int = 0, augmented: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        namespace(torch.empty(0))  # remembered from here on; else the first call under torch.compile compiles twice
        a = architecture.of(config, schedule, classes=classes, augmented=augmented)
        self.schedule, self.classes, self.warps, self.as_map = schedule, classes, a.warps, a.as_map
        self.in_basis = a.in_basis
        self.unet = UNet(
            a.in_channels,
            a.out_channels,
            a.resolution,
            channels=a.channels,
            multipliers=a.multipliers,
            blocks=a.blocks,
            attention=a.attention,
            dropout=a.dropout,
            classes=classes,
            film=a.film,
        )
        self.load_state_dict({name: torch.from_numpy(value) for name, value in initial(a, seed).items()})

    def forward(self, x_t: Tensor, alpha: Tensor, labels: Tensor | None = None, warps: Tensor | None = None) -> Tensor:
        check_given(self.schedule, x_t, alpha)
        x = self._in_full(self.schedule.basis.analyze, x_t) if self.in_basis else x_t
        x = torch.cat((x, planes(self.schedule, alpha, self.in_basis)), dim=1) if self.as_map else x
        film = film_vector(alpha, warps, as_map=self.as_map, count=self.warps)
        u = self.unet(x, clock(alpha), labels, film=film)
        return self._in_full(self.schedule.basis.synthesize, u) if self.in_basis else u

    @staticmethod
    def _in_full(transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Change the basis in the type of x, also where the network's own products are rounded to bfloat16."""
        with torch.autocast(x.device.type, enabled=False):
            return transform(x)
