"""Laws of thin products: the corner holds every group but one, and what is computed in it is the full transform."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import gdm
from gdm.corner import corner_of
from gdm.objective import direction_loss, interpolate, velocity_loss
from property_tests.problems import law, matrix, random_network, seeds, weights
from property_tests.support import DIFFERENTIABLE, Library, agree, arrays, same_bits


class Case(NamedTuple):
    """A schedule with a corner, and three samples of everything."""

    schedule: gdm.Schedule
    x: np.ndarray
    z: np.ndarray
    t: np.ndarray
    orders: np.ndarray


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw any groups within a corner of at most half each side, anywhere in the order; some differ by channel."""
    shape = draw(st.sampled_from([(1, 6, 5), (2, 4, 7)]))
    rng = np.random.default_rng(draw(seeds))
    side = [draw(st.integers(1, n // 2)) for n in shape[1:]]
    k = draw(st.integers(1, min(4, 1 + math.prod(side) * shape[0])))
    corner = np.concatenate([np.arange(k), rng.integers(0, k, math.prod(side) * shape[0])])[
        1 : 1 + math.prod(side) * shape[0]
    ]
    labels = np.zeros(shape, int)
    labels[:, : side[0], : side[1]] = rng.permutation(corner).reshape(shape[0], *side)
    labels = rng.permutation(k)[labels]
    basis, path = draw(st.sampled_from(["cosine", "blur", "haar"])), draw(st.sampled_from(["linear", "vp"]))
    schedule = gdm.Schedule.from_labels(labels, basis=basis, path=path)
    x, z = rng.normal(size=(2, 3, *shape))
    t = np.array([draw(st.sampled_from(schedule.breakpoints)), *rng.uniform(size=2)])
    return Case(schedule, x, z, t, np.stack([rng.permutation(k) for _ in range(3)]))


def without_corner(schedule: gdm.Schedule) -> gdm.Schedule:
    """Return the same schedule, computed by full transforms."""
    other = gdm.Schedule(schedule.partition, schedule.intervals, schedule.basis, schedule.path, schedule.overlap)
    object.__setattr__(other, "corner", None)
    return other


@law(case=cases())
def test_interpolation_is_equation_11(lib: Library, case: Case) -> None:
    """x_t = U (A U^T x + S U^T z) by the reference's matrices, one order for all and one per sample."""
    s = case.schedule
    assert s.corner is not None
    U = matrix(s)
    for orders in (None, case.orders):
        got = lib.host(
            interpolate(
                s, *map(lib.array, (case.x, case.z, case.t)), orders=None if orders is None else lib.array(orders)
            )
        )
        for n, (x, z, t) in enumerate(zip(case.x, case.z, case.t, strict=True)):
            own = s if orders is None else s.reorder(orders[n])
            a, sigma = weights(own, t)
            expected = U @ (a.ravel() * (U.T @ x.ravel()) + sigma.ravel() * (U.T @ z.ravel()))
            agree(got[n], expected.reshape(x.shape))


@law(case=cases(), seed=seeds)
def test_thin_products_are_the_full_transform(lib: Library, case: Case, seed: int) -> None:
    """Scaling, both losses and what a network sees, with every order and mask, are those without a corner."""
    s, full, network = case.schedule, without_corner(case.schedule), random_network(seed, case.schedule)
    x, z, t, values = (lib.array(value) for value in (case.x, case.z, case.t, arrays(seed, 3, s.k)))
    agree(lib.host(s.scale(values, x)), lib.host(full.scale(values, x)))
    for orders in (None, lib.array(case.orders)):
        agree(
            lib.host(velocity_loss(network, x, z, t, s, orders=orders)),
            lib.host(velocity_loss(network, x, z, t, full, orders=orders)),
        )
        for mask in (False, True):
            seen: list[Any] = []

            def watch(x_t: Any, alpha: Any, seen: list[Any] = seen) -> Any:
                seen.append(x_t)
                return network(x_t, alpha)

            losses = [direction_loss(watch, x, z, t, own, mask_pending=mask, orders=orders) for own in (s, full)]
            agree(lib.host(seen[0]), lib.host(seen[1]))
            agree(lib.host(losses[0]), lib.host(losses[1]))


@pytest.mark.parametrize("lib", DIFFERENTIABLE, ids=repr)
def test_gradients_are_the_transpose(lib: Library) -> None:
    """Gradients pass through sums that are made in place."""
    schedule = gdm.Schedule.bands((2, 6, 6), (2, 5), path="vp")
    x, z, t = arrays(0, 2, 2, 6, 6), arrays(1, 2, 2, 6, 6), np.array([0.3, 0.8])
    results = []
    for own in (schedule, without_corner(schedule)):
        if lib.name == "torch":
            leaves: Any = [torch.tensor(value, requires_grad=True) for value in (x, z, t)]
            (interpolate(own, *leaves) ** 3).sum().backward()
            results.append([leaf.grad for leaf in leaves])
            held: Any = [leaf.detach() for leaf in leaves]
            results.append(
                torch.func.grad(lambda x, z, t, own=own: (interpolate(own, x, z, t) ** 3).sum(), argnums=(0, 1, 2))(
                    *held
                )
            )
            mapped = torch.func.vmap(
                lambda z, own=own, x=held[0], t=held[2]: interpolate(own, x, z[None].expand(2, -1, -1, -1), t)
            )
            agree(mapped(held[1])[1, 1], interpolate(own, *held)[1])
        else:
            import jax

            results.append(
                jax.grad(lambda x, z, t, own=own: (interpolate(own, x, z, t) ** 3).sum(), argnums=(0, 1, 2))(x, z, t)
            )
    for result in results[1:]:
        for got, expected in zip(result, results[0], strict=True):
            agree(got, expected)


def test_a_large_corner_is_none() -> None:
    """No corner for pixels or where groups reach beyond half a side; with one group it is empty and nothing is transformed."""
    assert gdm.Schedule.rows((1, 8, 8), 2).corner is None
    for edges, side in (((1,), 1), ((3,), 2), ((14,), 4), ((40,), None)):
        schedule = gdm.Schedule.bands((2, 8, 8), edges)
        assert (None if schedule.corner is None else schedule.corner.labels.shape) == (side and (1, side, side))
    line = corner_of(gdm.Basis.cosine((9,)), gdm.Partition.bands((9,), (2, 4), gdm.Basis.cosine((9,)).order))
    assert line is not None and line.labels.tolist() == [[0, 0, 1, 1]]
    one = gdm.Schedule(gdm.Partition.single((1, 4, 4)), basis="cosine")
    x, z, t = arrays(0, 2, 1, 4, 4), arrays(1, 2, 1, 4, 4), np.array([0.25, 1.0])
    same_bits(interpolate(one, x, z, t), (1 - t.reshape(2, 1, 1, 1)) * x + t.reshape(2, 1, 1, 1) * z)


def test_the_loss_compiles() -> None:
    """One graph, without a break, and the same number."""
    schedule = gdm.Schedule.bands((2, 6, 6), (2, 5))
    x, z, t = (
        torch.tensor(arrays(0, 2, 2, 6, 6)),
        torch.tensor(arrays(1, 2, 2, 6, 6)),
        torch.tensor([0.3, 0.8]).double(),
    )

    def loss(x: Any, z: Any, t: Any) -> Any:
        return direction_loss(lambda x_t, alpha: x_t**2, x, z, t, schedule, mask_pending=True)

    agree(torch.compile(loss, fullgraph=True, backend="aot_eager")(x, z, t), loss(x, z, t))
