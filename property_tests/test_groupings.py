"""One network for several groupings and for random orders: each sample is diffused as its own schedule says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdm
from gdm.errors import PartitionError, ShapeError
from gdm.groupings import Groupings
from gdm.schedule import Spans
from property_tests.problems import law, random_network
from property_tests.support import LIBRARIES, Library, agree, refused, same_bits, schedules

SHAPE = (1, 4, 4)
MEMBERS = (
    gdm.Schedule.rows(SHAPE, 2, order="bottom-to-top", intervals=[(0.3, 1.0), (0.0, 0.3)]),
    gdm.Schedule.blockwise(SHAPE, (2, 2)),
    gdm.Schedule.cascade(SHAPE),
)


def drawn(lib: Library, groupings: Groupings, seed: int, batch: int = 6) -> tuple[np.ndarray, np.ndarray, Any, Any]:
    """Draw members, keys and times, as NumPy's and in the library."""
    rng = np.random.default_rng(seed)
    which, keys = rng.integers(0, len(groupings.members), batch), rng.random((batch, groupings.keys))
    t = lib.array(1 - rng.random(batch))
    return which, keys, t, groupings.spans(t, lib.array(which), lib.array(keys))


@law(share=0.5, seed=st.integers(0, 999), shuffled=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_each_sample_follows_its_own_schedule(lib: Library, seed: int, shuffled: tuple[bool, ...]) -> None:
    """x_t, the loss and alpha of a mixed batch are, sample by sample, those of the member, reordered by its keys."""
    groupings = Groupings(MEMBERS, shuffled)
    which, keys, t, spans = drawn(lib, groupings, seed)
    rng = np.random.default_rng(seed + 1)
    x, z = (lib.array(rng.normal(size=(len(which), *SHAPE))) for _ in range(2))
    fine = groupings.schedule
    together = lib.host(gdm.interpolate(fine, x, z, t, orders=spans))
    alphas = lib.host(fine.expand(fine.shown_alpha(t, spans)))
    active = lib.host(fine.expand(fine.active(t, orders=spans)))
    for n, number in enumerate(which):
        own = MEMBERS[number]
        if shuffled[number]:
            own = own.reorder(np.argsort(keys[n, : own.k]).tolist())
        row = slice(n, n + 1)
        same_bits(together[row], lib.host(gdm.interpolate(own, x[row, ...], z[row, ...], t[row])))
        same_bits(alphas[row], lib.host(own.expand(own.shown_alpha(t[row]))))
        same_bits(active[row], lib.host(own.expand(own.active(t[row]))))


@law(share=0.3, chosen=schedules(), seed=st.integers(0, 999))
def test_an_order_is_spans(lib: Library, chosen: gdm.Schedule, seed: int) -> None:
    """Orders and the spans that they mean give the same bits, in every loss."""
    rng = np.random.default_rng(seed)
    orders = lib.array(np.argsort(rng.random((3, chosen.k)), axis=1))
    x, z = (lib.array(rng.normal(size=(3, *chosen.shape))) for _ in range(2))
    t = lib.array(1 - rng.random(3))
    network, spans = random_network(seed, chosen), chosen.spans(t, orders)
    for weighting in ("uniform", "active", "rate"):
        options: dict[str, Any] = {"weighting": weighting, "mask_pending": True}
        by_orders = gdm.direction_loss(network, x, z, t, chosen, orders=orders, **options)
        same_bits(lib.host(gdm.direction_loss(network, x, z, t, chosen, orders=spans, **options)), lib.host(by_orders))


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_spans_must_fit(lib: Library) -> None:
    t = lib.array(np.array([0.5, 0.25]))
    two = lib.array(np.zeros((2, 2)))
    for spans in (Spans(two[:1, ...], two[:1, ...]), Spans(two, two[:, :1]), Spans(t, t)):
        with refused(ShapeError, "expected spans of (2, 2)"):
            MEMBERS[0].alpha(t, spans)


def test_the_network_is_built_on_the_common_refinement() -> None:
    groupings = Groupings(MEMBERS)
    assert groupings.schedule.partition == gdm.Partition.refine(*(member.partition for member in MEMBERS))
    t = np.linspace(0, 1, 21)
    agree(groupings.schedule.expand(groupings.schedule.alpha(t)), MEMBERS[0].expand(MEMBERS[0].alpha(t)))
    assert Groupings(MEMBERS[:1]).schedule is MEMBERS[0] and not Groupings(MEMBERS[:1]).drawn
    assert Groupings(MEMBERS[:1], (True,)).drawn and Groupings(MEMBERS).drawn
    assert hash(Groupings(MEMBERS)) == hash(Groupings(MEMBERS, (False,) * 3))


def test_what_the_network_was_taught() -> None:
    """A member's groups in its order, in any order if it is shuffled, and no others."""
    groupings = Groupings(MEMBERS, (False, True, False))
    for member in MEMBERS:
        assert groupings.taught(member.partition)
    assert groupings.taught(MEMBERS[1].partition.reorder([3, 1, 0, 2]))
    for other in (MEMBERS[0].reorder([1, 0]), gdm.Schedule.vanilla(SHAPE), gdm.Schedule.blockwise(SHAPE, (4, 1))):
        assert not groupings.taught(other.partition)


@given(st.integers(0, 2**31))
def test_every_order_is_as_likely(seed: int) -> None:
    """Of 600 samples with three shuffled groups, each of the 6 orders has 100, give or take five deviations (46)."""
    groupings = Groupings((gdm.Schedule.rows((3, 1), 3),), (True,))
    rng = np.random.default_rng(seed)
    spans = groupings.spans(np.full(600, 0.5), np.zeros(600, int), rng.random((600, 3)))
    _, counts = np.unique(spans.start, axis=0, return_counts=True)
    assert len(counts) == 6 and abs(counts - 100).max() < 46


def test_what_one_network_cannot_serve_is_refused() -> None:
    bands = gdm.Schedule.bands(SHAPE, (4,))
    curved = gdm.Schedule.rows(SHAPE, 2, path="trigonometric")
    for other in (bands, curved, gdm.Schedule.rows((1, 4, 2), 2)):
        with refused(PartitionError, "groupings: expected the first one's shape (1, 4, 4)"):
            Groupings((MEMBERS[0], other))
    with refused(PartitionError, "at least one member"):
        Groupings(())
    with refused(PartitionError, "got 3 and 2"):
        Groupings(MEMBERS, (True, False))
