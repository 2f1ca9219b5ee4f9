"""The random numbers of a train step: for the whole batch of all processes, always drawn in the same order.

Each process keeps the rows of its samples, so the number of processes changes no sample's noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gdm import augment
from gdm.arrays import namespace
from gdm.groupings import Groupings
from gdm.objective import stratify
from gdm.schedule import Spans

if TYPE_CHECKING:
    from gdm.config import TrainingConfig


class Random(Protocol):
    """Random numbers of one train step, on a device in a dtype: each call gives new ones, the same in every run."""

    def normal(self, *shape: int) -> Any:
        """Draw standard normal numbers."""
        ...

    def uniform(self, *shape: int) -> Any:
        """Draw uniform numbers in [0, 1)."""
        ...


class Draws(NamedTuple):
    """What is random about the samples of a batch, each with a leading batch axis; None where a run does not use it.

    z: noise, (batch, *event); t: times in (0, 1], (batch,); spans: the intervals of each sample's grouping and order;
    warp: the augmentation's transformations; hidden: whether the class is hidden, bool (batch,)
    """

    z: Any
    t: Any
    spans: Spans | None
    warp: augment.Draws | None
    hidden: Any


def draw(random: Random, batch: int, groupings: Groupings, training: TrainingConfig) -> Draws:
    """Draw for all samples of a train step, under tracing too."""
    z = random.normal(batch, *groupings.schedule.shape)
    uniforms = random.uniform(batch)
    t = stratify(uniforms) if training.times == "stratified" else 1 - uniforms
    spans = warp = hidden = None
    if groupings.drawn:
        which = _whole_below(len(groupings.members), random.uniform(batch))
        spans = groupings.spans(t, which, random.uniform(batch, groupings.keys))
    if training.augment:
        uniforms = random.uniform(augment.UNIFORM, batch)
        warp = augment.drawn(uniforms, random.normal(augment.NORMAL, batch), training.augment)
    if training.label_dropout:
        hidden = random.uniform(batch) < training.label_dropout
    return Draws(z, t, spans, warp, hidden)


def rows(tree: Any, chosen: slice) -> Any:
    """Return these rows of every array in a tree of named tuples."""
    if isinstance(tree, tuple):
        return type(tree)(*(rows(part, chosen) for part in tree))  # type: ignore[call-arg]
    return tree if tree is None else tree[chosen, ...]


def _whole_below(count: int, uniforms: Any) -> Any:
    """Turn uniform numbers in [0, 1) into 0, ..., count - 1, all as likely; a product may round up to count."""
    xp = namespace(uniforms)
    return xp.astype(xp.clip(uniforms * count, 0.0, count - 1.0), xp.int32)
