"""An edit of latents changes the coordinates that were chosen, by group, element or channel, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdm import Schedule, latents
from gdm.errors import BackendError, DTypeError, GDMError, ShapeError, ValueRangeError
from property_tests.support import EVENTS, LIBRARIES, Library, agree, arrays, refused, same_bits, schedules

libraries = pytest.mark.parametrize("lib", LIBRARIES, ids=repr)


class Case(NamedTuple):
    """A schedule, latents and others to take from, and what is chosen."""

    schedule: Schedule
    z: np.ndarray
    other: np.ndarray
    choice: dict[str, Any]

    def chosen(self) -> np.ndarray:
        """Return the choice as booleans of the event's shape, one coordinate at a time."""
        s, mask = self.schedule, np.empty(self.schedule.shape, bool)
        for index in np.ndindex(*s.shape):
            number = {"groups": s.partition.labels[index], "elements": s.basis.order[index], "channels": index[0]}
            mask[index] = all(number[name] in np.atleast_1d(wanted) for name, wanted in self.choice.items())
        return mask

    def coordinates(self, lib: Library, z: Any) -> np.ndarray:
        """Return U^T z in host memory."""
        return lib.host(self.schedule.basis.analyze(z))

    def check(self, lib: Library, got: Any, expected: np.ndarray, tolerance: float = 1e-12) -> None:
        """Compare coordinates; those that were not chosen to the bit where the basis is pixels."""
        assert got.dtype == lib.array(self.z).dtype
        got, rest = self.coordinates(lib, got), ~self.chosen()
        agree(got, expected, tolerance)
        if self.schedule.basis.name == "pixel":
            same_bits(got[:, rest], expected[:, rest])

    def ours(self, lib: Library) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates of both latents."""
        return self.coordinates(lib, lib.array(self.z)), self.coordinates(lib, lib.array(self.other))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a choice by any of groups, elements and channels: a number, some numbers, none, or no restriction."""
    s, seed = draw(schedules(shapes=EVENTS[1:])), draw(st.integers(0, 99))
    counts = {"groups": s.k, "elements": int(s.basis.order.max()) + 1, "channels": s.shape[0]}
    choice: dict[str, Any] = {}
    for name, count in counts.items():
        number = st.integers(0, count - 1)
        wanted = draw(st.none() | number | st.lists(number, max_size=count))
        if wanted is not None:
            choice[name] = wanted
    return Case(s, arrays(seed, 2, *s.shape), arrays(seed + 100, 2, *s.shape), choice)


# What is chosen


@given(cases())
def test_a_selection_is_what_all_restrictions_allow(case: Case) -> None:
    same_bits(latents.selection(case.schedule, **case.choice), case.chosen())
    same_bits(latents.selection(case.schedule), np.ones(case.schedule.shape))
    for kind in (set, tuple, np.array, iter):  # any iterable will do
        choice = {name: kind(np.atleast_1d(wanted).tolist()) for name, wanted in case.choice.items()}
        same_bits(latents.selection(case.schedule, **choice), case.chosen())


def test_a_selection_by_hand() -> None:
    """Group 1 of two rows; the lowest frequency of the last channel."""
    same_bits(latents.selection(Schedule.rows((1, 2, 2)), 1), [[[0, 0], [1, 1]]])
    bands = Schedule.bands((2, 2, 2), (1,))
    same_bits(latents.selection(bands, groups=0), [[[1, 0], [0, 0]]] * 2)
    same_bits(latents.selection(bands, elements=[0, 3], channels=1), [[[0, 0], [0, 0]], [[1, 0], [0, 1]]])
    same_bits(latents.selection(Schedule.autoregressive((3,), "reverse"), 0), [0, 0, 1])


# Edits


@libraries
@given(cases())
def test_swap_and_resample_take_the_chosen_from_the_other(lib: Library, case: Case) -> None:
    z, other = lib.array(case.z), lib.array(case.other)
    own, theirs = case.ours(lib)
    expected = np.where(case.chosen(), theirs, own)
    for edit in (latents.swap, latents.resample):
        case.check(lib, edit(case.schedule, z, other, **case.choice), expected)
    same_bits(z, case.z)  # the arguments are left as they were
    same_bits(other, case.other)


@libraries
@given(cases())
def test_keep_leaves_the_chosen_and_replaces_the_rest(lib: Library, case: Case) -> None:
    z, noise, (own, theirs) = lib.array(case.z), lib.array(case.other), case.ours(lib)
    mask = case.chosen()
    for got, rest in (
        (latents.keep(case.schedule, z, noise, **case.choice), theirs),
        (latents.keep(case.schedule, z, **case.choice), 0 * theirs),
    ):
        coordinates = case.coordinates(lib, got)
        agree(coordinates, np.where(mask, own, rest), 1e-12)
        if case.schedule.basis.name == "pixel":
            same_bits(coordinates[:, mask], own[:, mask])


@libraries
@given(cases())
def test_keeping_and_swapping_make_a_whole(lib: Library, case: Case) -> None:
    z, other, s = lib.array(case.z), lib.array(case.other), case.schedule
    agree(latents.keep(s, z, other, **case.choice), lib.host(latents.swap(s, other, z, **case.choice)), 1e-12)
    twice = latents.swap(s, latents.swap(s, z, other, **case.choice), z, **case.choice)
    agree(twice, case.z, 1e-12)


def turned(a: np.ndarray, b: np.ndarray, weight: float) -> np.ndarray:
    """Return a turned towards b: the same mix of lengths, `weight` of the angle. a and b are flat."""
    size = np.sqrt(a @ a) * np.sqrt(b @ b)
    angle = np.arccos(np.clip(a @ b / size, -1, 1)) if size > 0 else 0.0
    if np.sin(angle) < 1e-6:
        return (1 - weight) * a + weight * b
    return (np.sin((1 - weight) * angle) * a + np.sin(weight * angle) * b) / np.sin(angle)


@libraries
@given(cases(), st.floats(0, 1))
def test_interpolate_moves_the_chosen_and_no_others(lib: Library, case: Case, weight: float) -> None:
    """Linear: a mix. Spherical: each group's chosen part turns on its own, sample by sample."""
    z, other, (own, theirs) = lib.array(case.z), lib.array(case.other), case.ours(lib)
    mask, s = case.chosen(), case.schedule
    linear = np.where(mask, (1 - weight) * own + weight * theirs, own)
    case.check(lib, latents.interpolate(s, z, other, weight, mode="linear", **case.choice), linear)
    spherical = own.copy()
    for j in range(s.k):
        part = mask & (s.partition.labels == j)
        for n in range(len(own)):
            spherical[n, part] = turned(own[n, part], theirs[n, part], weight)
    got = latents.interpolate(s, z, other, weight, **case.choice)
    case.check(lib, got, spherical, 1e-9)  # arccos loses half the digits where latents are nearly parallel


@libraries
@given(cases())
@pytest.mark.parametrize("mode", ["spherical", "linear"])
def test_weights_0_and_1_are_both_ends(lib: Library, mode: Any, case: Case) -> None:
    z, other = lib.array(case.z), lib.array(case.other)
    check = same_bits if case.schedule.basis.name == "pixel" else agree
    ends = [latents.interpolate(case.schedule, z, other, w, mode=mode, **case.choice) for w in (0.0, 1.0)]
    check(ends[0], case.z)
    check(ends[1], lib.host(latents.swap(case.schedule, z, other, **case.choice)))


@libraries
@given(schedules(shapes=EVENTS[1:]), st.integers(0, 99), st.floats(0, 1))
def test_turning_keeps_lengths_and_turns_evenly(lib: Library, schedule: Schedule, seed: int, weight: float) -> None:
    """Equally long parts stay as long; the angle from the start is `weight` of the whole angle."""
    z, other = arrays(seed, 2, *schedule.shape), arrays(seed + 1, 2, *schedule.shape)
    groups = [schedule.partition.labels == j for j in range(schedule.k) if schedule.partition.sizes[j] > 2]
    for group in groups:
        for value in (z, other):
            value[:, group] /= np.linalg.norm(value[:, group], axis=1, keepdims=True)
    z, other = (schedule.basis.synthesize(value) for value in (z, other))  # unit length in coordinates
    got = latents.interpolate(schedule, lib.array(z), lib.array(other), weight)
    own, theirs, c = (schedule.basis.analyze(value) for value in (z, other, lib.host(got)))
    for group in groups:
        whole = np.arccos(np.sum(own[:, group] * theirs[:, group], axis=1))
        agree(np.linalg.norm(c[:, group], axis=1), np.ones(2), 1e-9)
        agree(np.sum(own[:, group] * c[:, group], axis=1), np.cos(weight * whole), 1e-9)


@libraries
def test_small_angles_are_turned_too(lib: Library) -> None:
    """One group of two elements, an angle from one latent to the other."""
    s = Schedule.vanilla((2,))
    for angle in (1e-4, 0.05, 3.0, 3.1):
        circle = [np.array([[np.cos(a), np.sin(a)]]) for a in (0, angle, 0.3 * angle)]
        agree(latents.interpolate(s, lib.array(circle[0]), lib.array(circle[1]), 0.3), circle[2], 1e-9)


@libraries
def test_parallel_and_empty_latents_mix(lib: Library) -> None:
    """Where the circle is not defined the chord is taken, and nothing is NaN."""
    s, z = Schedule.rows((1, 2, 2)), arrays(0, 1, 1, 2, 2)
    for other in (z, 3 * z, -z):
        got = latents.interpolate(s, lib.array(z), lib.array(other), 0.25)
        agree(got, 0.75 * z + 0.25 * other, 1e-7)
    same_bits(latents.interpolate(s, lib.array(0 * z), lib.array(0 * z), 0.5), 0 * z)


@libraries
@given(cases(), st.lists(st.floats(-3, 3), min_size=3, max_size=3))
def test_traverse_sets_the_chosen_elements_to_each_value(lib: Library, case: Case, values: list[float]) -> None:
    choice = {name: case.choice.get(name) for name in ("elements", "channels")}
    case = case._replace(choice={name: wanted for name, wanted in choice.items() if wanted is not None})
    z, (own, _) = lib.array(case.z), case.ours(lib)
    for given_values in (values, np.array(values), iter(values)):
        got = latents.traverse(case.schedule, z, given_values, **choice)  # type: ignore[arg-type]
        assert tuple(got.shape) == (3, *case.z.shape)
        for n, value in enumerate(values):
            case.check(lib, got[n, ...], np.where(case.chosen(), value, own))


@libraries
def test_float32_stays_float32(lib: Library) -> None:
    z = lib.array(arrays(0, 2, 1, 4, 4).astype(np.float32))
    other = lib.array(arrays(1, 2, 1, 4, 4).astype(np.float32))
    for s in (Schedule.rows((1, 4, 4), 2), Schedule.bands((1, 4, 4), (3,))):
        edited = [
            latents.swap(s, z, other, groups=0),
            latents.keep(s, z, groups=0),
            latents.interpolate(s, z, other, 0.3, groups=0),
            latents.interpolate(s, z, other, 0.3, mode="linear"),
            latents.traverse(s, z, [1.0], elements=0),
        ]
        assert [y.dtype for y in edited] == [z.dtype] * 5


# Errors


ROWS = Schedule.rows((2, 3, 4), 3)
NUMBERS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"groups": 3}, ("groups: expected numbers 0 to 2", "[3]")),
    ({"groups": [0, -1]}, ("groups: expected numbers 0 to 2", "[-1, 0]")),
    ({"elements": 12}, ("elements: expected numbers 0 to 11", "[12]")),
    ({"channels": (0, 2)}, ("channels: expected numbers 0 to 1", "[0, 2]")),
]
Z = np.zeros((2, 2, 3, 4))
ARRAYS: list[tuple[type[GDMError], Callable[[Callable[[Any], Any]], tuple[Any, Any]], tuple[str, ...]]] = [
    (ShapeError, lambda a: (a(Z[0]), a(Z[0])), ("z: expected (batch, 2, 3, 4)", "add a batch axis")),
    (ShapeError, lambda a: (a(Z), a(Z[..., :2])), ("other: expected (batch, 2, 3, 4)", "got (2, 2, 3, 2)")),
    (
        ShapeError,
        lambda a: (a(Z), a(Z[:1])),
        ("other: expected as many latents as z", "(2, 2, 3, 4)", "got (1, 2, 3, 4)"),
    ),
    (DTypeError, lambda a: (a(Z.astype(int)), a(Z)), ("z: expected floating-point", "int64")),
    (DTypeError, lambda a: (a(Z), a(Z.astype(int))), ("other: expected floating-point", "int64")),
    (DTypeError, lambda a: (Z.tolist(), a(Z)), ("expected an array", "got list")),
    (DTypeError, lambda a: (a(Z), Z.tolist()), ("expected an array", "got list")),
]


@libraries
@pytest.mark.parametrize(("choice", "words"), NUMBERS)
def test_numbers_that_are_not_there_are_refused(lib: Library, choice: dict[str, Any], words: tuple[str, ...]) -> None:
    z = lib.array(Z)
    with refused(ValueRangeError, *words):
        latents.selection(ROWS, **choice)
    for edit in (latents.swap, latents.resample, latents.keep):
        with refused(ValueRangeError, *words):
            edit(ROWS, z, z, **choice)
    with refused(ValueRangeError, *words):
        latents.interpolate(ROWS, z, z, 0.5, **choice)
    if "groups" not in choice:
        with refused(ValueRangeError, *words):
            latents.traverse(ROWS, z, [0.0], **{"elements": None, **choice})


@libraries
@pytest.mark.parametrize(("kind", "pair", "words"), ARRAYS)
def test_latents_that_do_not_fit_are_refused(
    lib: Library, kind: type[GDMError], pair: Callable[..., tuple[Any, Any]], words: tuple[str, ...]
) -> None:
    z, other = pair(lambda value: lib.array(np.array(value)))
    for edit in (
        lambda: latents.swap(ROWS, z, other, groups=0),
        lambda: latents.resample(ROWS, z, other, groups=0),
        lambda: latents.keep(ROWS, z, other, groups=0),
        lambda: latents.interpolate(ROWS, z, other, 0.5, groups=0),
        lambda: latents.interpolate(ROWS, z, other, 0.5, groups=0, mode="linear"),
    ):
        with refused(kind, *words):
            edit()
    if words[0].startswith("z"):
        with refused(kind, *words):
            latents.traverse(ROWS, z, [0.0], elements=0)


@pytest.mark.parametrize("wanted", [0.7, [0.0, 1.0], [True, False, True], "1", ["1"]])
def test_numbers_are_whole(wanted: Any) -> None:
    """A mask or a fraction is not taken for numbers."""
    for name in ("groups", "elements", "channels"):
        with refused(DTypeError, f"{name}: expected whole numbers"):
            latents.selection(ROWS, **{name: wanted})


def test_modes_and_mixed_libraries_are_refused() -> None:
    with refused(ValueRangeError, "mode", "'sperical'", "did you mean 'spherical'?"):
        latents.interpolate(ROWS, Z, Z, 0.5, mode="sperical")  # type: ignore[arg-type]
    for one in LIBRARIES:
        for other in LIBRARIES:
            if one is not other:
                with refused(BackendError, "expected arrays of one library", one.name, other.name):
                    latents.swap(ROWS, one.array(Z), other.array(Z), groups=0)
