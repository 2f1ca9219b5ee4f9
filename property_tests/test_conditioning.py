"""How A(t) reaches a network: as images, and as one number for its noise embedding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdm import Basis, Schedule
from gdm.conditioning import clock, plane_count, planes
from gdm.errors import DTypeError, ShapeError
from property_tests.support import EVENTS, LIBRARIES, Library, agree, refused, same_bits, schedules

libraries = pytest.mark.parametrize("lib", LIBRARIES, ids=repr)


def weights(k: int, seed: int) -> np.ndarray:
    """Return weights of k groups in [0, 1], (3, k), with 0 and 1 among them."""
    return np.clip(np.random.default_rng(seed).uniform(-0.3, 1.3, (3, k)), 0, 1)


@libraries
@given(schedules(shapes=EVENTS[1:]), st.integers(0, 99))
def test_planes_are_the_diagonal_of_a_in_pixels_and_constants_elsewhere(
    lib: Library, schedule: Schedule, seed: int
) -> None:
    """In pixels: the diagonal of A itself, one plane for all channels where they agree."""
    alpha, (channels, height, width) = weights(schedule.k, seed), schedule.shape
    got = lib.host(planes(schedule, lib.array(alpha)))
    assert got.shape == (3, plane_count(schedule), height, width)
    if schedule.basis.name != "pixel":
        same_bits(got, np.broadcast_to(alpha[:, :, None, None], (3, schedule.k, height, width)))
        return
    diagonal = alpha[:, schedule.partition.labels]
    same_bits(np.broadcast_to(got, diagonal.shape), diagonal)
    shared = (schedule.partition.labels == schedule.partition.labels[:1]).all()
    assert plane_count(schedule) == (1 if shared else channels)


@libraries
@pytest.mark.parametrize(
    ("schedule", "count"),
    [
        (Schedule.vanilla((3, 4, 5)), 1),
        (Schedule.blockwise((3, 4, 5), (2, 2)), 1),
        (Schedule.rows((3, 4, 5)), 1),
        (Schedule.channels((3, 4, 5)), 3),
        (Schedule.autoregressive((2, 2, 2)), 2),
        (Schedule.bands((3, 4, 5), (2, 6, 9)), 4),
        (Schedule.from_labels(np.zeros((3, 4, 5), int), basis=Basis.from_matrix((3, 4, 5), np.eye(20))), 1),
    ],
)
def test_plane_counts(lib: Library, schedule: Schedule, count: int) -> None:
    assert plane_count(schedule) == count
    got = planes(schedule, lib.array(weights(schedule.k, 0)))
    assert tuple(got.shape) == (3, count, *schedule.shape[1:])


@libraries
@given(st.integers(1, 4), st.integers(0, 99))
def test_the_clock_is_999_times_the_mean_noise(lib: Library, k: int, seed: int) -> None:
    alpha = weights(k, seed)
    agree(clock(lib.array(alpha)), [999 * (1 - sum(row) / k) for row in alpha], 1e-13)
    agree(clock(lib.array(alpha[:, ::-1])), lib.host(clock(lib.array(alpha))), 1e-13)


@libraries
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_clock_runs_from_0_to_999(lib: Library, kind: type) -> None:
    """Exactly: 0 is data; and in the precision of alpha."""
    alpha = lib.array(np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], kind))
    same_bits(clock(alpha), [0, 999, 499.5])
    assert clock(alpha).dtype == alpha.dtype == planes(Schedule.rows((1, 4, 1)), alpha).dtype


@libraries
def test_what_does_not_fit_is_refused(lib: Library) -> None:
    for schedule in (Schedule.rows(EVENTS[0], 2), Schedule.bands(EVENTS[0], (3,))):
        for alpha in (np.ones((3, 3)), np.ones(2), np.ones((3, 2, 1))):
            with refused(ShapeError, "expected (batch, 2)", f"got {alpha.shape}"):
                planes(schedule, lib.array(alpha))
    with refused(DTypeError, "expected an array"):
        clock([[1.0]])  # type: ignore[type-var]
