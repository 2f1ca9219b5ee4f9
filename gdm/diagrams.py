"""Diagrams of a schedule and of a basis, before anything is trained."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from gdm.basis import Basis
from gdm.canvas import in_rows, middle, montage, new_figure, save_figure, show_sheet, spaced, style
from gdm.names import group_names, shown
from gdm.schedule import Schedule

MANY = 64  # groups beyond which they are no longer numbered one by one


def schedule_plot(schedule: Schedule, path: str | Path) -> None:
    """Draw the groups, numbered in order of generation, and their data weights alpha_j(t) (Eq. 10)."""
    import matplotlib

    colours = matplotlib.colormaps["viridis"].resampled(max(schedule.k, 2))
    figure, (left, right) = new_figure(10, 4.4, columns=(1, 1.2))
    _groups(left, schedule, colours)
    _weights(right, schedule, colours)
    save_figure(figure, path)


def _groups(axes: Any, schedule: Schedule, colours: Any) -> None:
    """Colour every coordinate by its group; channels side by side where they differ."""
    labels = schedule.partition.labels.reshape(-1, *_plane(schedule.shape))
    planes = labels[:1] if (labels == labels[:1]).all() else labels
    sheet = montage(planes[None].astype(float), np.nan)
    show_sheet(axes, sheet, cmap=colours, vmin=-0.5, vmax=max(schedule.k, 2) - 0.5)
    for group in range(schedule.k if schedule.k <= MANY else 0):
        row, column = middle(sheet.pixels == group)
        shade = "black" if group > 0.6 * schedule.k else "white"
        axes.text(column, row, str(group), color=shade, ha="center", va="center", weight="bold")
    of = schedule.basis.coordinates
    axes.set_title(f"{schedule.k} group{'s' * (schedule.k > 1)} of {of}; 0 is generated first")


def _weights(axes: Any, schedule: Schedule, colours: Any) -> None:
    t = np.unique([*np.linspace(0, 1, 401), *schedule.breakpoints])
    alpha = schedule.alpha(t)
    names = group_names(schedule)
    for group in spaced(schedule.k, MANY):
        label = f"group {group}" + f", {shown(names[group])}" * (names[group] not in ("all", f"group{group}"))
        axes.plot(t, alpha[:, group], color=colours(group), linewidth=2, label=label)
    axes.set(xlabel="t    (1 = noise, 0 = data)", ylabel=r"data weight $\alpha_j(t)$", xlim=(1.02, -0.02))
    axes.set_title(f"generated from left to right, {schedule.path.name} path")
    style(axes)
    if 1 < schedule.k <= 9:
        axes.legend(fontsize="small")


def basis_plot(basis: Basis, path: str | Path, *, count: int = 36) -> None:
    """Draw the `count` smoothest basis vectors, the smoothest first, each scaled to 1 (Fig. 12)."""
    height, width = _plane(basis.shape)
    ranks = basis.order.reshape(-1, height * width)[0]
    count = min(count, ranks.size)
    unit = np.zeros((count, math.prod(basis.shape) // ranks.size, height * width))
    unit[np.arange(count), 0, np.argsort(ranks)[:count]] = 1
    vectors = basis.synthesize(unit.reshape(count, *basis.shape)).reshape(count, -1, height, width)[:, 0]
    vectors /= np.abs(vectors).max(axis=(1, 2), keepdims=True)
    figure, axes = new_figure(6, 5.4)
    sheet = montage(in_rows(vectors, math.ceil(math.sqrt(count)), np.nan), np.nan)
    drawn = show_sheet(axes, sheet, cmap="viridis", vmin=-1, vmax=1)
    figure.colorbar(drawn, ax=axes, ticks=[-1, 0, 1], fraction=0.05).outline.set_visible(False)
    axes.set_title(f"the {count} smoothest {basis.name} vectors of {height} x {width}")
    save_figure(figure, path)


def _plane(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of one channel; a sequence is one row."""
    return (1, shape[0]) if len(shape) == 1 else (shape[-2], shape[-1])
