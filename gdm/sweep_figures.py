"""Figures of sweeps: orders (Fig. 5), intervals (Table 2), groups (Fig. 11), and solvers, each as a PNG and a PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdm.canvas import BLUE, GREY, VERMILION, lay_out, new_figure, pictures, show_sheet, spaced
from gdm.figures import MARKERS, PALETTE, save_all
from gdm.model import Model
from gdm.sweep import Point, summary

CELL = 0.62  # inches of a picture of the process
Rows = Sequence[Mapping[str, str]]


def orders(rows: Rows, score: str, label: str, model: Model, points: Sequence[Point], stem: Path) -> list[Path]:
    """Draw the score of every order, the best first, and images coming into being in the best and the worst (Fig. 5)."""
    from matplotlib.figure import Figure

    found = sorted(summary(rows, score).items(), key=lambda entry: entry[1][0])
    schedules = {point.name: point for point in points}
    ends = [found[0], found[-1]][: len(found)]
    sheets = [_process(model, schedules[name]) for name, _ in ends]
    frames = sheets[0].pixels.shape[1] / (sheets[0].width + sheets[0].gap)
    width = max(6.5, CELL * frames)
    figure = Figure((width, 3.2 + 2 * (3 * CELL + 0.35)), layout="constrained")
    top, *below = figure.subplots(1 + len(sheets), 1, height_ratios=[3.2, *[3 * CELL + 0.35] * len(sheets)])
    mean, deviation = np.array([values for _, values in found]).T
    places = np.arange(1, len(found) + 1)
    top.errorbar(places, mean, deviation, fmt="o", color=BLUE, ecolor=GREY, markersize=4, capsize=2)
    for place in (0, len(found) - 1):
        top.plot(places[place], mean[place], "o", color=VERMILION, markersize=7, fillstyle="none", markeredgewidth=2)
    seeds = len({row["seed"] for row in rows})
    spread = f", bars: standard deviation over {seeds} seeds" * (seeds > 1)
    top.set(xlabel=f"{len(found)} orders of generation, the best first", ylabel=label)
    top.set_title(f"one model, the same noise{spread}", fontsize="medium")
    top.xaxis.get_major_locator().set_params(integer=True)
    top.grid(alpha=0.3)
    for axes, sheet, (name, (value, _)), which in zip(below, sheets, ends, ("best", "worst"), strict=False):
        show_sheet(axes, sheet)
        axes.set_title(f"{which}: order {name}, {value:.4g}", fontsize="medium")
    return save_all(figure, stem)


def _process(model: Model, point: Point, n: int = 3, most: int = 10) -> Any:
    """Return a sheet of n images between their groups, noise first."""
    made = model.generate(n, steps=point.steps, solver=point.solver, schedule=point.schedule, trajectory=True)
    states = model.backend.to_numpy(made)
    chosen = states[spaced(len(states), most)]
    return lay_out(np.stack([pictures(state) for state in chosen], axis=1))


def intervals(rows: Rows, score: str, label: str, what: str, points: Sequence[Point], stem: Path) -> list[Path]:
    """Draw how each point shares its steps among the groups, and its score (Table 2); what: points are, in words."""
    import matplotlib

    found = summary(rows, score)
    figure, (left, right) = new_figure(9.5, 0.34 * len(points) + 1.5, columns=(1.1, 1))
    shares = {row["point"]: np.array(row["steps"].split(), float) for row in rows}
    places = np.arange(len(points))[::-1]
    k = points[0].schedule.k
    colours = matplotlib.colormaps["viridis"].resampled(max(k, 2))
    for place, point in zip(places, points, strict=True):
        widths = shares[point.name]
        begin = np.cumsum([0, *widths[:-1]])
        left.barh(np.full(len(widths), place), widths, left=begin, color=[colours(j) for j in range(len(widths))])
    left.set_yticks(places, [point.name for point in points])
    left.set(xlabel="steps of each group, in order of generation", ylabel=what)
    left.margins(x=0)
    mean, deviation = np.array([found[point.name] for point in points]).T
    right.errorbar(mean, places, xerr=deviation, fmt="o", color=BLUE, ecolor=GREY, capsize=3, markersize=6)
    best = int(np.argmin(mean))
    right.plot(mean[best], places[best], "o", color=VERMILION, markersize=10, fillstyle="none", markeredgewidth=2)
    right.set_yticks(places, [])
    right.set_ylim(left.get_ylim())
    right.set_xlabel(label)
    right.grid(alpha=0.3)
    seeds = len({row["seed"] for row in rows})
    right.set_title(
        f"{'mean and standard deviation' if seeds > 1 else 'one value'} of {seeds} seeds", fontsize="medium"
    )
    return save_all(figure, stem)


def curves(rows: Rows, score: str, label: str, by: str, title: str, stem: Path) -> list[Path]:
    """Draw the score against network calls, a line per value of the column `by` (Fig. 11; solvers)."""
    figure, axes = new_figure(5.8, 4.0)
    found = summary(rows, score)
    names = list(dict.fromkeys(row[by] for row in rows))
    shades = _shades(names, by)
    for number, name in enumerate(names):
        own = {row["point"]: int(row["calls"]) for row in rows if row[by] == name}
        calls = np.array(sorted(own.values()))
        values = np.array([found[point] for point in sorted(own, key=own.__getitem__)])
        text = f"k = {name}" if by == "k" else name
        style = {"color": shades[number], "marker": MARKERS[number % len(MARKERS)], "capsize": 3, "linewidth": 2}
        axes.errorbar(calls, values[:, 0], values[:, 1], label=text, markersize=5, **style)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    means = [mean for mean, _ in found.values()]
    if 0 < 8 * min(means) < max(means):
        axes.set_yscale("log")
    axes.set(xlabel="network calls", ylabel=label)
    seeds = len({row["seed"] for row in rows})
    axes.set_title(title + f"; bars: standard deviation over {seeds} seeds" * (seeds > 1), fontsize="medium")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return save_all(figure, stem)


def _shades(names: Sequence[str], by: str) -> list[Any]:
    """Return a colour per line: in steps of viridis for what is counted, else colours to tell apart."""
    import matplotlib

    if by == "k":
        scale = matplotlib.colormaps["viridis"]
        return [scale(place) for place in np.linspace(0, 0.9, len(names))]
    return [PALETTE[number % len(PALETTE)] for number in range(len(names))]
