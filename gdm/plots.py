"""Pictures of what a model does: the generative process, what a latent group controls, how training went.

Each function writes one file (.png; figures also .pdf or .svg) atomically. Colours are viridis and those of
Okabe and Ito, which colour-blind people can tell apart. Matplotlib is loaded when needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gdm import backends, checkpoint, latents
from gdm.canvas import (
    BLUE,
    CELL,
    GREY,
    VERMILION,
    coloured,
    lay_out,
    name_columns,
    name_rows,
    new_chart,
    new_figure,
    outline,
    pictures,
    save_figure,
    show_sheet,
    spaced,
)
from gdm.errors import CheckpointError
from gdm.flow import draw_latents
from gdm.model import Model
from gdm.names import group_names, shown
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps, get, plan
from gdm.ticks import plain_log


def process(
    model: Model,
    path: str | Path,
    *,
    n: int = 6,
    seed: int = 0,
    first: int = 0,
    steps: Steps = 64,
    solver: str | Solver = "euler",
) -> None:
    """Draw how images come into being, from noise on the left to data on the right (Fig. 1b, 5b).

    Groups that are not begun are still the noise they start from. Arguments as `Model.generate`.
    """
    times, states = film(model, n, seed=seed, first=first, steps=steps, solver=solver)
    cells = np.stack([pictures(state) for state in states], axis=1)  # (n, frames, H, W, C)
    names = [f"t = {time:.3g}" for time in times]
    names[0], names[-1] = f"noise\n{names[0]}", f"data\n{names[-1]}"
    figure, axes = new_figure(CELL * len(times) + 0.1, CELL * n + 0.5)
    sheet = lay_out(cells)
    show_sheet(axes, sheet)
    name_columns(axes, sheet, names)
    save_figure(figure, path)


def film(
    model: Model, n: int, *, seed: int = 0, first: int = 0, steps: Steps = 64, solver: str | Solver = "euler"
) -> tuple[list[float], list[np.ndarray]]:
    """Generate n images and keep the states on the way: at the ends of groups and, if they are few, halfway.

    Shapes: -> times (frames,), falling from 1 to 0; per time the states, NumPy (n, *event)
    """
    backend, stages, per_step = model.backend, plan(model.schedule, steps), get(solver).calls
    times = np.concatenate([np.linspace(part.end, part.start, part.steps, False) for part in stages])
    wanted = _frames([part.steps for part in stages])
    z = draw_latents(seed, range(first, first + n), model.schedule.shape)
    states: list[np.ndarray] = []
    calls = iter(range(len(times) * per_step))

    def watched(*told: Any) -> Any:
        """Keep what the network sees at a step's start, and the noise where it is hidden from the network."""
        step, stage = divmod(next(calls), per_step)
        if stage == 0 and step in wanted:
            # by the schedule's own groups: the network's alpha may be of finer ones
            hidden = (model.schedule.intervals[:, 1] < times[step]) & model.spec.training.mask_pending
            states.append(told[0] + model.schedule.scale(hidden.astype(z.dtype)[None], z))
        with backend.inference(), backend.computing():
            return backend.to_numpy(model.network(*map(backend.asarray, told)))

    host = backends.get("numpy", precision="float64" if backend.precision == "float64" else "float32")
    watching = replace(model, network=watched, program=None, backend=host)  # a program's states cannot be looked at
    last = watching.generate(n, seed=seed, first=first, steps=steps, solver=solver, batch=n)
    return [*times[wanted].tolist(), stages[-1].start], [*states, last]


def _frames(shares: Sequence[int], most: int = 10) -> list[int]:
    """Return the steps before which to show the state: ends of groups and, if they fit, halfway; rising."""
    ends = np.cumsum([0, *shares]).tolist()
    if 2 * len(shares) > most:
        return [ends[i] for i in spaced(len(ends), most + 1)[:-1]]
    halves = [end + share // 2 for end, share in zip(ends, shares, strict=False)]
    return sorted({*ends[:-1], *halves})


def group_variation(
    model: Model,
    path: str | Path,
    *,
    seed: int = 0,
    index: int = 0,
    shown: int = 7,
    samples: int = 32,
    steps: Steps = 64,
    solver: str | Solver = "ab2",
) -> None:
    """Draw what each latent group does (Fig. 1c): one row per group, which alone is drawn anew per column.

    The first column is the image itself, the last the standard deviation of each pixel over `samples`
    variations. Groups of pixels are outlined; those generated before them stay as they are.
    """
    from matplotlib.cm import ScalarMappable

    schedule = model.schedule
    groups = spaced(schedule.k, 9)
    images, deviation = [], []
    for group in groups:
        varied = vary(model, group, samples, seed=seed, index=index, steps=steps, solver=solver)
        images.append(coloured(pictures(varied[: shown + 1])))
        deviation.append(varied[1:].std(axis=0).mean(axis=0))
    scale = ScalarMappable(cmap="viridis")
    scale.set_clim(0, max(map(np.max, deviation)))
    maps = np.stack([scale.to_rgba(spread, bytes=True)[None, ..., :3] for spread in deviation])
    figure, axes = new_figure(CELL * (shown + 3.2), CELL * len(groups) + 0.4)
    sheet = lay_out(np.concatenate([np.stack(images), maps], axis=1))
    show_sheet(axes, sheet)
    name_columns(axes, sheet, ["image", *(f"no. {i + 1}" for i in range(shown)), "std"])
    name_rows(axes, sheet, [_named(schedule, group) for group in groups])
    figure.colorbar(scale, ax=axes, fraction=0.05, pad=0.02).outline.set_visible(False)
    if not schedule.basis.factors:
        masks = [(schedule.partition.labels == group).any(axis=0) for group in groups]
        outline(axes, sheet, masks, range(1, shown + 2))
    save_figure(figure, path)


def _named(schedule: Schedule, group: int) -> str:
    name = group_names(schedule)[group]
    return f"group {group}" if name in ("all", f"group{group}") else f"group {group}\n{shown(name)}"


def vary(
    model: Model,
    group: int,
    samples: int,
    *,
    seed: int = 0,
    index: int = 0,
    steps: Steps = 64,
    solver: str | Solver = "ab2",
) -> np.ndarray:
    """Generate image `index` of a seed, then variations of it whose latent `group` is drawn anew.

    Shapes: -> NumPy (1 + samples, *event)
    """
    own = draw_latents(seed, [index] * (1 + samples), model.schedule.shape)
    other = draw_latents(seed, [index, *range(index + 1, index + 1 + samples)], model.schedule.shape)
    edited = latents.resample(model.schedule, own, other, groups=group)
    label = index % len(model.classes) if model.classes else None
    return model.backend.to_numpy(model.decode(edited, steps=steps, solver=solver, labels=label))


def run_curves(run: str | Path, path: str | Path) -> None:
    """Draw what a run logged: its loss with a running median, the learning rate, and images per second.

    Steps that were skipped since the line before, for a loss that was not finite, are marked.

    Raises: CheckpointError if no loss is logged yet
    """
    records = checkpoint.read_metrics(Path(run))
    steps, losses = _logged(records, "loss")
    if not len(losses):
        raise CheckpointError(f"{run}: expected losses in metrics.jsonl, got none; train it a little longer")
    figure, (loss, rate, speed) = new_chart(12, 3.2, (1.6, 1, 1))
    _points(loss, steps, losses, "loss")
    if losses.min() > 0 and losses.max() > 10 * losses.min():
        plain_log(loss, "y")
    loss.set_title(Path(run).name)
    if marks := _skips(records):
        foot = loss.get_xaxis_transform()  # x in steps, y in heights of the panel
        loss.plot(marks, [0.03] * len(marks), "^", color=VERMILION, transform=foot, label="steps skipped")
    loss.legend(frameon=False)
    rate.plot(*_logged(records, "learning_rate"), color=BLUE, linewidth=2)
    rate.ticklabel_format(axis="y", scilimits=(-2, 2))
    rate.set(ylabel="learning rate")
    _points(speed, *_logged(records, "images_per_second"), "images/s")
    for axes in (loss, rate, speed):
        axes.set(xlabel="step")
        axes.locator_params(axis="x", nbins=5)
    for axes in (rate, speed):
        axes.set_ylim(bottom=0)
    figure.get_layout_engine().set(w_pad=0.12)  # inches: a label keeps away from the panel before it
    save_figure(figure, path)


def _points(axes: Any, steps: np.ndarray, values: np.ndarray, name: str) -> None:
    """Draw logged numbers as points, and their running median as a line."""
    half = max(1, len(values) // 40)
    median = [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    axes.plot(steps, values, ".", color=GREY, markersize=4, label="mean since the line before")
    axes.plot(steps, median, color=BLUE, linewidth=2, label="running median")
    axes.set(ylabel=name)


def _logged(records: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps that have a number of this name, and the numbers."""
    found = [(record["step"], record[name]) for record in records if record.get(name) is not None]
    steps, values = np.array(found, float).reshape(-1, 2).T
    return steps, values


def _skips(records: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the logged steps at which the count of skipped steps is higher than at the line before."""
    steps, counts = _logged(records, "skipped")
    return steps[np.diff(counts, prepend=0) > 0].tolist()
