"""Sweeps: points are what they say, scores are what one computes by hand, and a table that was begun is gone on with."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdm
from gdm import cli, extractors, fidelity, files, sweep, tables
from gdm.config import build_groupings, from_dict
from gdm.data import Dataset
from gdm.errors import ConfigError, PartitionError, ValueRangeError
from gdm.metrics import frechet_distance, moments
from gdm.pixels import to_uint8
from gdm.scores import Error, Frechet
from property_tests.problems import seeds
from property_tests.runs import SMALL, exact, untrained
from property_tests.support import agree, refused, same_bits

BLOCKS = gdm.Schedule.blockwise((1, 4, 4), grid=(2, 2))


# Points


@given(st.integers(2, 7), st.integers(1, 30), st.integers(0, 9), seeds)
def test_orders_are_different_and_always_the_same(k: int, count: int, more: int, seed: int) -> None:
    """More of them go on where fewer ended; there are no more than there are; each names its groups as generated."""
    schedule = gdm.Schedule.columns((k,), k)
    few, many = (sweep.orders(schedule, n, seed, 8, "ab2") for n in (count, count + more))
    assert len({point.name for point in few}) == len(few) == min(count, math.factorial(k))
    if len(many) < math.factorial(k):
        assert [point.name for point in many[: len(few)]] == [point.name for point in few]
    for point in few:
        order = [int(word) for word in point.name.split()]
        assert sorted(order) == list(range(k))
        same_bits(point.schedule.partition.labels[order], np.arange(k))  # group order[j] is generated j-th
        same_bits(point.schedule.intervals, schedule.intervals)


def test_all_orders_of_few_groups_are_all_permutations() -> None:
    points = sweep.orders(gdm.Schedule.columns((4,), 4), 100, 3, 8, "euler")
    expected = {" ".join(map(str, order)) for order in itertools.permutations(range(4))}
    assert {point.name for point in points} == expected
    with refused(ValueRangeError, "at least 2 groups"):
        sweep.orders(gdm.Schedule.vanilla((4,)), 3, 0, 8, "euler")


def test_intervals_meet_at_the_times_that_are_given() -> None:
    """The paper's first: group 3 ends at 0.1, group 2 at 0.8, group 1 at 0.9; lengths become steps."""
    first, *others = sweep.intervals(BLOCKS, None, 40, "euler")
    agree(first.schedule.intervals, [(0.9, 1), (0.8, 0.9), (0.1, 0.8), (0, 0.1)])
    assert exact(BLOCKS).shares(40, first.schedule) == (4, 4, 28, 4) and len(others) == 6
    assert first.schedule.partition == BLOCKS.partition
    powers = sweep.intervals(gdm.Schedule.columns((3,), 3), None, 9, "euler")
    agree(powers[2].schedule.intervals, [(2 / 3, 1), (1 / 3, 2 / 3), (0, 1 / 3)], 1e-4)
    for wrong in ((0.1, 0.2), (0.2, 0.1, 0.3), (0.0, 0.1, 0.2), (0.1, 0.2, 1.0), (0.1, 0.2, math.nan)):
        with refused(ValueRangeError, "3 rising times between 0 and 1"):
            sweep.intervals(BLOCKS, [wrong], 40, "euler")


def test_groups_are_the_run_s_own_or_unions_of_them() -> None:
    columns = {"kind": "columns", "order": "right-to-left"}
    table = {"schedule": {**columns, "groups": 8}, "groupings": [{**columns, "groups": 2}, {**columns, "groups": 1}]}
    groupings = build_groupings(from_dict({**SMALL, **table}), (1, 8, 8))
    own = sweep.groups(groupings, None, [4, 16], "ab2")
    assert [(point.name, point.facts["k"]) for point in own] == [
        ("k=1 4", 1), ("k=1 16", 1), ("k=2 4", 2), ("k=2 16", 2), ("k=8 16", 8),
    ]  # fmt: skip
    assert all(groupings.taught(point.schedule.partition) for point in own)
    joined = sweep.groups(groupings, [3, 4], [16], "ab2")
    same_bits(joined[0].schedule.partition.labels[0, 0], [2, 2, 1, 1, 1, 0, 0, 0])
    assert not groupings.taught(joined[0].schedule.partition)
    assert exact(BLOCKS).parents(sweep.groups(_alone(BLOCKS), [2], [8], "ab2")[0].schedule) is not None
    assert [point.facts["k"] for point in sweep.groups(_alone(BLOCKS), None, [8], "ab2")] == [1, 2, 4]
    with refused(ValueRangeError, "1 to 8", "got 9"):
        sweep.groups(groupings, [9], [16], "ab2")
    with refused(ValueRangeError, "at least 8", "got 4"):
        sweep.groups(groupings, [8], [2, 4], "ab2")


def _alone(schedule: gdm.Schedule) -> Any:
    from gdm.groupings import Groupings

    return Groupings((schedule,))


# Scores


def test_the_error_is_the_distance_from_the_solution() -> None:
    """For the same noise; nought for the solution itself; intervals change the steps, not what is solved."""
    model, score = exact(BLOCKS), Error(n=3, converged=64)
    point = sweep.Point("ab2 8", BLOCKS, 8, "ab2")
    solution = model.generate(3, seed=5, steps=64, solver="heun")
    rough = model.generate(3, seed=5, steps=8, solver="ab2")
    agree(score(model, point, 5), np.sqrt(((rough - solution) ** 2).mean()))
    assert score(model, sweep.Point("itself", BLOCKS, 64, "heun"), 5) < 1e-12
    assert score(model, point, 6) != score(model, point, 5)
    uneven = sweep.intervals(BLOCKS, None, 400, "heun")[0]
    assert score(model, uneven, 5) < 0.02
    errors = [score(model, each, 5) for each in sweep.solvers(BLOCKS, ["euler", "ab2"], [16, 32, 64])]
    assert errors[0] > errors[1] > errors[2] and errors[3] > errors[4] > errors[5] and errors[5] < errors[2]


def test_orders_have_solutions_of_their_own() -> None:
    """The error of an order is from its own solution, whichever was solved before."""
    model, score = exact(BLOCKS), Error(n=2, converged=64)
    points = sweep.orders(BLOCKS, 3, 0, 64, "heun")
    assert all(score(model, point, 1) < 1e-12 for point in (*points, *points))


def test_the_frechet_distance_is_of_the_images_as_bytes() -> None:
    model, extractor = exact(BLOCKS), extractors.get("pixels")
    real = Dataset(np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4), np.uint8))
    score = Frechet(extractor, fidelity.of_data(real, extractor), {}, n=30)
    point = sweep.orders(BLOCKS, 5, 1, 8, "ab2")[3]
    made = to_uint8(model.generate(30, seed=4, steps=8, solver="ab2", schedule=point.schedule))
    expected = frechet_distance(moments([extractor(made)]), moments([extractor(real.take(np.arange(40)))]))
    agree(score(model, point, 4), expected, 1e-8)


# The table


class Counting:
    """A score that knows what it was asked for, and may stop."""

    name = "count"
    about: Mapping[str, Any] = {"n": 1}

    def __init__(self, stop: int = 99) -> None:
        self.asked: list[tuple[str, int]] = []
        self.stop = stop

    def __call__(self, model: Any, point: sweep.Point, seed: int) -> float:
        if len(self.asked) == self.stop:
            raise KeyboardInterrupt
        self.asked.append((point.name, seed))
        return len(point.name) + seed / 3


def timeless(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in rows]


def test_a_sweep_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """The rows that are there are kept; in the end it is the table of a sweep that never stopped."""
    model, points = exact(BLOCKS), sweep.solvers(BLOCKS, ["euler", "ab2"], [4, 8])
    whole = sweep.sweep(model, points, [0, 1], Counting(), tmp_path / "whole.csv", {"run": "a"})
    for stop in (3, 2):
        with pytest.raises(KeyboardInterrupt):
            sweep.sweep(model, points, [0, 1], Counting(stop), tmp_path / "part.csv", {"run": "a"})
    assert len(tables.read_csv(tmp_path / "part.csv")) == 5
    rest = Counting()
    got = sweep.sweep(model, points, [0, 1], rest, tmp_path / "part.csv", {"run": "a"})
    assert timeless(got) == timeless(whole) and rest.asked == [("euler 8", 1), ("ab2 4", 1), ("ab2 8", 1)]
    assert [float(row["count"]) for row in got] == [float(row["count"]) for row in whole]
    assert got[0]["steps"] == "1 1 1 1" and got[0]["calls"] == "4" and got[2]["solver"] == "ab2"


def test_more_points_and_seeds_are_added(tmp_path: Path) -> None:
    model, path = exact(BLOCKS), tmp_path / "table.csv"
    few, many = sweep.solvers(BLOCKS, ["euler"], [4]), sweep.solvers(BLOCKS, ["euler"], [4, 8])
    sweep.sweep(model, few, [0], Counting(), path, {})
    again = Counting()
    rows = sweep.sweep(model, many, [0, 1], again, path, {})
    assert again.asked == [("euler 8", 0), ("euler 4", 1), ("euler 8", 1)] and len(rows) == 4
    assert len(sweep.sweep(model, few, [0], Counting(0), path, {})) == 1  # of those that were asked for
    assert len(tables.read_csv(path)) == 4
    twice = Counting()
    assert len(sweep.sweep(model, [*many, *few], [2, 2], twice, path, {})) == len(twice.asked) == 2


def test_another_sweep_does_not_go_on_with_it(tmp_path: Path) -> None:
    model, path, points = exact(BLOCKS), tmp_path / "table.csv", sweep.solvers(BLOCKS, ["euler"], [4])
    sweep.sweep(model, points, [0], Counting(), path, {"checkpoint": "abc", "steps": (4, 4)})
    with refused(ConfigError, "another sweep", "checkpoint = 'abc'", "got 'abd'", "-o"):
        sweep.sweep(model, points, [0], Counting(), path, {"checkpoint": "abd", "steps": (4, 4)})
    other = Counting()
    other.about = {"n": 2}
    with refused(ConfigError, "expected n = 1", "got 2"):
        sweep.sweep(model, points, [0], other, path, {"checkpoint": "abc", "steps": (4, 4)})
    path.with_suffix(".json").unlink()
    with refused(ConfigError, "no table.json says how"):
        sweep.sweep(model, points, [0], Counting(), path, {"checkpoint": "abc", "steps": (4, 4)})


def test_a_table_that_was_mended_wrongly_is_refused_and_left_alone(tmp_path: Path) -> None:
    model, path, points = exact(BLOCKS), tmp_path / "table.csv", sweep.solvers(BLOCKS, ["euler"], [4, 8])
    sweep.sweep(model, points, [0], Counting(), path, {})
    head, first, second = path.read_text().splitlines()
    score = first.split(",")[2]
    for lines, words in (
        ([head.replace("count", "other"), first], ("expected a column 'count'",)),
        (["a,b", "1,2"], ("expected a column 'point'", "got a, b")),
        ([head, first, second, first], ("line 4", "'euler 4' with seed 0 again")),
        ([head, first.replace(score, "abc"), second], ("line 2", "'abc'")),
    ):
        path.write_text("\n".join(lines) + "\n")
        before = path.read_bytes()
        with refused(ConfigError, "table.csv", *words):
            sweep.sweep(model, points, [1], Counting(0), path, {})
        assert path.read_bytes() == before


def test_nothing_else_is_written_over(tmp_path: Path) -> None:
    """Neither the description of a run, which has the same name; but a recipe of which there is no row yet is."""
    model, path, points = exact(BLOCKS), tmp_path / "run.csv", sweep.solvers(BLOCKS, ["euler"], [4])
    files.write_json(path.with_suffix(".json"), {"config": {}})
    with refused(ConfigError, "run.json is there, and is of no sweep", "-o"):
        sweep.sweep(model, points, [0], Counting(0), path, {})
    files.write_json(path.with_suffix(".json"), {"score": "count", "n": 7})
    assert len(sweep.sweep(model, points, [0], Counting(), path, {})) == 1


def test_summaries_are_over_seeds_and_differences_within_them() -> None:
    values = {"a": (1.0, 2.0, 6.0), "b": (2.0, 3.5, 7.0), "c": (9.0,)}
    rows = [{"point": name, "seed": str(i), "s": repr(v)} for name, own in values.items() for i, v in enumerate(own)]
    mean, above = sweep.summary(rows, "s"), sweep.differences(rows, "s")
    agree(mean["b"], (np.mean(values["b"]), np.std(values["b"], ddof=1)))
    assert mean["c"][0] == 9 and math.isnan(mean["c"][1])
    agree(above["a"], (0, 0))
    agree(above["b"], (3.5 / 3, np.std([1, 1.5, 1], ddof=1) / math.sqrt(3)))
    assert above["c"][0] == 8 and math.isnan(above["c"][1])


# The commands


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {**SMALL, "data": {"source": "digits"}}
    return untrained(tmp_path_factory.mktemp("sweep") / "run", config)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("orders --count 3 --seeds 0 1 -n 70 --steps 4 --extractor pixels --batch 70", 6),
        ("intervals --seeds 0 -n 2 --steps 8 --score error --converged 16", 7),
        ("intervals --seeds 0 1 -n 2 --shares 1,1,1,1 3,2,1,1 --score error --converged 8 -o other", 4),
        ("groups --seeds 0 -n 2 --steps 4 8 --score error --converged 16", 6),
        ("steps --seeds 0 -n 2 --steps 2 4 8 --solvers euler heun --converged 16", 4),
    ],
)
def test_sweeps_are_written_and_gone_on_with(
    line: str, count: int, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(run.parent / "cache"))
    name, *options = line.split()
    assert cli.main(["sweep", name, "run", *options]) == 0
    first = capsys.readouterr().out
    stem = Path("other") if "-o" in options else run / f"sweep-{name}"
    rows = tables.read_csv(stem.with_suffix(".csv"))
    assert len(rows) == count and f"{count} rows in" in first and first.count("seed 0") >= 1
    for suffix, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        assert stem.with_suffix(suffix).read_bytes().startswith(start)
    assert cli.main(["sweep", name, "run", *options]) == 0
    assert "seed 0 " not in capsys.readouterr().out and tables.read_csv(stem.with_suffix(".csv")) == rows
    assert json.loads(stem.with_suffix(".json").read_text())["score"] == ("frechet" if name == "orders" else "error")


def test_a_sweep_of_other_settings_says_which(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem = str(run.parent / "settings")
    line = [
        "sweep",
        "steps",
        str(run),
        "--seeds",
        "0",
        "--steps",
        "4",
        "--solvers",
        "euler",
        "--converged",
        "8",
        "-o",
        stem,
    ]
    assert cli.main([*line, "-n", "1"]) == 0
    capsys.readouterr()
    assert cli.main([*line, "-n", "2"]) == 2
    output, errors = capsys.readouterr()
    assert "another sweep: expected n = 1 as in settings.json, got 2" in errors and output == ""


def test_a_picture_of_another_origin_is_left_alone(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    Path("photo.png").write_bytes(b"mine")
    assert cli.main(["sweep", "steps", "run", "--seeds", "0", "--steps", "4", "-n", "1", "-o", "photo"]) == 2
    assert "photo.png is there" in capsys.readouterr().err and not Path("photo.csv").exists()
    assert Path("photo.png").read_bytes() == b"mine"


def test_a_seed_that_is_given_twice_is_one_row(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["sweep", "steps", str(run), "--seeds", "0", "0", "--steps", "4", "--solvers", "euler", "euler"]
    assert cli.main([*line, "-n", "1", "--converged", "8", "-o", str(run.parent / "twice")]) == 0
    assert "1 seed, 1 image each" in (said := capsys.readouterr().out) and "\n1 row in" in said


def test_groupings_of_as_many_groups_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first is taken; a curve of k groups may else be read as one kind of grouping."""
    columns, rows = ({"kind": kind, "groups": 2} for kind in ("columns", "rows"))
    run = untrained(tmp_path / "run", {**SMALL, "schedule": {"kind": "vanilla"}, "groupings": [rows, columns]})
    line = ["sweep", "groups", str(run), "--seeds", "0", "--steps", "2", "-n", "1", "--score", "error"]
    assert cli.main([*line, "--converged", "2"]) == 0
    assert "k = 2 is rows (--grouping 1); the run has columns (--grouping 2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sweep ordres run", "did you mean 'orders'?"),
        ("sweep orders run --cuont 3", "did you mean '--count'?"),
        ("sweep orders run --score frechte", "did you mean 'frechet'?"),
        ("sweep orders run --score error --reference digits", "--reference has no effect with --score error"),
        ("sweep steps run --score frechet --converged 9", "--converged has no effect with --score frechet"),
        ("sweep steps run data.size=4", "data.size=4 has no effect with --score error"),
        ("sweep orders run schedule.order=spiral", "expected settings of the data"),
        ("sweep orders run data.splt=test --extractor pixels -n 4 --count 1", "did you mean 'split'?"),
        ("sweep orders run data.size=4 --extractor pixels -n 4 --count 1", "expected images (1, 8, 8), got (1, 4, 4)"),
        ("sweep orders run --extractor pixel", "did you mean 'pixels'?"),
        ("sweep orders run -n 1 --extractor pixels", "-n: expected at least 2 images"),
        ("sweep orders run --reference nowhere", "--reference: 'nowhere' does not exist"),
        ("sweep orders run --steps 2 --extractor pixels", "at least 4"),
        ("sweep orders nowhere", "nowhere"),
        ("sweep intervals run --times 0.1,0.2", "3 rising times"),
        ("sweep intervals run --times 0.1,x", "expected times such as"),
        ("sweep intervals run --shares 4,4,4 --score error", "4 of them"),
        ("sweep intervals run --shares 4,4,4,4 --steps 9", "--steps has no effect with --shares"),
        ("sweep groups run --groups 5", "1 to 4"),
        ("sweep steps run --steps 2 3", "at least 4"),
        ("sweep steps run --solvers eular", "did you mean 'euler'?"),
        ("sweep steps run -o sweep.svg", "without a suffix"),
    ],
)
def test_mistakes_are_explained_in_one_line(
    line: str, words: str, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    assert cli.main(line.split()) == 2
    output, errors = capsys.readouterr()
    last = errors.strip().splitlines()[-1]
    assert words in last and last.startswith("gdm: ") and output == ""


def test_a_grouping_that_the_network_cannot_serve_is_refused_before_anything_is_made() -> None:
    model = exact(BLOCKS)
    with refused(PartitionError, "refinement"):
        model.parents(gdm.Schedule.rows((1, 4, 4), 4))
