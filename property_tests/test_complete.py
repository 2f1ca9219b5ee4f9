"""Laws of complete: what is known is kept, the rest is drawn from its conditional, and only the rest costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import gdm
from gdm.errors import BudgetError, ShapeError, ValueRangeError
from property_tests.problems import TINY, law, matrix, random_mixture, random_network, seeds
from property_tests.support import LIBRARIES, Library, agree, arrays, refused, same_bits, schedules
from reference import mixture


@law(chosen=schedules(), seed=seeds, data=st.data())
def test_known_groups_are_kept(lib: Library, chosen: gdm.Schedule, seed: int, data: st.DataObject) -> None:
    """Known groups come back as they are, to the bit in pixels; the rest does not depend on what was there before."""
    network, x, z = random_network(seed, chosen), arrays(seed, 2, *chosen.shape), arrays(seed + 1, 2, *chosen.shape)
    known = data.draw(st.sets(st.integers(0, chosen.k - 1)))
    keep = np.isin(chosen.partition.labels, list(known))
    got = gdm.complete(network, lib.array(x), known, lib.array(z), chosen, steps=8, solver="heun")
    coordinates, before = (lib.host(chosen.basis.analyze(image)) for image in (got, lib.array(x)))
    same = same_bits if chosen.basis.name == "pixel" else agree
    same(coordinates[:, keep], before[:, keep])
    filled = lib.host(chosen.basis.synthesize(lib.array(np.where(keep, before, 7.0))))
    same(gdm.complete(network, lib.array(filled), known, lib.array(z), chosen, steps=8, solver="heun"), lib.host(got))
    if chosen.basis.name == "pixel":
        nothing = lib.array(np.where(keep, x, np.nan))
        same(gdm.complete(network, nothing, known, lib.array(z), chosen, steps=8, solver="heun"), lib.host(got))


@law(share=0.4, chosen=schedules(shapes=TINY), seed=seeds, data=st.data())
def test_completion_draws_from_the_conditional(
    lib: Library, chosen: gdm.Schedule, seed: int, data: st.DataObject
) -> None:
    """For a Gaussian: given any groups, the others follow x_j = E[x_j | before] + Cov[x_j | before]^{1/2} z_j."""
    oracle, (_, means, covariances) = random_mixture(seed, chosen.shape, components=1)
    U, labels = matrix(chosen), chosen.partition.labels.ravel()
    given_groups = data.draw(st.sets(st.integers(0, chosen.k - 1), max_size=chosen.k - 1))
    x, z = arrays(seed, 1, *chosen.shape), arrays(seed + 1, 1, *chosen.shape)
    mean, covariance, expected, noise = U.T @ means[0], U.T @ covariances[0] @ U, U.T @ x.ravel(), U.T @ z.ravel()
    known = np.isin(labels, list(given_groups))
    for j in sorted(set(range(chosen.k)) - given_groups):
        before, wanted = np.flatnonzero(known).tolist(), np.flatnonzero(labels == j).tolist()
        intercept, gain, block = mixture.conditional(mean, covariance, before, wanted)
        expected[wanted] = intercept + gain @ expected[before] + mixture.symmetric_root(block) @ noise[wanted]
        known |= labels == j
    steps = (16,) * (chosen.k - len(given_groups))
    got = gdm.complete(
        oracle.direction(chosen), lib.array(x), given_groups, lib.array(z), chosen, steps=steps, solver="rk4"
    )
    agree(got, (U @ expected).reshape(x.shape), 5e-4)


def test_completion_spends_the_budget_on_what_is_unknown() -> None:
    """Groups that are known cost nothing; with nothing known it is generate, with everything known it is x."""
    chosen, calls = gdm.Schedule.rows((4, 4), 4), []

    def network(x_t: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        calls.append(alpha[0])
        return np.cos(x_t)

    x, z = arrays(0, 2, 4, 4), arrays(1, 2, 4, 4)
    gdm.complete(network, x, [3, 1], z, chosen, steps=(2, 5))
    agree(calls, [[a, 1, 0, 1] for a in (0, 0.5)] + [[1, 1, a, 1] for a in (0, 0.2, 0.4, 0.6, 0.8)])
    same_bits(gdm.complete(network, x, [], z, chosen, steps=9), gdm.generate(network, z, chosen, steps=9))
    calls.clear()
    same_bits(gdm.complete(network, x, range(4), z, chosen), x)
    assert not calls


ROWS = gdm.Schedule.rows((4, 4), 2)


def negative(x_t: Any, alpha: Any) -> Any:
    """Return -x_t."""
    return -x_t


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_what_complete_refuses(lib: Library) -> None:
    """Groups that are not there, NaN in what is known or drawn, batches that differ."""
    x, z = arrays(0, 2, 4, 4), arrays(1, 2, 4, 4)
    for known in ([2], [-1], [0, 7]):
        with refused(ValueRangeError, "known: expected group numbers 0 to 1", str(known)):
            gdm.complete(negative, lib.array(x), known, lib.array(z), ROWS)
    with refused(ValueRangeError, "known: expected group numbers 0 to 1", "0.5"):
        gdm.complete(negative, lib.array(x), [0.5], lib.array(z), ROWS)  # type: ignore[list-item]
    broken = np.where(x == x[0, 0, 0], math.nan, x)
    with refused(ValueRangeError, "x in the known groups: expected finite numbers"):
        gdm.complete(negative, lib.array(broken), [0], lib.array(z), ROWS)
    with refused(ValueRangeError, "z: expected finite numbers"):
        gdm.complete(negative, lib.array(x), [0], lib.array(broken), ROWS)
    with refused(ShapeError, "z: expected one noise per sample"):
        gdm.complete(negative, lib.array(x), [0], lib.array(z[:1]), ROWS)
    with refused(BudgetError, "steps: expected", "1"):
        gdm.complete(negative, lib.array(x), [0], lib.array(z), ROWS, steps=(3, 3))
