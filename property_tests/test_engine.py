"""A train step is what it says: each sample's own noise, times, grouping, transformation and class, and no others'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gdm import augment
from gdm.backends.torch import engine
from gdm.backends.torch.augment import bicubic
from gdm.backends.torch.draws import Random
from gdm.backends.world import Alone
from gdm.config import TrainingConfig, from_dict
from gdm.draws import Draws, draw
from gdm.groupings import Groupings
from gdm.pixels import to_unit
from gdm.preparation import prepare
from gdm.schedule import Schedule
from property_tests.runs import SMALL
from property_tests.support import agree, same_bits

TRAINING = {**SMALL["training"], "augment": 0.5, "label_dropout": 0.4, "clip": 0.0}
EVERYTHING = {
    **SMALL,
    "precision": "float64",
    "schedule": {"kind": "blockwise", "grid": [2, 2], "order": "random"},
    "groupings": [{"kind": "rows"}, {"kind": "cascade"}],
}


def trainer_of(config: dict[str, Any]) -> Any:
    """Return a trainer whose weights are all random: none is zero, as some of a new network are."""
    trainer = prepare(from_dict(config)).trainer
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in trainer.parameters.values():
            value.add_(0.1 * torch.randn(value.shape, generator=noise, dtype=value.dtype))
    return trainer


def one_by_one(trainer: Any, drawn: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over samples of ||x - z - u||^2 / n, on the linear path, each sample by itself."""
    errors, fine = [], trainer.groupings.schedule.partition
    groups = torch.tensor(np.array(fine.labels))
    for i in range(len(images)):
        row = slice(i, i + 1)
        warp = augment.Draws(*(part[row] for part in drawn.warp))
        x, told = augment.apply(to_unit(torch.tensor(images[row]), torch.float64), warp, bicubic)
        start, end = (ends[i] for ends in drawn.spans)
        alpha = 1 - ((drawn.t[i] - start) / (end - start)).clamp(0, 1)
        spread = alpha[groups].reshape(x.shape)
        x_t = spread * x + (1 - spread) * drawn.z[row]
        x_t[((drawn.t[i] > end)[groups]).reshape(x.shape)] = 0  # pending
        classes = torch.zeros(1, 10, dtype=torch.float64)
        classes[0, labels[i]] = not drawn.hidden[i]
        with torch.no_grad():
            u = trainer.network(x_t, alpha[None], classes, told)
        errors.append(float(((x - drawn.z[row] - u) ** 2).mean()))
    return float(np.mean(errors))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_loss_is_that_of_the_samples(accumulate: int) -> None:
    """Computed anew from what was drawn; the class is hidden, the image moved, the group pending where it is so."""
    config = {**EVERYTHING, "training": {**TRAINING, "mask_pending": True, "accumulate": accumulate}}
    trainer, rng = trainer_of(config), np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (16, 1, 8, 8), np.uint8), rng.integers(0, 10, 16)
    drawn = draw(Random(0, 5, "cpu", torch.float64), 16, trainer.groupings, trainer.training)
    assert drawn.hidden is not None and 0 < drawn.hidden.sum() < 16
    expected = one_by_one(trainer, drawn, images, labels)
    agree(float(trainer.step(images, labels, 5, 0.0, 1.0)), expected, 1e-12)


def draws(seed: int = 0, step: int = 0, batch: int = 900, **changes: Any) -> Draws:
    """Draw for three groupings that are not shuffled."""
    shape = (1, 4, 4)
    members = (Schedule.rows(shape, 2), Schedule.columns(shape, 2), Schedule.vanilla(shape))
    training = TrainingConfig(**changes)
    return draw(Random(seed, step, "cpu", torch.float64), batch, Groupings(members), training)


def test_a_step_draws_from_its_number_and_the_seed() -> None:
    one, again, later, other = draws(), draws(), draws(step=1), draws(seed=1)
    same_bits(one.z.numpy(), again.z.numpy())
    for theirs in (later, other):
        assert not (one.z == theirs.z).any() and not (one.t == theirs.t).any()
    assert one.warp is None and one.hidden is None


def test_every_grouping_is_as_likely_and_classes_are_hidden_as_often_as_asked() -> None:
    """Of 900 samples 300 follow each of three groupings, and 270 have no class, give or take five deviations."""
    drawn = draws(label_dropout=0.3)
    assert drawn.spans is not None and drawn.hidden is not None
    _, counts = np.unique(drawn.spans.start.numpy(), axis=0, return_counts=True)
    assert len(counts) == 3 and abs(counts - 300).max() < 71
    assert abs(int(drawn.hidden.sum()) - 270) < 69


def test_dropout_follows_from_step_and_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all else held fast, two steps, and two processes, drop other features; the same one drops the same."""
    config = {**SMALL, "network": {**SMALL["network"], "dropout": 0.5}}
    trainer, images, labels = trainer_of(config), np.zeros((8, 1, 8, 8), np.uint8), np.zeros(8, np.int64)
    same = draw(Random(0, 0, "cpu", torch.float32), 1, trainer.groupings, trainer.training)
    fixed = repeated(same, 16)
    monkeypatch.setattr(engine, "draw", lambda *_: fixed)
    losses = {}
    for step, rank in ((0, 0), (1, 0), (0, 1), (0, 0)):
        trainer.world = Alone()
        trainer.world.rank, trainer.world.size = rank, 2
        loss = float(trainer.step(images, labels, step, 0.0, 1.0))
        assert losses.setdefault((step, rank), loss) == loss
    assert len(set(losses.values())) == 3


def repeated(drawn: Draws, batch: int) -> Draws:
    """Repeat the one sample of a draw."""
    return drawn._replace(z=drawn.z.expand(batch, -1, -1, -1), t=drawn.t.expand(batch))
