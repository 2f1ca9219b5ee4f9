"""How far encoded latents are from independent standard normal numbers (Remark 4.1).

The optimal model encodes data to N(0, I), whose total correlation is zero. The Gaussian total correlation,
1/2 (sum_i log C_ii - log det C) in nats, sees dependence through the covariance C alone: it is a lower bound of the
total correlation where the marginals are normal. Of n samples it is above zero even for independent numbers, by
about d^2 / 4n; so it stands beside two baselines with the same bias: the same latents with each coordinate shuffled
over the samples, and as many draws of N(0, I).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gdm import statistics
from gdm.arrays import check_event, check_finite
from gdm.errors import ValueRangeError
from gdm.schedule import Schedule

DIVERGENCE, MARGINAL, TOTAL, BETWEEN = "divergence from N(0, I)", "marginals", "total correlation", "between groups"


class Quantity(NamedTuple):
    """One part of the divergence from N(0, I), in nats, beside what it is for independent numbers.

    divergence = marginals + total correlation; total correlation = between groups + the sum within groups
    value, error: of the latents, the error by a jackknife over samples
    shuffled, normal: mean and standard deviation (`_sd`) over repeats of the baselines
    """

    name: str
    dimensions: int
    value: float
    error: float
    shuffled: float
    shuffled_sd: float
    normal: float
    normal_sd: float

    @property
    def excess(self) -> float:
        """What independent numbers with these marginals would not have."""
        return self.value - self.shuffled


class Marginal(NamedTuple):
    """How normal the coordinates of a group are, each by itself, averaged over them.

    mean: of the absolute means; sd: standard deviation; kurtosis: in excess of 3
    rejected: share of coordinates that a Kolmogorov-Smirnov test against N(0, 1) rejects at 5 %
    normal, normal_sd: the same share of draws of N(0, 1), mean and standard deviation over repeats
    """

    name: str
    dimensions: int
    mean: float
    sd: float
    kurtosis: float
    rejected: float
    normal: float
    normal_sd: float


class Independence(NamedTuple):
    """What `total_correlation` finds: quantities in nats, marginals by group and over all, of how many samples."""

    quantities: tuple[Quantity, ...]
    marginals: tuple[Marginal, ...]
    samples: int

    def __getitem__(self, name: Any) -> Any:
        """Return a quantity by its name."""
        return {quantity.name: quantity for quantity in self.quantities}[name]


def total_correlation(
    schedule: Schedule, z: Any, *, repeats: int = 20, blocks: int = 20, seed: int = 0
) -> Independence:
    """Compare latents with N(0, I): divergence, total correlation within and between groups, and marginals.

    Coordinates are those of the schedule's basis. All numbers are those of Gaussians with the latents' moments.

    Shapes: z (n, *event), on the host
    Raises: ShapeError; ValueRangeError for latents that are not finite, too few of them, or linearly dependent
    """
    check_event(z, schedule.shape, "z")
    check_finite(z, "z")
    values = schedule.basis.analyze(np.asarray(z, np.float64)).reshape(len(z), -1)
    groups = [schedule.partition.indices(j) for j in range(schedule.k)]
    check_count(*values.shape, blocks)
    measure = partial(_parts, groups=groups)
    own = statistics.jackknife(measure, values, blocks, seed)
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, 1]))
    shuffled = _repeated(measure, lambda: rng.permuted(values, axis=0), repeats)
    rejected, drawn = [], []
    for _ in range(repeats):
        normal = rng.standard_normal(values.shape)
        drawn.append(measure(normal))
        rejected.append(_by_group(_rejects(normal), groups))
    columns = (*own, *shuffled, np.mean(drawn, axis=0), np.std(drawn, axis=0, ddof=1))
    d = values.shape[1]
    named = {DIVERGENCE: d, MARGINAL: d, TOTAL: d, BETWEEN: d}
    named |= {f"within group {j}": len(group) for j, group in enumerate(groups)}
    rows = zip(named.items(), *columns, strict=True)
    quantities = tuple(Quantity(name, size, *map(float, numbers)) for (name, size), *numbers in rows)
    return Independence(quantities, _marginals(values, groups, np.array(rejected)), len(values))


def check_count(n: int, d: int, blocks: int = 20) -> None:
    """Refuse too few samples for a covariance of d coordinates, with any block left out. Raises: ValueRangeError"""
    least = -(-(d + 2) * blocks // (blocks - 1))  # what is left without one block is to have rank d
    if n < least:
        remedy = "give more images, or look at fewer coordinates"
        raise ValueRangeError(f"z: expected at least {least} samples of {d} coordinates, got {n}; {remedy}")


def _repeated(
    measure: Callable[[np.ndarray], np.ndarray], draw: Callable[[], np.ndarray], repeats: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of a statistic over draws."""
    if repeats < 2:
        raise ValueRangeError(f"repeats: expected at least 2, for a standard deviation, got {repeats}")
    found = np.stack([measure(draw()) for _ in range(repeats)])
    return found.mean(axis=0), found.std(axis=0, ddof=1)


def _parts(values: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Return divergence, marginals, total correlation, that between groups, and within each. Shapes: (n, d) -> (4 + k,)

    The logarithms are of the correlation matrix R, since scales cancel: total correlation = -1/2 log det R.
    """
    mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1)
    if still := int((deviation == 0).sum()):
        raise ValueRangeError(f"z: expected coordinates that vary, got {still} that do not; leave constants out")
    scaled = (values - mean) / deviation
    correlation = scaled.T @ scaled / (len(values) - 1)
    total = _half_log(correlation)
    within = [_half_log(correlation[np.ix_(group, group)]) for group in groups]
    marginals = 0.5 * (deviation**2 + mean**2 - 1 - 2 * np.log(deviation)).sum()
    return np.array([marginals + total, marginals, total, total - sum(within), *within])


def _half_log(correlation: np.ndarray) -> float:
    sign, log = np.linalg.slogdet(correlation)
    if sign <= 0 or not np.isfinite(log):
        expected = f"expected {len(correlation)} linearly independent coordinates"
        raise ValueRangeError(f"z: {expected}, got a covariance without full rank; leave copies and constants out")
    return -0.5 * float(log)


def _marginals(values: np.ndarray, groups: list[np.ndarray], normal: np.ndarray) -> tuple[Marginal, ...]:
    """Describe coordinates by group, and all of them. Shapes: values (n, d), normal (repeats, k + 1)"""
    mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1)
    kurtosis = (((values - mean) / deviation) ** 4).mean(axis=0) - 3
    measured = [_by_group(each, groups) for each in (np.abs(mean), deviation, kurtosis, _rejects(values))]
    columns = (*measured, normal.mean(axis=0), normal.std(axis=0, ddof=1))
    names = [*(f"group {j}" for j in range(len(groups))), "all"]
    sizes = [*map(len, groups), values.shape[1]]
    rows = zip(names, sizes, *columns, strict=True)
    return tuple(Marginal(name, size, *map(float, numbers)) for name, size, *numbers in rows)


def _by_group(per_coordinate: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """Average over the coordinates of each group, and over all. Shapes: (d,) -> (k + 1,)"""
    return np.array([*(per_coordinate[group].mean() for group in groups), per_coordinate.mean()])


def _rejects(values: np.ndarray, level: float = 0.05) -> np.ndarray:
    """Tell which coordinates a two-sided Kolmogorov-Smirnov test against N(0, 1) rejects. Shapes: (n, d) -> (d,)"""
    from scipy.special import ndtr
    from scipy.stats import kstwo

    n = len(values)
    below = ndtr(np.sort(values, axis=0))
    ranks = np.arange(n)[:, None]
    distance = np.maximum((below - ranks / n).max(axis=0), ((ranks + 1) / n - below).max(axis=0))
    return (distance > kstwo.isf(level, n)).astype(float)
