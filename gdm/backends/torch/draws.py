"""Random numbers in PyTorch, drawn on the device from (seed, step): a run has no generator's state to save."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Random:
    """The random numbers of train step `step` (see `gdm.draws.Random`), from a generator of its own."""

    def __init__(self, seed: int, step: int, device: Any, dtype: Any) -> None:
        generator = torch.Generator(device).manual_seed(mixed(seed, step))
        self._options: dict[str, Any] = {"generator": generator, "device": device, "dtype": dtype}

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, **self._options)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, **self._options)


def mixed(*numbers: int) -> int:
    """Hash numbers such as (seed, step) into a generator's seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
