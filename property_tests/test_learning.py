"""A train step computes the same on every library: from the same numbers the same draws, from these the same loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdm.arrays import namespace
from gdm.augment import NORMAL, UNIFORM, apply, bicubic, drawn
from gdm.backends.jax.draws import Random as JaxRandom
from gdm.backends.torch import augment as torch_augment
from gdm.backends.torch.draws import Random as TorchRandom
from gdm.backends.torch.draws import mixed
from gdm.config import TrainingConfig
from gdm.draws import Draws, draw, rows
from gdm.errors import DTypeError, ShapeError, ValueRangeError
from gdm.groupings import Groupings
from gdm.learning import batch_loss
from gdm.schedule import Schedule
from property_tests.problems import random_network, seeds, whole
from property_tests.support import LIBRARIES, Library, agree, arrays, refused, same_bits

TORCH, JAX = (next(library for library in LIBRARIES if library.name == name) for name in ("torch", "jax"))
SHAPE, BATCH, CLASSES = (2, 3, 4), 5, 3
MEMBERS = (Schedule.rows(SHAPE, 3, intervals=[(0.6, 1.0), (0.3, 0.5), (0.0, 0.3)]), Schedule.columns(SHAPE, 2))
GROUPINGS = (Groupings(MEMBERS[:1]), Groupings(MEMBERS[:1], (True,)), Groupings(MEMBERS, (True, False)))
BY_LIBRARY = pytest.mark.parametrize("lib", LIBRARIES, ids=repr)


@dataclass(frozen=True)
class Case:
    """A run's settings; of classes there are none where they are 0."""

    training: TrainingConfig
    groupings: Groupings
    classes: int


def case(number: int, weighting: Any, mask: bool, augment: float) -> Case:
    """Return one case of twelve, the remaining settings spread over them so that each meets each."""
    hidden, times = 0.4 * (mask != bool(augment)), ("uniform", "stratified")[number // 3 % 2]
    training = TrainingConfig(
        weighting=weighting,
        mask_pending=mask,
        augment=augment,
        label_dropout=hidden,
        times=times,  # type: ignore[arg-type]
    )
    return Case(training, GROUPINGS[(number + number // 4) % 3], CLASSES if hidden or number % 4 else 0)


CASES = tuple(
    case(number, *settings)
    for number, settings in enumerate(product(("uniform", "active", "rate"), (False, True), (0.0, 0.5)))
)
BY_CASE = pytest.mark.parametrize("case", CASES, ids=map(str, range(len(CASES))))


class Numbers:
    """Random numbers of NumPy, kept, so that they can be had again on another library."""

    def __init__(self, seed: int) -> None:
        self.rng, self.given = np.random.default_rng(seed), []

    def normal(self, *shape: int) -> np.ndarray:
        self.given.append(self.rng.normal(size=shape))
        return self.given[-1]

    def uniform(self, *shape: int) -> np.ndarray:
        self.given.append(self.rng.random(shape))
        return self.given[-1]


class Again:
    """The same numbers in the same order, of whatever kind they are."""

    def __init__(self, numbers: list[Any]) -> None:
        self.left = list(numbers)

    def normal(self, *shape: int) -> Any:
        number = self.left.pop(0)
        assert tuple(number.shape) == shape
        return number

    uniform = normal


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the arrays in a tree of named tuples."""
    for part in tree if isinstance(tree, tuple) else [tree] * (tree is not None):
        yield from leaves(part) if isinstance(part, tuple) else [part] * (part is not None)


def test_the_cases_are_all_kinds() -> None:
    """Each grouping meets each weighting, an augmentation and none, hidden classes and none."""
    for group in GROUPINGS:
        own = [case for case in CASES if case.groupings is group]
        assert {case.training.weighting for case in own} == {"uniform", "active", "rate"}
        for setting in ("mask_pending", "augment", "label_dropout", "times"):
            assert len({getattr(case.training, setting) for case in own}) == 2, setting
    assert any(not case.classes for case in CASES)


@lru_cache
def drawing(lib: Library, case: Case) -> Any:
    """Return `draw` as a function of the numbers, one program on JAX."""
    return whole(lib, lambda given: draw(Again(given), BATCH, case.groupings, case.training))


@BY_LIBRARY
@BY_CASE
@given(seed=seeds)
def test_draws_follow_from_the_numbers(lib: Library, case: Case, seed: int) -> None:
    """The same on every library; as one JAX program, in which random orders and groupings are looked up."""
    numbers = Numbers(seed)
    expected = draw(numbers, BATCH, case.groupings, case.training)
    got = drawing(lib, case)(list(map(lib.array, numbers.given)))
    for ours, theirs in zip(leaves(got), leaves(expected), strict=True):
        agree(lib.host(ours), theirs, 1e-14)
    uniforms = numbers.given[1]
    times = (np.arange(BATCH) + 1 - uniforms) / BATCH if case.training.times == "stratified" else 1 - uniforms
    agree(lib.host(got.t), times, 1e-14)
    absent = (got.spans is None, got.warp is None, got.hidden is None)
    assert absent == (not case.groupings.drawn, not case.training.augment, not case.training.label_dropout)


@given(seed=seeds, step=st.integers(0, 10**9), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_torchs_numbers_are_those_of_one_generator(seed: int, step: int, dtype: Any) -> None:
    """In the order that runs have always drawn them in, so that a run resumed goes on with the bits it would have had."""
    training = TrainingConfig(augment=0.5, label_dropout=0.4)
    got = draw(TorchRandom(seed, step, "cpu", dtype), BATCH, GROUPINGS[2], training)
    options: Any = {"generator": torch.Generator().manual_seed(mixed(seed, step)), "dtype": dtype}
    same_bits(got.z, torch.randn(BATCH, *SHAPE, **options))
    same_bits(got.t, 1 - torch.rand(BATCH, **options))
    which = (torch.rand(BATCH, **options) * 2).long()
    assert got.spans is not None and got.warp is not None
    expected = GROUPINGS[2].spans(got.t, which, torch.rand(BATCH, 3, **options))
    same_bits(torch.stack(tuple(got.spans)), torch.stack(tuple(expected)))
    uniform, normal = torch.rand(UNIFORM, BATCH, **options), torch.randn(NORMAL, BATCH, **options)
    same_bits(got.warp.labels(), drawn(uniform, normal, 0.5).labels())
    same_bits(got.hidden, torch.rand(BATCH, **options) < 0.4)


def test_jaxs_numbers_follow_from_the_key() -> None:
    """A program draws what is drawn without it; each call, and each key, other numbers, in the dtype that is asked for."""

    def three(key: Any) -> tuple[Any, ...]:
        random = JaxRandom(key, jnp.float32)
        return random.normal(4, 50), random.normal(4, 50), random.uniform(4, 50)

    one, again, other = three(jax.random.key(1)), jax.jit(three)(jax.random.key(1)), three(jax.random.key(2))
    for first, second, third in zip(one, again, other, strict=True):
        assert first.dtype == jnp.float32
        agree(second, first, 1e-6)  # a compiler may contract products and sums
        assert not (first == third).any()
    assert not (one[0] == one[1]).any()


def test_jaxs_numbers_are_normal_and_uniform() -> None:
    """Means and variances within five standard errors."""
    random, n = JaxRandom(jax.random.key(0), jnp.float64), 20_000
    normal, uniform = random.normal(n), random.uniform(n)
    agree(normal.mean(), 0, 5 / n**0.5)
    agree(normal.var(), 1, 5 * (2 / n) ** 0.5 / 2)
    agree(uniform.mean(), 0.5, 5 * (1 / 12 / n) ** 0.5)
    assert uniform.min() >= 0 and uniform.max() < 1 and uniform.var() > 0.08


def told_network(groupings: Groupings) -> Any:
    """Return a network on any library whose output depends on everything that it is told."""
    plain = random_network(3, groupings.schedule)

    def network(x_t: Any, alpha: Any, weights: Any, warps: Any) -> Any:
        xp, u = namespace(x_t, alpha), plain(x_t, alpha)
        for number, told in enumerate((weights, warps)):
            if told is not None:
                scale = xp.astype(xp.cumulative_sum(xp.ones_like(told), axis=1), u.dtype)
                u = u + (number + 1) * xp.sum(told * scale, axis=1)[:, None, None, None]
        return u

    return network


@lru_cache
def loss_of(lib: Library, case: Case) -> Any:
    """Return batch_loss as a function of images, labels and draws, one program on JAX."""

    def loss(images: Any, labels: Any, draws: Draws) -> Any:
        return batch_loss(
            told_network(case.groupings),
            images,
            labels,
            draws,
            groupings=case.groupings,
            training=case.training,
            classes=case.classes,
            dtype=namespace(images).float64,
            sample=torch_augment.bicubic if lib.name == "torch" else bicubic,
        )

    return whole(lib, loss)


def there(lib: Library, tree: Any) -> Any:
    """Return a tree of NumPy arrays in a library."""
    if isinstance(tree, tuple):
        return type(tree)(*(there(lib, part) for part in tree))  # type: ignore[call-arg]
    return None if tree is None else lib.array(tree)


def part_of_a_batch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images as bytes and labels."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (BATCH, *SHAPE), np.uint8), rng.integers(0, CLASSES, BATCH)


@BY_LIBRARY
@BY_CASE
@given(seed=seeds)
def test_every_library_computes_one_loss(lib: Library, case: Case, seed: int) -> None:
    """From the same images, labels and draws; the classes hidden are zeros, and each sample counts as itself."""
    draws = draw(Numbers(seed), BATCH, case.groupings, case.training)
    images, labels = part_of_a_batch(seed)
    told = labels if case.classes else None
    got = loss_of(lib, case)(lib.array(images), None if told is None else lib.array(told), there(lib, draws))
    assert tuple(got.shape) == ()
    agree(lib.host(got), by_hand(case, images, told, draws), 1e-11)


def by_hand(case: Case, images: Any, labels: Any, draws: Draws) -> float:
    """Return the loss from its parts, in NumPy: what the network is told, its answer's error, and how errors count."""
    schedule, x, warps = case.groupings.schedule, images / 127.5 - 1, None
    if draws.warp is not None:
        warp = there(TORCH, draws.warp)
        x, warps = (part.numpy() for part in apply(torch.tensor(x), warp, torch_augment.bicubic))
    weights = None if labels is None else np.eye(CLASSES)[labels]
    if weights is not None and draws.hidden is not None:
        weights[draws.hidden] = 0
    alpha = schedule.shown_alpha(draws.t, draws.spans)
    spread = schedule.expand(schedule.alpha(draws.t, draws.spans))
    x_t = spread * x + (1 - spread) * draws.z
    if case.training.mask_pending:
        x_t = np.where(schedule.expand(alpha) > 0, x_t, 0)
    squares = (x - draws.z - told_network(case.groupings)(x_t, alpha, weights, warps)) ** 2
    active = schedule.expand(schedule.active(draws.t, orders=draws.spans))
    if case.training.weighting == "active":
        means = [squares[n][active[n] == 1].mean() for n in range(BATCH) if active[n].any()]
        return float(np.mean(means)) if means else 0.0
    if case.training.weighting == "rate":
        squares = schedule.expand(schedule.alpha_rate(draws.t, orders=draws.spans)) ** 2 * squares
    return float(squares.mean())


@BY_LIBRARY
def test_the_loss_of_parts_is_that_of_the_batch(lib: Library) -> None:
    """Rows of the draws belong to rows of the images: with equal parts, the mean over parts is the whole."""
    case = Case(TrainingConfig(augment=0.5, label_dropout=0.4), GROUPINGS[2], CLASSES)
    draws = there(lib, draw(Numbers(4), BATCH, case.groupings, case.training))
    images, labels = map(lib.array, part_of_a_batch(4))
    loss, each = loss_of(lib, case), []
    for part in (slice(i, i + 1) for i in range(BATCH)):
        each.append(float(loss(images[part, ...], labels[part], rows(draws, part))))
    agree(np.mean(each), lib.host(loss(images, labels, draws)), 1e-12)


def test_gradients_are_torchs() -> None:
    """Of a scale of the network's output, through all of a part of a train step."""
    training = TrainingConfig(augment=0.5, label_dropout=0.4, weighting="active", mask_pending=True)
    draws, (images, labels) = draw(Numbers(5), BATCH, GROUPINGS[2], training), part_of_a_batch(5)
    network = told_network(GROUPINGS[2])

    def loss(lib: Library, scale: Any) -> Any:
        return batch_loss(
            lambda *told: scale * network(*told), lib.array(images), lib.array(labels), there(lib, draws),
            groupings=GROUPINGS[2], training=training, classes=CLASSES, dtype=scale.dtype,
        )  # fmt: skip

    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    loss(TORCH, scale).backward()
    got = jax.jit(jax.grad(lambda scale: loss(JAX, scale)))(jnp.asarray(0.7, jnp.float64))
    assert scale.grad is not None and abs(float(scale.grad)) > 0.1
    agree(got, scale.grad, 1e-11)


@BY_LIBRARY
def test_what_cannot_be_learned_from_is_refused(lib: Library) -> None:
    case = Case(TrainingConfig(), GROUPINGS[0], CLASSES)
    draws = there(lib, draw(Numbers(0), BATCH, case.groupings, case.training))
    images, labels = map(lib.array, part_of_a_batch(0))
    loss = loss_of(lib, case)
    with refused(DTypeError, "uint8"):
        loss(lib.array(arrays(0, BATCH, *SHAPE)), labels, draws)
    with refused(ShapeError, f"({BATCH},) integers"):
        loss(images, labels[:2], draws)
    if lib.name != "jax":  # under jit no value can be looked at
        with refused(ValueRangeError, f"0 to {CLASSES - 1}"):
            loss(images, labels + CLASSES, draws)
