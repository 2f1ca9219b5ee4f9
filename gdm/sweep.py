"""One trained model sampled in many ways, each from the same noise: points, their scores, and a table that grows.

A point is a schedule, a step budget and a solver. `sweep` scores every point with every seed and writes the table anew
after each; called again it goes on from there. What the scores depend on besides, the recipe, lies beside the table,
and another recipe is refused.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gdm import statistics
from gdm.errors import ConfigError, ValueRangeError
from gdm.files import read_json, write_json
from gdm.groupings import Groupings
from gdm.model import Model
from gdm.partition import Partition
from gdm.schedule import Schedule
from gdm.solver import Steps
from gdm.tables import read_csv, write_csv
from gdm.wording import difference

# Table 2's sampling intervals: where groups 3, 2 and 1 of four end, on the way from data to noise.
PAPER = (
    (0.1, 0.8, 0.9),
    (0.3, 0.8, 0.9),
    (0.7, 0.8, 0.9),
    (0.1, 0.2, 0.9),
    (0.1, 0.5, 0.9),
    (0.1, 0.2, 0.3),
    (0.1, 0.2, 0.5),
)
MADE = ("calls", "solver", "steps", "seconds")  # columns of every sweep, besides point, seed, score and facts
POWERS = (1 / 3, 1 / 2, 1.0, 2.0, 3.0)  # of (j / k), for other numbers of groups: from data's end to noise's


@dataclass(frozen=True)
class Point:
    """A way to sample; `name` tells it from the others of a sweep, `facts` are further columns of the table."""

    name: str
    schedule: Schedule
    steps: Steps
    solver: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Score(Protocol):
    """How good what a point makes from the noise of a seed is; less is better.

    name: of its column; about: what its numbers follow from, for the recipe
    """

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> Mapping[str, Any]: ...

    def __call__(self, model: Model, point: Point, seed: int) -> float: ...


def sweep(
    model: Model,
    points: Sequence[Point],
    seeds: Sequence[int],
    score: Score,
    path: Path,
    recipe: Mapping[str, Any],
    *,
    told: Callable[[Mapping[str, Any]], object] | None = None,
) -> list[dict[str, str]]:
    """Score every point with every seed, and return the rows of all of them, as text.

    path: the table, a .csv; a .json beside it holds the recipe. Rows that are there are kept and not made again, those
        of other points and seeds too.
    recipe: what the rows follow from besides the point, the seed and the score; told: is called with each new row

    Raises: ConfigError for a table of another recipe; as the score
    """
    whole = {**recipe, "score": score.name, **score.about}
    columns = ("point", "seed", score.name, *points[0].facts, *MADE) if points else ()
    rows: list[Mapping[str, Any]] = list(_checked(path, _begun(path, whole), columns, score.name))
    there = {(row["point"], str(row["seed"])) for row in rows}
    for seed in seeds:
        for point in points:
            if (point.name, str(seed)) in there:
                continue
            began = time.perf_counter()
            value = score(model, point, seed)
            shares = model.shares(point.steps, point.schedule)
            calls = model.calls(point.steps, point.solver, point.schedule)
            row = {"point": point.name, "seed": seed, score.name: value, **point.facts, "calls": calls}
            row |= {"solver": point.solver, "steps": shares, "seconds": round(time.perf_counter() - began, 3)}
            rows.append(row)
            there.add((point.name, str(seed)))  # a point or seed that is given twice is one
            write_csv(path, rows)
            if told is not None:
                told(row)
    wanted = {(point.name, str(seed)) for seed in seeds for point in points}
    return [row for row in read_csv(path) if (row["point"], row["seed"]) in wanted]


def _checked(path: Path, rows: list[dict[str, str]], columns: Sequence[str], score: str) -> list[dict[str, str]]:
    """Return rows as `sweep` wrote them. Raises: ConfigError for others, which a hand or another program has written"""
    remedy = "mend it, or move it away"
    if absent := [name for name in columns if rows and name not in rows[0]]:
        raise ConfigError(f"{path}: expected a column {absent[0]!r}, got {', '.join(rows[0])}; {remedy}")
    there: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, start=2):
        key = row["point"], row["seed"]
        if key in there:
            again = f"point {row['point']!r} with seed {row['seed']}"
            raise ConfigError(f"{path}, line {number}: expected every point and seed once, got {again} again; {remedy}")
        there.add(key)
        try:
            float(row[score] or math.nan)
        except ValueError:
            raise ConfigError(
                f"{path}, line {number}: expected a number as {score}, got {row[score]!r}; {remedy}"
            ) from None
    return rows


def _begun(path: Path, recipe: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows that are there, made by the same recipe; write the recipe where there are none.

    A recipe whose sweep has no row yet may be written over, but no other file.
    """
    beside = path.with_suffix(".json")
    if not path.exists():
        if beside.exists() and "score" not in read_json(beside):
            raise ConfigError(f"{beside} is there, and is of no sweep; choose another name (-o)")
        write_json(beside, recipe)
        return []
    if not beside.exists():
        raise ConfigError(f"{path} is there, and no {beside.name} says how it was made; choose another name (-o)")
    before, now = read_json(beside), json.loads(json.dumps(recipe))
    if found := difference(before, now):
        key, theirs, ours = found
        expected = f"expected {key} = {theirs!r} as in {beside.name}, got {ours!r}"
        raise ConfigError(f"{path} holds another sweep: {expected}; choose another name (-o)")
    return read_csv(path)


def summary(rows: Sequence[Mapping[str, str]], score: str) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation over seeds of every point by name, in the order of the rows; NaN for one seed."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["point"], []).append(float(row[score] or math.nan))
    return {
        name: (float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan)
        for name, values in found.items()
    }


def differences(rows: Sequence[Mapping[str, str]], score: str) -> dict[str, tuple[float, float]]:
    """Return by how much each point is above the best one, from the same noise, and the standard error of that.

    Seeds have much in common for all points, so a difference is known better than either of its sides.
    """
    values = {(row["point"], row["seed"]): float(row[score] or math.nan) for row in rows}
    means = summary(rows, score)
    best = min(means, key=lambda name: means[name][0])
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    found = {}
    for name in means:
        pairs = [(values.get((name, seed)), values.get((best, seed))) for seed in seeds]
        away = [own - other for own, other in pairs if own is not None and other is not None]
        value, error = statistics.mean(np.array(away)) if away else (math.nan, math.nan)
        found[name] = float(value), float(error)
    return found


def orders(schedule: Schedule, count: int, seed: int, steps: Steps, solver: str) -> list[Point]:
    """Return `count` different random orders of generation (Fig. 5), always the same ones of a seed; all, if fewer.

    Raises: ValueRangeError for a schedule of one group
    """
    k = schedule.k
    if k < 2:
        raise ValueRangeError("orders: expected at least 2 groups, got 1, which has one order; train on more groups")
    found: dict[tuple[int, ...], None] = {}
    if k < 9 and count >= math.factorial(k):
        found = dict.fromkeys(itertools.permutations(range(k)))
    rng = np.random.Generator(np.random.Philox(key=seed))
    while len(found) < count and not (k < 9 and len(found) == math.factorial(k)):
        found[tuple(np.argsort(rng.random(k)).tolist())] = None  # NumPy promises `random`, not `permutation`
    return [Point(" ".join(map(str, order)), schedule.reorder(order), steps, solver) for order in found]


def intervals(schedule: Schedule, cuts: Sequence[Sequence[float]] | None, steps: Steps, solver: str) -> list[Point]:
    """Return the groups in other intervals (Table 2), which is in other shares of the same steps.

    cuts: per point the times between the groups, k - 1 of them, rising: the last group ends at the first of them. None
        takes the paper's seven for four groups, else powers of j / k, of which the first spend most on the last groups

    Raises: ValueRangeError for numbers that do not fit
    """
    k = schedule.k
    if k < 2:
        raise ValueRangeError("intervals: expected at least 2 groups, got 1, whose interval is all there is")
    if cuts is None:
        cuts = PAPER if k == 4 else [[round((j / k) ** power, 4) for j in range(1, k)] for power in POWERS]
    points = []
    for cut in cuts:
        times = [0.0, *map(float, cut), 1.0]
        if len(times) != k + 1 or any(not a < b for a, b in itertools.pairwise(times)):
            expected = f"{k - 1} rising times between 0 and 1, where the {k} groups meet"
            raise ValueRangeError(f"intervals: expected {expected}, got {' '.join(f'{t:g}' for t in cut)}")
        own = schedule.with_intervals([*itertools.pairwise(times)][::-1])
        points.append(Point(" ".join(f"{t:g}" for t in times[1:-1]), own, steps, solver))
    return points


def budgets(schedule: Schedule, shares: Sequence[Steps], solver: str) -> list[Point]:
    """Return the schedule with other steps for each group, in order of generation, or other totals."""
    named = [" ".join(map(str, share)) if not isinstance(share, int) else str(share) for share in shares]
    return [Point(name, schedule, share, solver) for name, share in zip(named, shares, strict=True)]


def solvers(schedule: Schedule, names: Sequence[str], steps: Sequence[int]) -> list[Point]:
    """Return every solver with every number of steps."""
    return [Point(f"{name} {count}", schedule, count, name) for name in names for count in steps]


def groups(groupings: Groupings, ks: Sequence[int] | None, steps: Sequence[int], solver: str) -> list[Point]:
    """Return schedules of k groups, with every number of steps that is at least k (Fig. 11).

    A run's own grouping of k groups is taken where it has one, else unions of consecutive groups of its first one. None
    takes all of a run's own, or for one grouping the powers of two up to its number of groups, and that number.

    Raises: ValueRangeError for more groups than there are, or steps that are too few for all
    """
    first = groupings.members[0]
    own = {member.k: member for member in reversed(groupings.members)}
    if ks is None:
        halves = {2**power for power in range(first.k.bit_length()) if 2**power <= first.k}
        ks = sorted(own if len(own) > 1 else {*halves, first.k})
    points = []
    for k in ks:
        chosen = own.get(k) or _coarser(first, k)
        for count in steps:
            if count >= k:
                points.append(Point(f"k={k} {count}", chosen, count, solver, {"k": k}))
    if not points:
        raise ValueRangeError(f"steps: expected at least {min(ks)}, one per group, got {max(steps)}; raise them")
    return points


def _coarser(schedule: Schedule, k: int) -> Schedule:
    """Return a schedule of k equal intervals, whose groups are unions of consecutive ones."""
    if not 1 <= k <= schedule.k:
        raise ValueRangeError(f"groups: expected 1 to {schedule.k}, the groups of the run, got {k}")
    parts = np.array_split(np.arange(schedule.k), k)
    parent = np.concatenate([np.full(len(part), number) for number, part in enumerate(parts)])
    partition = Partition.from_labels(parent[schedule.partition.labels])
    return Schedule(partition, None, schedule.basis, schedule.path)
