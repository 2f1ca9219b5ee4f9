"""Laws of names: each finds its group again, whatever the order, and a typo is answered with what there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdm import Basis, Schedule
from gdm.errors import ValueRangeError
from gdm.names import called, find_groups, group_names, masked_groups, regions, stride, vocabulary
from property_tests.support import refused, schedules

IMAGE = (3, 8, 8)
NAMED: list[tuple[Schedule, tuple[str, ...]]] = [
    (Schedule.vanilla(IMAGE), ("all",)),
    (Schedule.blockwise(IMAGE, (2, 2), [3, 0, 1, 2]), ("r1c1", "r0c0", "r0c1", "r1c0")),
    (Schedule.rows(IMAGE, 3, "bottom-to-top"), ("r2", "r1", "r0")),
    (Schedule.columns(IMAGE, 2), ("c0", "c1")),
    (Schedule.columns((6,), 2), ("c0", "c1")),
    (Schedule.cascade(IMAGE), ("coarse", "fine")),
    (Schedule.cascade(IMAGE, inverse=True), ("fine", "coarse")),
    (Schedule.cascade(IMAGE, stages=3), ("coarse", "mid", "fine")),
    (Schedule.cascade((1, 16, 16), stages=4), ("stage0", "stage1", "stage2", "stage3")),
    (Schedule.cascade((2, 9, 9), 3, 3, inverse=True), ("fine", "mid", "coarse")),
    (Schedule.cascade((1, 4, 6), 8), ("coarse", "fine")),
    (Schedule.channels(IMAGE, "reverse"), ("B", "G", "R")),
    (Schedule.channels((2, 3, 3)), ("channel0", "channel1")),
    (Schedule.colour(IMAGE), ("luma", "chroma")),
    (Schedule.bands(IMAGE, (4, 16), "haar", [2, 0, 1]), ("16:64", "0:4", "4:16")),
    (Schedule.from_labels(np.eye(4, dtype=int)[None]), ("group0", "group1")),
    (Schedule.from_labels(np.eye(4, dtype=int)[None], basis=Basis.cosine((1, 4, 4))), ("group0", "group1")),
]


@pytest.mark.parametrize(("schedule", "names"), NAMED, ids=lambda value: str(value)[:40])
def test_names_say_where_groups_lie(schedule: Schedule, names: tuple[str, ...]) -> None:
    assert group_names(schedule) == names


@given(schedules(), st.data())
def test_names_and_numbers_find_their_groups(schedule: Schedule, data: st.DataObject) -> None:
    """Of any groups at all: names are unique, and what groups are called together finds them again."""
    names = group_names(schedule)
    assert len(set(names)) == schedule.k
    chosen = tuple(sorted(data.draw(st.sets(st.integers(0, schedule.k - 1), min_size=1))))
    assert find_groups(schedule, ",".join(map(str, chosen))) == chosen
    assert find_groups(schedule, " , ".join(names[j].upper() for j in chosen)) == chosen
    assert find_groups(schedule, called(schedule, chosen)) == chosen == find_groups(schedule, chosen)


@pytest.mark.parametrize("order", [None, [2, 0, 3, 1]])
def test_names_follow_the_pixels_and_not_the_order(order: Any) -> None:
    schedule = Schedule.blockwise((1, 4, 4), (2, 2), order)
    left = np.zeros((4, 4), bool)
    left[:, :2] = True
    for groups in (find_groups(schedule, "left"), find_groups(schedule, "r0c0,r1c0"), masked_groups(schedule, left)):
        assert (np.isin(schedule.partition.labels[0], groups) == left).all()
    bands = Schedule.bands((1, 4, 4), (2, 5, 9), order=order)
    for word, ranks in (("2:9", range(2, 9)), ("low", range(2)), ("fine", range(9, 16))):
        found = np.isin(bands.partition.labels, find_groups(bands, word))
        assert (found == np.isin(bands.basis.order, ranks)).all(), word


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule.rows((1, 4, 4), 4), {"top": (0, 1), "bottom": (2, 3), "centre": (), "border": ()}),
        (Schedule.columns((1, 4, 4), 2), {"left": (0,), "right": (1,), "top": ()}),
        (
            Schedule.blockwise((1, 9, 9), (3, 3)),
            {"centre": (4,), "left": (0, 3, 6), "border": (0, 1, 2, 3, 5, 6, 7, 8)},
        ),
        (Schedule.blockwise((1, 8, 8), (4, 4)), {"centre": (5, 6, 9, 10), "top": tuple(range(8))}),
        (Schedule.cascade((1, 8, 8)), dict.fromkeys(("left", "right", "top", "bottom", "centre", "border"), ())),
        (Schedule.bands((1, 8, 8), (9,)), dict.fromkeys(("left", "centre"), ())),
        (Schedule.vanilla((1, 8, 8)), dict.fromkeys(("left", "centre"), ())),
    ],
    ids=range(7),
)
def test_regions_are_what_the_groups_allow(schedule: Schedule, expected: dict[str, tuple[int, ...]]) -> None:
    assert {name: regions(schedule).get(name, ()) for name in expected} == expected


def test_a_cascade_tells_its_stride() -> None:
    assert stride(Schedule.cascade(IMAGE)) == (0, 2)
    assert stride(Schedule.cascade((1, 27, 27), factor=3, stages=3, inverse=True)) == (2, 9)
    assert stride(Schedule.rows(IMAGE, 2)) is stride(Schedule.bands(IMAGE, (5,))) is None


def test_the_vocabulary_has_every_word() -> None:
    assert {"coarse", "low", "mid", "high", "fine", "all", "4:16"} < set(vocabulary(Schedule.bands(IMAGE, (4, 16))))
    assert {"red", "R", "green", "blue"} < set(vocabulary(Schedule.channels(IMAGE)))


def test_what_is_refused() -> None:
    blocks, bands = Schedule.blockwise((1, 8, 8), (2, 2)), Schedule.bands((1, 8, 8), (4, 16))
    with refused(ValueRangeError, "0 to 3", "r0c0", "left", "got 'lefft'; did you mean 'left'?"):
        find_groups(blocks, "lefft")
    with refused(ValueRangeError, "0 to 3", "got '4'"):
        find_groups(blocks, "0,4")
    with refused(ValueRangeError, "got 'centre'"):
        find_groups(blocks, "centre")
    with refused(ValueRangeError, "got '-1'"):
        find_groups(blocks, [-1])
    with refused(ValueRangeError, "0, 4, 16, 64", "'4:20'", "--elements"):
        find_groups(bands, "4:20")
    with refused(ValueRangeError, "got ''"):
        find_groups(bands, "")
    one = np.zeros((8, 8), bool)
    one[:4, :5] = True
    with refused(ValueRangeError, "r0c0, r0c1", "got 20 pixels, of which 16"):
        masked_groups(blocks, one)
    with refused(ValueRangeError, "expected (8, 8)", "got (4, 8)"):
        masked_groups(blocks, one[:4])
    with refused(ValueRangeError, "union of the run's groups, 0:4"):
        masked_groups(bands, one)
