"""Figures of sweeps: orders (Fig. 5), intervals (Table 2), groups (Fig. 11), and solvers, each as a PNG and a PDF."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm.canvas import (
    BLUE,
    GREY,
    MARKERS,
    PALETTE,
    VERMILION,
    Sheet,
    edges_of,
    lay_out,
    name_columns,
    new_chart,
    outline,
    pictures,
    shades,
    show_sheet,
    spaced,
    style,
)
from gdm.figures import save_all
from gdm.model import Model
from gdm.names import group_names, numbered, shown
from gdm.schedule import Schedule
from gdm.sweep import Point, summary
from gdm.ticks import at_measured, evenly, plain_log

CELL = 0.72  # inches of a picture of the process
IMAGES = 3  # that are shown coming into being
FRAMES = 10  # pictures of it at most
LISTED = 18  # groups that a legend names at most
Rows = Sequence[Mapping[str, str]]


def orders(rows: Rows, score: str, label: str, model: Model, points: Sequence[Point], stem: Path) -> list[Path]:
    """Draw the score of every order, the best first, and images coming into being in the best and the worst (Fig. 5)."""
    from matplotlib.figure import Figure

    found = sorted(summary(rows, score).items(), key=lambda entry: entry[1][0])
    schedules = {point.name: point for point in points}
    ends = [found[0], found[-1]][: len(found)]
    strips = [_process(model, schedules[name]) for name, _ in ends]
    frames = len(strips[0].labels)
    tall = IMAGES * CELL + 0.8
    figure = Figure((max(6.5, CELL * frames), 3.2 + len(ends) * tall), layout="constrained")
    top, *below = figure.subplots(1 + len(ends), 1, height_ratios=[3.2, *[tall] * len(ends)])
    _sorted(top, np.array([values for _, values in found]), label, seeds=len({row["seed"] for row in rows}))
    for axes, strip, (name, (value, _)), which in zip(below, strips, ends, ("best", "worst"), strict=False):
        show_sheet(axes, strip.sheet)
        name_columns(axes, strip.sheet, strip.labels)
        axes.tick_params(labelsize="small")
        for column, mask in strip.masks.items():
            outline(axes, strip.sheet, [mask] * IMAGES, [column])
        axes.set_title(f"{which}: order {name}, {value:.4g}\nabove each picture {strip.what}", fontsize="medium")
    return save_all(figure, stem)


def _sorted(axes: Any, values: np.ndarray, label: str, seeds: int) -> None:
    """Draw the scores of orders, the best first. Shapes: values (orders, 2), mean and deviation over seeds"""
    mean, deviation = values.T
    places = np.arange(1, len(values) + 1)
    style(axes)
    axes.errorbar(places, mean, deviation, fmt="o", color=BLUE, ecolor=GREY, markersize=4, capsize=2)
    ends = [0, len(values) - 1]
    axes.plot(
        places[ends],
        mean[ends],
        "o",
        color=VERMILION,
        markersize=8,
        fillstyle="none",
        markeredgewidth=2,
        label="shown below",
    )
    axes.legend(frameon=False, loc="upper left")
    orders = f"{len(values)} orders of generation, the best first" if len(values) > 1 else "the order of generation"
    axes.set(xlabel=orders, ylabel=label)
    axes.set_title(f"one model, the same noise{_bars(seeds)}", fontsize="medium")
    axes.xaxis.get_major_locator().set_params(integer=True)


def _bars(seeds: int) -> str:
    return f"; bars: standard deviation over {seeds} seeds" * (seeds > 1)


class Strip(NamedTuple):
    """Images coming into being: a sheet, noise on the left; what stands above each column; and what that is, in words.

    masks: of the pixels that are new in a column, those that an outline is worth
    """

    sheet: Sheet
    labels: list[str]
    what: str
    masks: dict[int, np.ndarray]


def _process(model: Model, point: Point) -> Strip:
    """Return images between their groups, all of the states or some evenly among them."""
    made = model.generate(IMAGES, steps=point.steps, solver=point.solver, schedule=point.schedule, trajectory=True)
    states = model.backend.to_numpy(made)
    chosen = spaced(len(states), FRAMES)
    sheet = lay_out(np.stack([pictures(state) for state in states[chosen]], axis=1))
    masks = _new(point.schedule, chosen)
    if len(chosen) == len(states):
        what = "the group just generated" + ", outlined" * bool(masks)
        return Strip(sheet, ["noise", *_just_made(model.schedule, point.schedule)], what, masks)
    what = f"how many of {len(states) - 1} are there" + ", the latest outlined" * bool(masks)
    return Strip(sheet, ["noise", *map(str, chosen[1:])], what, masks)


def _new(schedule: Schedule, counts: Sequence[int]) -> dict[int, np.ndarray]:
    """Return by column the pixels of the groups since the column before; none of frequencies, or scattered pixels."""
    if schedule.basis.factors:
        return {}
    labels = schedule.partition.labels
    found = {
        column: np.asarray(((labels >= first) & (labels < last)).any(axis=0))
        for column, (first, last) in enumerate(pairwise(counts), start=1)
    }
    round_all = 2 * sum(labels.shape[-2:])  # pixels' sides around a whole image
    return found if all(len(edges_of(mask)) <= round_all for mask in found.values()) else {}


def _just_made(own: Schedule, ordered: Schedule) -> list[str]:
    """Return number and name of the groups of a schedule, as `ordered`, the same groups, generates them."""
    numbers = [int(own.partition.labels.flat[ordered.partition.indices(j)[0]]) for j in range(own.k)]
    names = group_names(own)
    return [f"{j}" + f"\n{shown(names[j])}" * (names[j] != f"group{j}") for j in numbers]


def intervals(rows: Rows, score: str, label: str, what: str, points: Sequence[Point], stem: Path) -> list[Path]:
    """Draw how each point shares its steps among the groups, and its score (Table 2); what: points are, in words."""
    found = summary(rows, score)
    named = min(points[0].schedule.k, LISTED)
    names = [_shortened(point.name) for point in points]
    size = (8.6 + 0.085 * max(map(len, names)), 0.34 * len(points) + 1.7 + 0.2 * -(-named // 6))
    figure, (left, right) = new_chart(*size, columns=(1.1, 1))
    places = np.arange(len(points))[::-1]
    shares = {row["point"]: np.array(row["steps"].split(), float) for row in rows}
    _shared(left, places, [shares[point.name] for point in points], numbered(points[0].schedule))
    left.set_yticks(places, names)
    left.set(xlabel="steps of each group, in order of generation", ylabel=what)
    mean, deviation = np.array([found[point.name] for point in points]).T
    right.errorbar(mean, places, xerr=deviation, fmt="o", color=BLUE, ecolor=GREY, capsize=3, markersize=6)
    best = int(np.argmin(mean))
    ring = {"color": VERMILION, "markersize": 10, "fillstyle": "none", "markeredgewidth": 2, "linestyle": "none"}
    right.plot(mean[best], places[best], marker="o", label="best", **ring)
    right.legend(frameon=False)
    right.set_yticks(places, [])
    right.set_ylim(left.get_ylim())
    right.set_xlabel(label)
    seeds = len({row["seed"] for row in rows})
    right.set_title(f"mean and standard deviation over {seeds} seeds" if seeds > 1 else "one seed", fontsize="medium")
    handles, texts = left.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower left", ncols=6, frameon=False, fontsize="small", handlelength=1.2)
    return save_all(figure, stem)


def _shortened(name: str, most: int = 5) -> str:
    """Return the numbers of a name, those in the middle left out if there are many."""
    words = name.split()
    return name if len(words) <= most else " ".join([*words[:2], "\N{HORIZONTAL ELLIPSIS}", *words[-2:]])


def _shared(axes: Any, places: np.ndarray, shares: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Draw steps as bars in a row per point, a colour per group; a legend names the groups, or some of very many."""
    k = len(names)
    listed = evenly(k, LISTED)
    begin = np.zeros(len(shares))
    for group, colour in enumerate(shades(k)):
        widths = np.array([share[group] for share in shares])
        text = names[group] if group in listed else None
        edge = {"edgecolor": "white", "linewidth": 0.6 if k <= 2 * LISTED else 0}
        axes.barh(places, widths, left=begin, color=colour, label=text, **edge)
        begin = begin + widths
    axes.grid(visible=False)
    axes.margins(x=0)


def curves(
    rows: Rows, score: str, label: str, by: str, title: str, stem: Path, untaught: Collection[str] = ()
) -> list[Path]:
    """Draw the score against network calls, a line per value of the column `by` (Fig. 11; solvers).

    untaught: values for which the network was not trained, whose lines are dashed
    """
    figure, axes = new_chart(5.8, 4.0)
    found = summary(rows, score)
    names = list(dict.fromkeys(row[by] for row in rows))
    colours = shades(len(names)) if by == "k" else [PALETTE[i % len(PALETTE)] for i in range(len(names))]
    for number, name in enumerate(names):
        own = {row["point"]: int(row["calls"]) for row in rows if row[by] == name}
        calls = np.array(sorted(own.values()))
        values = np.array([found[point] for point in sorted(own, key=own.__getitem__)])
        text = (f"k = {name}" if by == "k" else name) + ", not trained" * (name in untaught)
        given = {"color": colours[number], "marker": MARKERS[number % len(MARKERS)], "capsize": 3, "linewidth": 2}
        given["linestyle"] = "--" if name in untaught else "-"
        axes.errorbar(calls, values[:, 0], values[:, 1], label=text, markersize=5, **given)
    at_measured(axes, [int(row["calls"]) for row in rows])
    means = [mean for mean, _ in found.values()]
    if 0 < 8 * min(means) < max(means):
        plain_log(axes, "y")
    axes.set(xlabel="network calls", ylabel=label)
    axes.set_title(title + _bars(len({row["seed"] for row in rows})), fontsize="medium")
    axes.legend(frameon=False, handlelength=3 if untaught else None)  # long enough for dashes
    return save_all(figure, stem)
