"""The random numbers of a train step, drawn on the device from (seed, step) for the whole batch of all processes.

Each process keeps the rows of its samples. So a run has no generator's state to save, and the number of processes
changes no sample's noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gdm import augment
from gdm.groupings import Groupings
from gdm.objective import stratify
from gdm.schedule import Spans

if TYPE_CHECKING:
    from gdm.config import TrainingConfig


class Draws(NamedTuple):
    """What is random about the samples of a batch, each with a leading batch axis; None where a run does not use it.

    z: noise, (batch, *event); t: times in (0, 1], (batch,); spans: the intervals of each sample's grouping and order;
    warp: the augmentation's transformations; hidden: whether the class is hidden, bool (batch,)
    """

    z: Tensor
    t: Tensor
    spans: Spans | None
    warp: augment.Draws | None
    hidden: Tensor | None


def draw(
    seed: int, step: int, batch: int, groupings: Groupings, training: TrainingConfig, device: Any, dtype: Any
) -> Draws:
    """Draw for all samples of training step `step`, always in the same order."""
    generator = torch.Generator(device).manual_seed(mixed(seed, step))
    options: dict[str, Any] = {"generator": generator, "device": device, "dtype": dtype}
    z = torch.randn(batch, *groupings.schedule.shape, **options)
    uniforms = torch.rand(batch, **options)
    t = stratify(uniforms) if training.times == "stratified" else 1 - uniforms
    spans = warp = hidden = None
    if groupings.drawn:
        which = (torch.rand(batch, **options) * len(groupings.members)).long()
        keys = torch.rand(batch, groupings.keys, **options)
        spans = groupings.spans(t, which.clamp_(max=len(groupings.members) - 1), keys)
    if training.augment:
        uniform = torch.rand(augment.UNIFORM, batch, **options)
        warp = augment.drawn(uniform, torch.randn(augment.NORMAL, batch, **options), training.augment)
    if training.label_dropout:
        hidden = torch.rand(batch, **options) < training.label_dropout
    return Draws(z, t, spans, warp, hidden)


def rows(tree: Any, chosen: slice) -> Any:
    """Return these rows of every tensor in a tree of named tuples."""
    if isinstance(tree, tuple):
        return type(tree)(*(rows(part, chosen) for part in tree))  # type: ignore[call-arg]
    return tree if tree is None else tree[chosen]


def mixed(*numbers: int) -> int:
    """Hash numbers such as (seed, step) into a generator's seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
