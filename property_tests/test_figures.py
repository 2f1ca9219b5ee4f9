"""Laws of figures of numbers: ticks where something was measured and in numbers one can read, names beside what they name.

Figures are caught before they are written; what they hold is compared with the rows that they were drawn from.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdm
from gdm import canvas, figures, sweep, sweep_figures, ticks
from gdm.analysis.bits import Bits
from gdm.analysis.correlation import total_correlation
from gdm.analysis.influence import Influence
from gdm.analysis.variance import Variance
from gdm.names import added, group_names, numbered, shown
from property_tests.runs import exact
from property_tests.support import agree, same_bits, schedules

BLOCKS = gdm.Schedule.blockwise((1, 4, 4), grid=(2, 2))
BANDS = gdm.Schedule.bands((1, 8, 8), (3, 10, 28))

positive = st.floats(1e-9, 1e9)


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that calls another that draws, and returns the figure, which is not written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    def drawn(draw: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        kept: list[Any] = []
        for module in (figures, sweep_figures):
            monkeypatch.setattr(module, "save_all", lambda figure, _: kept.append(figure))
        draw(*arguments, Path("unused"), **options)
        FigureCanvasAgg(kept[0]).draw()  # which lays it out
        return kept[0]

    return drawn


def texts(labels: Any) -> list[str]:
    return [label.get_text() for label in labels]


# Ticks


@given(positive, st.floats(1.05, 1e12))
def test_round_numbers_are_few_and_inside(low: float, ratio: float) -> None:
    """At least two, rising, within the limits, and each with at most two digits unless the axis is narrow."""
    high = low * ratio
    found = ticks.round_numbers(low, high)
    assert 2 <= len(found) <= 10 and found == sorted(set(found)) and low <= found[0] and found[-1] <= high
    if ratio > 30:
        assert all(float(f"{number:.1e}") == number for number in found)
        assert math.log(found[-1] / found[0]) >= 0.4 * math.log(ratio)  # they span the axis


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(-9, 9))
def test_what_is_written_is_the_number(digits: list[int], power: int) -> None:
    numbers = sorted({digit * 10.0**power for digit in digits})
    for number, text in zip(numbers, ticks.written(numbers), strict=True):
        first, _, exponent = text.strip("$").rpartition("10^") if "$" in text else (text, "", "{0}")
        value = float(first.removesuffix(r"\cdot") or 1) * 10.0 ** int(exponent.strip("{}"))
        agree(value, number, 1e-12 * number)
        assert ("$" in text) == (not 1e-3 <= min(numbers) <= max(numbers) < 1e5)


@given(st.sets(st.integers(1, 5000), min_size=1, max_size=40))
def test_ticks_are_at_what_was_measured(measured: set[int]) -> None:
    """Only there, at the least and the most of it, and nowhere closer than labels are wide."""
    numbers = sorted(map(float, measured))
    low, high = numbers[0] / 1.1, numbers[-1] * 1.1
    found = ticks.with_room(numbers, low, high)
    assert set(found) <= set(numbers) and found[0] == numbers[0] and found[-1] == numbers[-1]
    gaps = np.diff(np.log(found)) / math.log(high / low)
    assert (gaps >= ticks.APART - 1e-12).all() or len(found) == 2
    for number in set(numbers) - set(found):  # each that is left out has a neighbour in its way
        assert min(abs(math.log(number / other)) for other in found) < ticks.APART * math.log(high / low)


def rows_of(points: list[sweep.Point], values: Any, seeds: int = 2) -> list[dict[str, str]]:
    """Return rows of a sweep as its table has them, with these values of the first seed."""
    model = exact(points[0].schedule)
    return [
        {
            "point": point.name,
            "seed": str(seed),
            "s": repr(float(value) * (1 + seed / 8)),
            "k": str(point.schedule.k),
            "solver": point.solver,
            "calls": str(model.calls(point.steps, point.solver, point.schedule)),
            "steps": " ".join(map(str, model.shares(point.steps, point.schedule))),
        }
        for seed in range(seeds)
        for point, value in zip(points, values, strict=True)
    ]


@pytest.mark.parametrize("falls", [0.01, 0.9])
def test_curves_have_ticks_at_the_calls_and_plain_numbers(falls: float, caught: Callable[..., Any]) -> None:
    points = sweep.solvers(BLOCKS, ["euler", "heun"], [8, 16, 32])
    values = [10, 10 * math.sqrt(falls), 10 * falls] * 2
    axes = caught(sweep_figures.curves, rows_of(points, values), "s", "label", "solver", "title").axes[0]
    same_bits(axes.get_xticks(), [8, 16, 32, 64])  # Heun's method takes two calls a step
    assert texts(axes.get_xticklabels()) == ["8", "16", "32", "64"] and not len(axes.get_xticks(minor=True))
    seen = [float(text.replace("\N{MINUS SIGN}", "-")) for text in texts(axes.get_yticklabels()) if text]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == ("log" if falls < 0.1 else "linear")
    assert sum(low <= value <= high for value in seen) >= 4
    assert not any(texts(axes.get_yticklabels(minor=True)))
    lines = [container.lines[0] for container in axes.containers]
    for line, own in zip(lines, (values[:3], values[3:]), strict=True):
        agree(line.get_ydata(), np.array(own) * 17 / 16, 1e-12)
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 2


def test_what_was_not_trained_is_dashed(caught: Callable[..., Any]) -> None:
    points = sweep.solvers(BLOCKS, ["euler", "heun"], [8, 16])
    drawn = caught(
        sweep_figures.curves, rows_of(points, [4, 3, 2, 1]), "s", "label", "solver", "title", untaught={"heun"}
    )
    lines = {container.get_label(): container.lines[0].get_linestyle() for container in drawn.axes[0].containers}
    assert lines == {"euler": "-", "heun, not trained": "--"}


# Names


@given(schedules(), st.data())
def test_what_is_added_is_named_once(schedule: gdm.Schedule, data: st.DataObject) -> None:
    counts = data.draw(st.sets(st.integers(0, schedule.k), min_size=1).map(sorted))
    found = added(schedule, counts)
    assert len(found) == len(counts) and (found[0] == "none") == (counts[0] == 0)
    assert [text.startswith("+ ") for text in found] == [i > 0 and counts[i - 1] > 0 for i in range(len(counts))]
    if schedule.k > 1:
        every = [text.removeprefix("+ ") for text in added(schedule, range(schedule.k + 1))[1:]]
        assert every == [shown(name) for name in group_names(schedule)]


@pytest.mark.parametrize("schedule", [BANDS, BLOCKS, gdm.Schedule.columns((1, 2, 16), 16)])
def test_variance_names_groups_and_counts_latents(schedule: gdm.Schedule, caught: Callable[..., Any]) -> None:
    fixed = np.arange(schedule.k + 1)
    latents = np.cumsum([0, *schedule.partition.sizes])
    found = Variance(fixed, latents, np.linspace(3, 0, len(fixed))[:, None] * [1, 2])
    axes = caught(_variance_of(schedule), found, "groups", "pixels").axes[0]
    places, above = axes.get_xticks().astype(int), axes.child_axes[0]
    expected = added(schedule, fixed.tolist()) if schedule.k < 10 else [str(n) for n in fixed[places]]
    assert texts(axes.get_xticklabels()) == expected
    assert texts(above.get_xticklabels()) == [str(n) for n in latents[places]] and places[-1] == schedule.k


def _variance_of(schedule: gdm.Schedule) -> Callable[..., Any]:
    return lambda found, what, phi, stem: figures.variance(found, what, phi, stem, schedule)


@pytest.mark.parametrize("k", [2, 3, 9, 16])
def test_strips_say_what_was_just_made(k: int) -> None:
    """A label for every column; the block it names is where the column differs from the one before, and nowhere else."""
    schedule = gdm.Schedule.columns((1, 1, k), k)
    point = sweep.orders(schedule, 1, 5, k, "euler")[0]
    strip = sweep_figures._process(exact(schedule), point)
    cell = strip.sheet.width + strip.sheet.gap
    assert len(strip.labels) == (strip.sheet.pixels.shape[1] - strip.sheet.gap) // cell <= sweep_figures.FRAMES
    order = point.name.split()
    if k < sweep_figures.FRAMES:
        assert strip.labels == ["noise", *(f"{group}\nc{group}" for group in order)]
    else:
        assert strip.labels[0] == "noise" and strip.labels[-1] == str(k)
    shows = strip.sheet.pixels[strip.sheet.gap :, strip.sheet.gap :, 0]
    cells = [shows[: strip.sheet.height, cell * i : cell * i + strip.sheet.width] for i in range(len(strip.labels))]
    done = [int(text) if k >= sweep_figures.FRAMES else i for i, text in enumerate(["0", *strip.labels[1:]])]
    assert [*strip.masks] == [*range(1, len(cells))]
    for (before, after), (first, last), mask in zip(pairwise(cells), pairwise(done), strip.masks.values(), strict=True):
        assert {str(group) for group in np.flatnonzero(mask[0])} == set(order[first:last])
        moved = (before != after).any(axis=0).reshape(k, -1).any(axis=1)
        assert set(np.flatnonzero(moved)) <= {int(group) for group in order[first:last]}


@pytest.mark.parametrize("k", [2, 4, 16, 40])
def test_bars_are_named_as_groups_are(k: int, caught: Callable[..., Any]) -> None:
    schedule = gdm.Schedule.columns((1, 1, k), k)
    points = sweep.budgets(schedule, [2 * k, [1] * (k - 1) + [4]], "euler")
    figure = caught(sweep_figures.intervals, rows_of(points, [1, 2]), "s", "label", "shares", points)
    found = texts(figure.legends[0].get_texts())
    names = numbered(schedule)
    assert found == [names[j] for j in ticks.evenly(k, sweep_figures.LISTED)]
    bars = figure.axes[0].containers
    assert len(bars) == k and all(len(group) == len(points) for group in bars)
    widths = np.array([[bar.get_width() for bar in group] for group in bars]).T
    same_bits(widths, np.array([[2] * k, [1] * (k - 1) + [4]], float))
    handles = [handle.get_facecolor() for handle in figure.legends[0].get_patches()]
    assert handles == [bars[j][0].get_facecolor() for j in ticks.evenly(k, sweep_figures.LISTED)]


# Style


def grey(colour: Any) -> float:
    """Return the luminance of a colour, as a printer in black and white has it (Rec. 709, linear light)."""
    from matplotlib.colors import to_rgb

    linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("count", [2, 4, 9, 16])
def test_shades_rise_in_grey(count: int) -> None:
    """Printed without colour they are in the same order, and the lightest is still seen on white."""
    found = [grey(colour) for colour in canvas.shades(count)]
    assert found == sorted(set(found)) and found[-1] < 0.7  # of yellow, which is lost there, 0.78


def test_axes_of_numbers_are_open_and_alike(caught: Callable[..., Any]) -> None:
    points = sweep.solvers(BLOCKS, ["euler"], [8, 16])
    charts = [
        caught(sweep_figures.curves, rows_of(points, [2, 1]), "s", "label", "solver", "title"),
        caught(sweep_figures.intervals, rows_of(points, [2, 1]), "s", "label", "what", points),
        caught(figures.bits, Bits(np.ones((2, 4)), np.full(4, 4), np.ones(1), None), BLOCKS),
    ]
    for axes in (axes for figure in charts for axes in figure.axes):
        assert not axes.spines["top"].get_visible() and not axes.spines["right"].get_visible()
        assert axes.get_axisbelow()


def drawn_by(kind: str, schedule: gdm.Schedule, caught: Callable[..., Any]) -> Any:
    """Return a figure of a schedule, of numbers that do not matter."""
    k, sizes = schedule.k, np.array(schedule.partition.sizes)
    rng = np.random.default_rng(0)
    if kind == "variance":
        found = Variance(np.arange(k + 1), np.cumsum([0, *sizes]), 9e4 * rng.random((k + 1, 3)))
        return caught(_variance_of(schedule), found, "groups that are fixed, those generated first", "pixels")
    if kind == "influence":
        return caught(figures.influence, Influence(np.triu(rng.random((k, k))), np.zeros((k, k))), schedule)
    if kind == "bits":
        return caught(figures.bits, Bits(sizes * rng.random((3, k)), sizes, np.ones(1), None), schedule)
    if kind == "independence":
        z = rng.normal(size=(90, *schedule.shape))
        return caught(figures.independence, total_correlation(schedule, z, repeats=2), schedule, z)
    label = "Fr\N{LATIN SMALL LETTER E WITH ACUTE}chet distance\n(efficientnet-lite0, 50000 images)"
    if kind == "intervals":
        points = sweep.intervals(schedule, None, 4 * k, "ab2")
        return caught(sweep_figures.intervals, rows_of(points, rng.random(len(points))), "s", label, "times", points)
    if kind == "orders":
        points = sweep.orders(schedule, 3, 0, k, "euler")
        return caught(sweep_figures.orders, rows_of(points, [3, 1, 2]), "s", label, exact(schedule), points)
    points = sweep.solvers(schedule, ["euler", "ab2", "heun"], [k, 2 * k, 4 * k, 100, 128])
    return caught(sweep_figures.curves, rows_of(points, 0.5 ** np.arange(len(points))), "s", label, "solver", "title")


@pytest.mark.parametrize("k", [4, 9, 16])
@pytest.mark.parametrize("kind", ["variance", "influence", "bits", "independence", "intervals", "orders", "curves"])
def test_nothing_is_cut_and_labels_keep_apart(kind: str, k: int, caught: Callable[..., Any]) -> None:
    """All that is drawn lies within the page, no panel reaches into another, no label of a tick into the next."""
    side = math.isqrt(k)
    schedule = BANDS if k == 4 else gdm.Schedule.blockwise((1, 8, 8), (side, side))
    figure = drawn_by(kind, schedule, caught)
    page = figure.get_tightbbox()  # in inches
    width, height = figure.get_size_inches()
    assert -0.01 <= page.x0 and page.x1 <= width + 0.01 and -0.01 <= page.y0 and page.y1 <= height + 0.01, page
    panels = [axes.get_tightbbox() for axes in figure.axes]
    assert not any(a.overlaps(b) for a, b in combinations(panels, 2))
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            ticked = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
            boxes = [label.get_window_extent() for place, label in ticked if low <= place <= high]
            assert not any(a.overlaps(b) for a, b in combinations(boxes, 2)), texts(axis.get_ticklabels())


def test_fonts_are_embedded_as_truetype_and_files_are_the_same_again(tmp_path: Path) -> None:
    """Conferences refuse Type 3; and a figure that is drawn again is no change to who keeps it under version control."""
    found = Influence(np.triu(np.ones((4, 4))), np.zeros((4, 4)))
    first = [path.read_bytes() for path in figures.influence(found, BLOCKS, tmp_path / "a")]
    again = [path.read_bytes() for path in figures.influence(found, BLOCKS, tmp_path / "b")]
    assert first == again
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", first[1], re.DOTALL)
    content = first[1] + b"".join(_inflated(stream) for stream in streams)
    assert b"/FontFile2" in content and b"/Subtype /Type3" not in content and b"CreationDate" not in content


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""
