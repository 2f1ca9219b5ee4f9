"""Pictures of what a model does: samples, the generative process, what a latent group controls, the loss.

Each function writes one file (.png; figures also .pdf or .svg) atomically. Colours are viridis and those of
Okabe and Ito, which colour-blind people can tell apart. Matplotlib and Pillow are loaded when needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gdm import checkpoint, latents
from gdm.canvas import (
    BLUE,
    FILL,
    GREY,
    checked_name,
    coloured,
    in_rows,
    lay_out,
    name_columns,
    name_rows,
    new_figure,
    outline,
    pictures,
    save_figure,
    show_sheet,
    spaced,
)
from gdm.errors import CheckpointError, ValueRangeError
from gdm.files import write_atomic
from gdm.flow import draw_latents
from gdm.model import Model
from gdm.solver import Solver, Steps, get, plan

CELL = 0.85  # inches


def image_grid(images: Any, path: str | Path, *, columns: int | None = None, scale: int | None = None) -> None:
    """Write images as one PNG, row by row, each pixel as `scale` x `scale` (None: so that one sees it).

    Shapes: images (n, C, H, W) in [-1, 1], C = 1 or 3
    Raises: ShapeError for other shapes; ValueRangeError for NaN; CheckpointError if the disk refuses
    """
    from PIL import Image

    cells = pictures(images)
    columns = math.ceil(math.sqrt(len(cells))) if columns is None else columns
    if columns < 1 or (scale is not None and scale < 1):
        raise ValueRangeError(f"expected columns >= 1 and scale >= 1, got {columns} and {scale}")
    sheet = lay_out(in_rows(cells, columns, FILL), scale).pixels
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    write_atomic(checked_name(path, (".png",)), lambda file: picture.save(file, "PNG"))


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
    stages, per_step = plan(model.schedule, steps), get(solver).calls
    times = np.concatenate([np.linspace(part.end, part.start, part.steps, False) for part in stages])
    wanted = _frames([part.steps for part in stages])
    z = draw_latents(seed, range(first, first + n), model.schedule.shape)
    states: list[np.ndarray] = []
    calls = iter(range(len(times) * per_step))

    def watched(x_t: Any, alpha: Any, *labels: Any) -> Any:
        """Keep what the network sees at a step's start, and the noise where it is hidden from the network."""
        step, stage = divmod(next(calls), per_step)
        if stage == 0 and step in wanted:
            state = model.backend.to_numpy(x_t)
            if model.spec.training.mask_pending:
                pending = (model.backend.to_numpy(alpha) == 0).astype(z.dtype)
                state = state + model.schedule.scale(pending, z)
            states.append(state)
        return model.network(x_t, alpha, *labels)

    watching = replace(model, network=watched)
    last = watching.generate(n, seed=seed, first=first, steps=steps, solver=solver, batch=n)
    return [*times[wanted].tolist(), stages[-1].start], [*states, model.backend.to_numpy(last)]


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
    name_rows(axes, sheet, [f"group {group}" for group in groups])
    figure.colorbar(scale, ax=axes, fraction=0.05, pad=0.02).outline.set_visible(False)
    if not schedule.basis.factors:
        masks = [(schedule.partition.labels == group).any(axis=0) for group in groups]
        outline(axes, sheet, masks, range(1, shown + 2))
    save_figure(figure, path)


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


def loss_curve(run: str | Path, path: str | Path) -> None:
    """Draw the loss of a run from its log, each logged mean and their running median.

    Raises: CheckpointError if nothing is logged yet
    """
    records = [record for record in checkpoint.read_metrics(Path(run)) if record.get("loss") is not None]
    if not records:
        raise CheckpointError(f"{run}: expected losses in metrics.jsonl, got none; train it a little longer")
    steps, losses = np.array([(record["step"], record["loss"]) for record in records]).T
    half = max(1, len(losses) // 40)
    median = [np.median(losses[max(0, i - half) : i + half + 1]) for i in range(len(losses))]
    figure, axes = new_figure(7, 4)
    axes.plot(steps, losses, ".", color=GREY, markersize=4, label="mean since the line before")
    axes.plot(steps, median, color=BLUE, linewidth=2, label="running median")
    axes.set(xlabel="step", ylabel="loss", title=f"loss of {Path(run).name}")
    if losses.min() > 0 and losses.max() > 10 * losses.min():
        axes.set_yscale("log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    save_figure(figure, path)
