"""Figures of what was measured: variance, independence, influence and bits, each as a PNG and a PDF.

Bars of error are one standard error. Matplotlib is loaded when needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdm import statistics
from gdm.analysis.bits import Bits
from gdm.analysis.correlation import BETWEEN, TOTAL, Independence, Quantity
from gdm.analysis.influence import Influence
from gdm.analysis.variance import Variance
from gdm.canvas import BLUE, GREY, SKY, VERMILION, new_chart, new_figure, save_figure, spaced
from gdm.names import added, numbered
from gdm.schedule import Schedule
from gdm.ticks import evenly, plain_log
from gdm.wording import counted

NUMBERED = 12  # groups up to which a matrix has its numbers written in
NAMED = 10  # levels of groups up to which an axis has their names
SUFFIXES = (".png", ".pdf")


def save_all(figure: Any, stem: Path) -> list[Path]:
    """Write a figure as STEM.png and STEM.pdf, and return both. Raises: CheckpointError if the disk refuses"""
    paths = [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]
    for path in paths:
        save_figure(figure, path)
    return paths


def variance(found: Variance, what: str, phi: str, stem: Path, schedule: Schedule | None = None) -> list[Path]:
    """Draw E ||phi(x) - E phi(x)||^2 against how many latents are fixed (Fig. 4a); what: is counted, in words.

    schedule: if groups are counted, whose names stand at the axis where there is room
    """
    x = found.fixed.astype(float)
    places = 1 + np.ptp(x) / min(np.diff(x), default=1.0)  # as close to one another as the closest two levels
    names = added(schedule, found.fixed.tolist()) if schedule is not None and places <= NAMED else []
    room = max(0.55, *(0.1 + 0.085 * len(name) for name in names)) if names else 0.0  # inches
    figure, axes = new_chart(max(5.4, room * places + 0.9), 3.8)
    value, error = found.mean
    axes.errorbar(x, value, error, color=BLUE, marker="o", markersize=5, capsize=3, linewidth=2, clip_on=False)
    axes.set(xlabel=what, ylabel=r"$E\,\|\phi(x) - E\,\phi(x)\|^2$")
    axes.set_title(f"variance of images that share them; $\\phi$: {phi}", fontsize="medium")
    if x[-1] > 16:
        _counted(axes, x[-1])
    else:
        shown = evenly(len(x), NAMED)
        axes.set_xticks(x[shown], names or [f"{n:g}" for n in x[shown]])
        if schedule is not None:
            _latents_above(axes, found, shown)
    axes.set_ylim(bottom=0)
    return save_all(figure, stem)


def _counted(axes: Any, most: float) -> None:
    """Make the x axis logarithmic from 1, and show 0 as well."""
    axes.set_xscale("symlog", linthresh=1)
    ticks = [0, *(digit * 10**power for power in range(9) for digit in (1, 3))]
    axes.set_xticks([n for n in ticks if n <= most], [f"{n:,}" for n in ticks if n <= most])
    axes.set_xlim(left=-0.1)


def _latents_above(axes: Any, found: Variance, shown: list[int]) -> None:
    """Write how many coordinates are fixed on a second axis, where groups are counted."""
    above = axes.secondary_xaxis("top")
    above.set_xticks(found.fixed[shown], [f"{n:,}" for n in found.latents[shown]], fontsize="small")
    above.set_xlabel("latents that are fixed")


def independence(found: Independence, schedule: Schedule, z: np.ndarray, stem: Path) -> list[Path]:
    """Draw total correlations beside their baselines, and how all coordinates are distributed beside N(0, 1)."""
    parts = [q for q in found.quantities if q.name in (TOTAL, BETWEEN) or q.name.startswith("within")]
    chosen = [parts[i] for i in (*range(2), *(2 + i for i in spaced(len(parts) - 2, 16)))]
    figure, (left, right) = new_chart(10.5, max(3.6, 0.3 * len(chosen) + 1.6), columns=(1.25, 1))
    names = numbered(schedule)
    within = {f"within group {j}": f"within group {name}" for j, name in enumerate(names)}
    _parts(left, chosen, within)
    left.set_title(f"Gaussian total correlation of {counted(found.samples, 'encoded image')}", fontsize="medium")
    c = schedule.basis.analyze(np.asarray(z, np.float64)).reshape(len(z), -1)
    edges = np.linspace(-4, 4, 81)
    right.hist(np.clip(c.ravel(), -4, 4), edges, density=True, color=SKY, label="encoded")
    right.plot(edges, np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi), color="black", linewidth=1.5, label="N(0, 1)")
    marginal = found.marginals[-1]
    right.set(xlabel="coordinate of a latent (beyond 4: in the last bins)", ylabel="density")
    right.set_title(f"all coordinates; {100 * marginal.rejected:.0f} % not normal (at 5 %)", fontsize="medium")
    right.legend(frameon=False)
    return save_all(figure, stem)


def _parts(axes: Any, parts: list[Quantity], called: Mapping[str, str]) -> None:
    places = np.arange(len(parts))[::-1]
    given = {"fmt": "none", "capsize": 3, "linewidth": 1.5}
    for name, colour, marker, shift, value, error in (
        ("encoded", BLUE, "o", 0.18, [q.value for q in parts], [q.error for q in parts]),
        ("coordinates shuffled", VERMILION, "s", 0.0, [q.shuffled for q in parts], [q.shuffled_sd for q in parts]),
        ("draws of N(0, I)", "black", "x", -0.18, [q.normal for q in parts], [q.normal_sd for q in parts]),
    ):
        axes.plot(value, places + shift, marker, color=colour, markersize=6, linestyle="none", label=name)
        axes.errorbar(value, places + shift, xerr=error, ecolor=colour, **given)
    axes.set_yticks(places, [f"{called.get(q.name, q.name)}: {q.dimensions}" for q in parts])
    plain_log(axes, "x")
    axes.set_xlabel("nats; after each name, how many coordinates")
    axes.grid(visible=False, axis="y")
    axes.legend(frameon=False, fontsize="small")


def influence(found: Influence, schedule: Schedule, stem: Path) -> list[Path]:
    """Draw the matrix of how far image group j moves when latent group i is drawn anew."""
    k, names = len(found.rms), numbered(schedule)
    size = min(8.0, 3.0 + 0.45 * k)
    figure, axes = new_figure(size + 0.6 + 0.085 * max(map(len, names)), size)  # beside it a name, below it two lines
    drawn = axes.imshow(found.rms, cmap="viridis", vmin=0)
    axes.spines[:].set_visible(False)
    bright = 0.6 * found.rms.max()
    for i, j in np.ndindex(k, k) if k <= NUMBERED else ():
        text = "0" if found.rms[i, j] == 0 else f"{found.rms[i, j]:.2g}"
        shade = "black" if found.rms[i, j] > bright else "white"
        axes.text(j, i, text, ha="center", va="center", color=shade, fontsize="small")
    ticks = evenly(k, 10)
    axes.set(xlabel="image group that moves", ylabel="latent group drawn anew")
    axes.set_xticks(ticks, [_stacked(names[j]) for j in ticks])
    axes.set_yticks(ticks, [names[j] for j in ticks])
    axes.set_title(f"root mean square; leak to earlier groups {found.leak:.2g}", fontsize="medium")
    figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.03).outline.set_visible(False)
    return save_all(figure, stem)


def _stacked(name: str) -> str:
    """Return number and name of a group under one another, so that they fit between ticks."""
    return name.replace(" ", "\n", 1)


def bits(found: Bits, schedule: Schedule, stem: Path) -> list[Path]:
    """Draw bits per dimension of each group, given those before it, and of all."""
    k = len(found.sizes)
    figure, axes = new_chart(min(9.0, 3.4 + 0.35 * k), 3.6, grid="y")
    value, error = found.groups
    axes.errorbar(np.arange(k), value, error, color=BLUE, marker="o", linestyle="none", capsize=3, label="each group")
    _level(axes, found.total)
    axes.set(xlabel="group, in order of generation", ylabel="bits per dimension")
    names, ticks = numbered(schedule), evenly(k, 12)
    axes.set_xticks(ticks, [_stacked(names[j]) for j in ticks])
    axes.set_title(f"{counted(len(found.values), 'image')} of 8 bits; uniform noise would cost 8", fontsize="medium")
    axes.set_xlim(-0.6, k - 0.4)
    axes.margins(y=0.25)
    axes.legend(frameon=False, fontsize="small", ncols=2, loc="upper center")
    return save_all(figure, stem)


def _level(axes: Any, total: statistics.Estimate) -> None:
    axes.axhline(total.value, color=VERMILION, linewidth=1.5, linestyle="--", label="all groups")
    if np.isfinite(total.error):
        axes.axhspan(total.value - total.error, total.value + total.error, color=GREY, alpha=0.3, linewidth=0)
