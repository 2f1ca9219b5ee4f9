"""A partition gives every coordinate exactly one group, numbered in order of generation.

Partitions are host values, so these laws need no array library: how a value per group reaches an array of any
library is `Schedule.expand`, in `test_schedule.py`.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gdm import Partition
from gdm.errors import PartitionError
from property_tests.support import agree, refused, same_bits
from reference import bases, groups

Grid = tuple[int, ...]

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
images = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7))
seeds = st.integers(0, 2**32 - 1)


@st.composite
def partitions(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> Partition:
    """Draw any partition: every group has an element, labels are otherwise random."""
    shape = draw(shapes) if shape is None else shape
    size = int(np.prod(shape))
    k = draw(st.integers(1, min(6, size)))
    rng = np.random.default_rng(draw(seeds))
    labels = rng.permutation(np.concatenate([np.arange(k), rng.integers(0, k, size - k)]))
    return Partition(labels.reshape(shape))


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, ...], Grid]:
    """Draw an event shape and a grid over all or some of its last axes."""
    shape = draw(shapes)
    axes = draw(st.integers(1, len(shape)))
    return shape, tuple(draw(st.integers(1, n)) for n in shape[-axes:])


def orders(k: int) -> st.SearchStrategy[list[int]]:
    """Return permutations of 0..k-1."""
    return st.permutations(range(k))


def cells(shape: tuple[int, ...], grid: Grid) -> np.ndarray:
    """Return the raster number of the grid cell of every element, one element at a time."""
    labels = np.empty(shape, np.int64)
    for index in np.ndindex(*shape):
        tail = list(zip(index, shape, strict=True))[-len(grid) :]
        parts = [groups.section(i, n, m) for (i, n), m in zip(tail, grid, strict=True)]
        labels[index] = np.ravel_multi_index(parts, grid)
    return labels


# Every constructor against the reference


@given(shapes, st.data())
def test_single_and_elements(shape: tuple[int, ...], data: st.DataObject) -> None:
    same_bits(Partition.single(shape).labels, np.zeros(shape))
    same_bits(Partition.elements(shape).labels, groups.element_labels(shape))
    order = data.draw(orders(int(np.prod(shape))))
    same_bits([Partition.elements(shape, order).labels.ravel()[i] for i in order], np.arange(len(order)))


@given(images, st.data())
def test_blocks(shape: tuple[int, int, int], data: st.DataObject) -> None:
    grid = (data.draw(st.integers(1, shape[1])), data.draw(st.integers(1, shape[2])))
    order = data.draw(st.none() | orders(grid[0] * grid[1]))
    same_bits(Partition.blocks(shape, grid, order).labels, groups.block_labels(shape, grid, order))


@given(grids())
def test_blocks_of_any_number_of_axes(case: tuple[tuple[int, ...], Grid]) -> None:
    shape, grid = case
    same_bits(Partition.blocks(shape, grid).labels, cells(shape, grid))


def test_the_default_grid_is_three_by_three() -> None:
    same_bits(Partition.blocks((1, 7, 8)).labels, groups.block_labels((1, 7, 8), (3, 3)))


@given(images, st.data())
def test_rows_and_columns(shape: tuple[int, int, int], data: st.DataObject) -> None:
    for make, label, n, backwards in (
        (Partition.rows, groups.row_labels, shape[1], "bottom-to-top"),
        (Partition.columns, groups.column_labels, shape[2], "right-to-left"),
    ):
        k = data.draw(st.integers(1, n))
        forwards = "top-to-bottom" if make == Partition.rows else "left-to-right"
        order = data.draw(orders(k))
        same_bits(make(shape, k).labels, label(shape, k))
        same_bits(make(shape).labels, label(shape, n))
        same_bits(make(shape, k, forwards).labels, label(shape, k))
        same_bits(make(shape, k, backwards).labels, k - 1 - label(shape, k))
        same_bits(make(shape, k, order).labels, np.argsort(order)[label(shape, k)])


@given(
    st.tuples(st.just(1), st.integers(1, 12), st.integers(1, 12)), st.integers(2, 4), st.integers(1, 4), st.booleans()
)
@example((1, 10, 7), 3, 3, False)
def test_lattice(shape: tuple[int, int, int], factor: int, stages: int, inverse: bool) -> None:
    expected = groups.lattice_labels(shape, factor, stages - 1, inverse)
    if len(np.unique(expected)) < stages:  # too small an image: two lattices coincide
        with refused(PartitionError, "is empty"):
            Partition.lattice(shape, factor, stages, inverse)
    else:
        same_bits(Partition.lattice(shape, factor, stages, inverse).labels, expected)


def test_lattice_of_a_sequence() -> None:
    same_bits(Partition.lattice((5,), 2, 3).labels, [0, 2, 1, 2, 0])


@given(images, st.data())
def test_channels(shape: tuple[int, int, int], data: st.DataObject) -> None:
    order = data.draw(st.none() | orders(shape[0]))
    rank = np.arange(shape[0]) if order is None else np.argsort(order)
    same_bits(Partition.channels(shape, order).labels, rank[groups.channel_labels(shape)])


@given(images.filter(lambda shape: shape[1] * shape[2] > 1), st.data())
def test_bands(shape: tuple[int, int, int], data: st.DataObject) -> None:
    _, height, width = shape
    edges = sorted(data.draw(st.sets(st.integers(1, height * width - 1), min_size=1, max_size=4)))
    cosine, blur = bases.cosine_ranks(height, width), bases.blur_ranks(height, width)
    same_bits(Partition.bands(shape, edges).labels, groups.band_labels(shape, cosine, edges))
    rank = np.broadcast_to(blur, shape)
    same_bits(Partition.bands(shape, edges, rank).labels, groups.band_labels(shape, blur, edges))


@given(partitions())
def test_from_labels_and_from_groups_are_the_partition(partition: Partition) -> None:
    assert Partition.from_labels(partition.labels) == Partition(partition.labels.astype(np.uint8)) == partition
    members = [partition.indices(j).tolist() for j in range(partition.k)]
    assert Partition.from_groups(partition.shape, members) == partition


# What every partition is


@given(partitions())
def test_groups_are_disjoint_and_complete(partition: Partition) -> None:
    members = [partition.indices(j) for j in range(partition.k)]
    same_bits(np.sort(np.concatenate(members)), np.arange(partition.labels.size))
    assert [len(m) for m in members] == list(partition.sizes) and min(partition.sizes) >= 1
    for j, m in enumerate(members):
        same_bits(partition.labels.ravel()[m], np.full(len(m), j))
        assert (np.diff(m) > 0).all()


@given(st.integers(1, 40), st.data())
def test_sizes_are_those_of_array_split(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    same_bits(Partition.columns((n,), k).sizes, [len(part) for part in np.array_split(np.arange(n), k)])


@given(partitions() | images.map(Partition.rows) | images.map(Partition.channels))
def test_compact_labels_are_the_labels_without_constant_axes(partition: Partition) -> None:
    same_bits(np.broadcast_to(partition.compact, partition.shape), partition.labels)
    for axis, n in enumerate(partition.compact.shape):
        constant = (partition.labels == partition.labels.take([0], axis)).all()
        assert n == (1 if constant else partition.shape[axis])


@given(partitions(), st.data())
def test_reorder_renumbers_and_nothing_else(partition: Partition, data: st.DataObject) -> None:
    order = data.draw(orders(partition.k))
    reordered = partition.reorder(order)
    for j, old in enumerate(order):
        same_bits(reordered.indices(j), partition.indices(old))
    assert reordered.reorder(np.argsort(order)) == partition
    assert partition.reorder(range(partition.k)) == partition


@given(grids(), st.data())
def test_an_order_given_to_a_constructor_is_reorder(case: tuple[tuple[int, ...], Grid], data: st.DataObject) -> None:
    shape, grid = case
    order = data.draw(orders(int(np.prod(grid))))
    assert Partition.blocks(shape, grid, order) == Partition.blocks(shape, grid).reorder(order)
    assert Partition.blocks(shape, grid, np.array(order)) == Partition.blocks(shape, grid, tuple(order))


# Orders by name


def walk(grid: Grid, order: Any, seed: int | None = None) -> np.ndarray:
    """Return the cells of a grid in order of generation, (k, axes)."""
    cell = np.argsort(Partition.elements(grid, order, seed).labels.ravel())
    return np.stack(np.unravel_index(cell, grid), axis=1)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple))
def test_raster_and_reverse(grid: Grid) -> None:
    expected = list(np.ndindex(*grid))
    same_bits(walk(grid, "raster"), expected)
    same_bits(walk(grid, None), expected)
    same_bits(walk(grid, "reverse"), expected[::-1])


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple))
def test_snake_turns_round_every_second_line(grid: Grid) -> None:
    lines = np.array(list(np.ndindex(*grid))).reshape(-1, grid[-1], len(grid))
    expected = [line[::-1] if number % 2 else line for number, line in enumerate(lines)]
    same_bits(walk(grid, "snake"), np.concatenate(expected))


@given(st.integers(1, 7), st.integers(1, 7))
def test_spiral_walks_rings_from_the_centre(height: int, width: int) -> None:
    away = walk((height, width), "spiral") - np.array([height - 1, width - 1]) / 2
    ring = np.abs(away).max(axis=1)
    assert (np.diff(ring) >= 0).all()
    angle = np.arctan2(away[:, 0], away[:, 1])
    assert (np.diff(angle)[np.diff(ring) == 0] > 0).all()
    if height == width:  # rings are closed: neighbours in time are neighbours in space
        steps = np.abs(np.diff(away, axis=0)).sum(axis=1)
        same_bits(steps[np.diff(ring) == 0], np.ones((np.diff(ring) == 0).sum()))


@given(st.integers(2, 5), st.integers(2, 5), seeds)
def test_a_seed_is_an_order(height: int, width: int, seed: int) -> None:
    drawn = walk((height, width), None, seed)
    same_bits(walk((height, width), "random", seed), drawn)
    same_bits(sorted(map(tuple, drawn)), list(np.ndindex(height, width)))
    others = [walk((height, width), None, seed + n) for n in range(1, 5)]
    assert any((other != drawn).any() for other in others)


def test_seeds_mean_the_same_everywhere() -> None:
    """Pinned: a schedule drawn from a seed is part of a trained model."""
    same_bits(walk((9,), None, 0).ravel(), [0, 6, 7, 5, 8, 1, 3, 2, 4])
    same_bits(walk((9,), "random", 7).ravel(), [6, 3, 8, 1, 2, 7, 5, 0, 4])


@given(images, seeds)
def test_orders_reach_every_constructor(shape: tuple[int, int, int], seed: int) -> None:
    k = shape[0]
    drawn = walk((k,), None, seed).ravel()
    assert Partition.channels(shape, None, seed) == Partition.channels(shape, drawn)
    assert Partition.channels(shape, "reverse") == Partition.channels(shape, range(k)[::-1])
    for make, n in ((Partition.rows, shape[1]), (Partition.columns, shape[2])):
        drawn = walk((n,), None, seed).ravel()
        assert make(shape, None, None, seed) == make(shape, n, drawn)
        assert make(shape, order="reverse") == make(shape, n, range(n)[::-1])


# Refinements


@st.composite
def stacks(draw: st.DrawFn) -> list[Partition]:
    """Draw one to three partitions of one shape."""
    shape = draw(shapes)
    return draw(st.lists(partitions(shape), min_size=1, max_size=3))


@given(stacks())
def test_refine_is_the_coarsest_common_refinement(stack: list[Partition]) -> None:
    """Two elements share a group of it if and only if they share one in every partition; numbered by the first."""
    together = [p.labels.ravel()[:, None] == p.labels.ravel() for p in stack]
    fine = Partition.refine(*stack)
    same_bits(fine.labels.ravel()[:, None] == fine.labels.ravel(), np.logical_and.reduce(together))
    ranked = [tuple(p.labels.ravel()[fine.indices(j)[0]] for p in stack) for j in range(fine.k)]
    assert ranked == sorted(ranked)
    for p in stack:
        same_bits(p.parents(fine)[fine.labels], p.labels)
        same_bits(p.parents(p), np.arange(p.k))


@given(partitions(), st.data())
def test_refine_of_one_is_itself(partition: Partition, data: st.DataObject) -> None:
    assert Partition.refine(partition) == Partition.refine(partition, partition) == partition
    coarse = Partition.single(partition.shape)
    assert Partition.refine(coarse, partition) == partition
    if partition.k > 1:
        with refused(PartitionError, "expected a refinement", "Partition.refine"):
            partition.parents(coarse)


# Values: frozen, hashable, independent of what they came from


@given(stacks())
def test_equal_labels_are_equal_partitions(stack: list[Partition]) -> None:
    for a in stack:
        for b in stack:
            assert (a == b) == (a.labels.tolist() == b.labels.tolist())
            assert a != b or hash(a) == hash(b)
    assert Partition.columns((4,), 2) != Partition.blocks((2, 2), (2, 1))  # equal bytes, other shapes
    assert Partition.single((2,)) != np.zeros(2)


def test_partitions_are_frozen() -> None:
    labels = np.array([0, 1])
    partition = Partition(labels)
    labels[0] = 1
    same_bits(partition.labels, [0, 1])
    for array in (partition.labels, partition.compact):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    for other in (copy.deepcopy(partition), pickle.loads(pickle.dumps(partition))):
        assert other == partition and hash(other) == hash(partition)
        assert not other.labels.flags.writeable and not other.compact.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        partition.k = 3  # type: ignore[misc]
    assert repr(Partition.rows((1, 4, 4), 2)) == "Partition(k=2, shape=(1, 4, 4), sizes=(8, 8))"
    assert "16 in all" in repr(Partition.elements((16,)))


def test_an_image_of_a_quarter_of_a_million_elements() -> None:
    """Autoregressive over 256 x 256 x 3: numbering is not quadratic."""
    agree(Partition.elements((3, 256, 256), "snake").k, 3 * 256 * 256)
    agree(Partition.blocks((3, 256, 256), (256, 256), "spiral").sizes, [3] * 256 * 256)


# Errors


REFUSED: list[tuple[Callable[[], object], tuple[str, ...]]] = [
    (lambda: Partition(np.array([0, 2])), ("group 1 of 3 is empty", "without holes")),
    (lambda: Partition(np.array([0, -1, -1])), ("2 elements have no group", "give each one")),
    (lambda: Partition(np.array([0.0, 1.0])), ("expected integers", "float64", "0, 1, 2")),
    (lambda: Partition(np.array([True])), ("expected integers", "bool")),
    (lambda: Partition(np.array(0)), ("event shape", "()")),
    (lambda: Partition(np.zeros((0, 2), int)), ("event shape", "(0, 2)")),
    (lambda: Partition.single(()), ("event shape such as", "()")),
    (lambda: Partition.single((3, 0)), ("event shape such as", "(3, 0)")),
    (lambda: Partition.from_groups((3,), [[0, 1], [1, 2]]), ("groups 0 and 1 overlap at index 1",)),
    (lambda: Partition.from_groups((3,), [[0], [1]]), ("1 elements have no group",)),
    (lambda: Partition.from_groups((3,), [[0], [], [1, 2]]), ("group 1 of 3 is empty",)),
    (lambda: Partition.from_groups((2,), [[0], [2]]), ("group 1", "0 to 1", "got 2 to 2")),
    (lambda: Partition.from_groups((2,), [[0], [-1]]), ("group 1", "0 to 1", "got -1")),
    (lambda: Partition.blocks((1, 4, 4), (5, 1)), ("1 to 4 parts of axis 1", "got 5")),
    (lambda: Partition.blocks((1, 4, 4), (2, 0)), ("1 to 4 parts of axis 2", "got 0")),
    (lambda: Partition.blocks((4,), (2, 2)), ("grid", "1 to 1 numbers", "(2, 2)")),
    (lambda: Partition.blocks((4,), ()), ("grid", "got ()")),
    (lambda: Partition.blocks((4, 4), (2, 2), (0, 1, 2)), ("each of 0 to 3 once", "(0, 1, 2)")),
    (lambda: Partition.blocks((4, 4), (2, 2), (0, 1, 2, 2)), ("each of 0 to 3 once",)),
    (lambda: Partition.blocks((4, 4), (2, 2), (1, 2, 3, 4)), ("each of 0 to 3 once",)),
    (lambda: Partition.blocks((4, 4), (2, 2), "spirral"), ("'spirral'", "did you mean 'spiral'?")),
    (lambda: Partition.blocks((4, 4), (2, 2), "random"), ("needs a seed", "seed=0")),
    (lambda: Partition.rows((4,), 2), ("at least two axes", "use columns")),
    (lambda: Partition.rows((4, 4), 5), ("1 to 4 parts", "got 5")),
    (lambda: Partition.columns((4, 4), 0), ("1 to 4 parts", "got 0")),
    (lambda: Partition.lattice((4, 4), 1), ("factor >= 2", "got 1")),
    (lambda: Partition.lattice((4, 4), 2, 0), ("stages >= 1", "and 0")),
    (lambda: Partition.bands((1, 2, 2), (2, 2)), ("rising within 1 to 3", "(2, 2)", "[a, b)")),
    (lambda: Partition.bands((1, 2, 2), (0, 2)), ("within 1 to 3", "(0, 2)")),
    (lambda: Partition.bands((1, 2, 2), (4,)), ("within 1 to 3", "(4,)")),
    (lambda: Partition.bands((1, 2, 2), (0.5,)), ("expected integers", "(0.5,)")),  # type: ignore[arg-type]
    (lambda: Partition.bands((1, 2, 2), 2), ("expected integers", "got 2")),  # type: ignore[arg-type]
    (lambda: Partition.bands((1, 2, 2), (1,), np.arange(2)), ("rank", "(1, 2, 2)", "got (2,)", "basis of this shape")),
    (lambda: Partition.elements((4,), seed=-1), ("seed", "from 0", "got -1")),
    (lambda: Partition.refine(), ("of one shape", "got []")),
    (lambda: Partition.refine(Partition.single((2,)), Partition.single((3,))), ("of one shape", "(3,)")),
    (lambda: Partition.single((2,)).parents(Partition.single((3,))), ("expected a refinement",)),
    (lambda: Partition.single((2,)).indices(1), ("0 to 0", "got 1", "order of generation")),
    (lambda: Partition.single((2,)).indices(-1), ("0 to 0", "got -1")),
    (lambda: Partition.rows((2, 2)).reorder((0, 0)), ("each of 0 to 1 once", "(0, 0)")),
    (lambda: Partition.rows((2, 2)).reorder((0,)), ("each of 0 to 1 once", "(0,)")),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_errors_say_what_was_expected_and_what_came(call: Callable[[], object], words: tuple[str, ...]) -> None:
    with refused(PartitionError, *words):
        call()
