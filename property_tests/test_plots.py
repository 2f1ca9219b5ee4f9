"""Pictures show what they should, pixel by pixel, and files are written whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import gdm
from gdm import canvas, checkpoint, diagrams, errors, plots
from gdm.pixels import to_uint8
from property_tests.runs import BACKENDS, exact, smooth
from property_tests.support import agree, refused, same_bits

BLOCKS = gdm.Schedule.blockwise((1, 4, 4), grid=(2, 2))
SCHEDULES = {
    "blocks": BLOCKS,
    "unequal": gdm.Schedule.rows((1, 4, 4), 2, intervals=[(0.3, 1), (0, 0.2)], path="trigonometric"),
    "bands": gdm.Schedule.bands((1, 4, 4), (1, 6)),
    "elements": gdm.Schedule.autoregressive((1, 3, 4)),
}


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height of a picture that can be read to its end."""
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        return picture.size


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2))
def test_a_sheet_holds_cells_and_gaps(rows: int, columns: int, height: int, width: int, gap: int) -> None:
    cells = np.arange(rows * columns * height * width).reshape(rows, columns, height, width)
    sheet = canvas.montage(cells, -1, gap=gap).pixels
    assert sheet.shape == (rows * (height + gap) + gap, columns * (width + gap) + gap)
    for i, j in np.ndindex(rows, columns):
        top, left = i * (height + gap) + gap, j * (width + gap) + gap
        same_bits(sheet[top : top + height, left : left + width], cells[i, j])
    assert (sheet == -1).sum() == sheet.size - cells.size


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_grid_is_the_images(tmp_path: Path, channels: int) -> None:
    images = np.random.default_rng(0).uniform(-1.2, 1.2, (5, channels, 2, 3))
    pixels = canvas.image_grid(images, tmp_path / "grid.png", columns=3, scale=4)
    with Image.open(tmp_path / "grid.png") as picture:
        sheet = np.asarray(picture).reshape(*picture.size[::-1], channels)
    same_bits(pixels, sheet)
    assert sheet.shape == (2 * (8 + 4) + 4, 3 * (12 + 4) + 4, channels)
    for number, image in enumerate(to_uint8(images)):
        row, column = divmod(number, 3)
        cell = sheet[12 * row + 4 : 12 * row + 12, 16 * column + 4 : 16 * column + 16]
        same_bits(cell, image.transpose(1, 2, 0).repeat(4, axis=0).repeat(4, axis=1))
    assert (sheet[16:, 36:] == canvas.FILL).all()  # the sixth place is empty


def test_images_that_cannot_be_drawn_are_refused(tmp_path: Path) -> None:
    good = np.zeros((2, 1, 4, 4))
    with refused(errors.ShapeError, "(n, C, H, W)", "(4, 4)"):
        canvas.image_grid(good[0, 0], tmp_path / "grid.png")
    with refused(errors.DTypeError, "int64"):
        canvas.image_grid(good.astype(int), tmp_path / "grid.png")
    with refused(errors.ValueRangeError, "NaN"):
        canvas.image_grid(good * np.nan, tmp_path / "grid.png")
    with refused(errors.ValueRangeError, "columns >= 1"):
        canvas.image_grid(good, tmp_path / "grid.png", columns=0)
    with refused(errors.ValueRangeError, ".png", "grid.jpg"):
        canvas.image_grid(good, tmp_path / "grid.jpg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_film_shows_noise_until_a_group_begins_and_data_from_its_end(name: str, masked: bool) -> None:
    schedule = SCHEDULES[name]
    model = exact(schedule, mask_pending=masked)
    times, states = plots.film(model, 2, seed=5, first=1, steps=48)
    noise = gdm.draw_latents(5, [1, 2], schedule.shape)
    data = model.generate(2, seed=5, first=1, steps=48)
    assert times[0] == 1 and times[-1] == 0 and times == sorted(times, reverse=True)
    assert len(states) == len(times) <= 12
    if schedule.k <= 5:
        assert {*schedule.intervals[:, 1].tolist()} <= {*times}  # the beginning of each group
    for t, state in zip(times, states, strict=True):
        alpha = schedule.alpha(np.array([t]))
        for weight, end in ((0, noise), (1, data)):
            mask = (alpha == weight).astype(float)
            agree(schedule.scale(mask, state), schedule.scale(mask, end), 1e-6, f"t = {t}")


@pytest.mark.parametrize("on", BACKENDS)
def test_a_film_is_that_of_numpy(on: str) -> None:
    """On JAX too, whose programs nobody can look into; and of a model that is compiled."""
    schedule = SCHEDULES["unequal"]
    model, host = (smooth(schedule, backend) for backend in (on, "numpy"))
    model = replace(model, program=model.network)
    (times, states), (host_times, expected) = (plots.film(one, 2, seed=5, steps=8) for one in (model, host))
    assert times == host_times and all(type(state) is np.ndarray for state in states)
    agree(np.stack(states), np.stack(expected))
    agree(states[-1], model.backend.to_numpy(model.generate(2, seed=5, steps=8)))


def test_variations_of_a_group_leave_earlier_groups_alone() -> None:
    model = exact(BLOCKS, mask_pending=True)
    for group in range(4):
        varied = plots.vary(model, group, 3, seed=2, index=7, steps=8)
        agree(varied[:1], model.generate(1, seed=2, first=7, steps=8, solver="ab2"))
        earlier, own = BLOCKS.partition.labels < group, BLOCKS.partition.labels == group
        same_bits(varied[:, earlier], np.broadcast_to(varied[:1, earlier], varied[:, earlier].shape))
        assert (varied[1:, own] != varied[0, own]).all()


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=4))
def test_an_outline_has_an_edge_wherever_inside_meets_outside(mask: list[list[bool]]) -> None:
    inside = np.pad(np.array(mask), 1)
    crossings = (inside[1:] != inside[:-1]).sum() + (inside[:, 1:] != inside[:, :-1]).sum()
    edges = canvas.edges_of(np.array(mask))
    assert len(edges) == crossings
    assert (np.abs(edges[:, 1] - edges[:, 0]).sum(axis=1) == 1).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_pictures_of_a_model_are_written(tmp_path: Path, name: str) -> None:
    model = exact(SCHEDULES[name])
    plots.process(model, tmp_path / "process.png", n=2, steps=24)
    plots.group_variation(model, tmp_path / "groups.png", shown=2, samples=3, steps=24)
    for picture in tmp_path.iterdir():
        assert min(size_of(picture)) > 100


@pytest.mark.parametrize(
    "schedule",
    [
        *SCHEDULES.values(),
        gdm.Schedule.vanilla((3, 4, 4)),
        gdm.Schedule.channels((3, 4, 4)),
        gdm.Schedule.autoregressive((1, 9, 9)),
        gdm.Schedule.rows((6, 5), 2),
        gdm.Schedule.columns((6,), 3),
    ],
    ids=repr,
)
def test_schedules_and_bases_are_drawn(tmp_path: Path, schedule: gdm.Schedule) -> None:
    diagrams.schedule_plot(schedule, tmp_path / "schedule.png")
    diagrams.basis_plot(schedule.basis, tmp_path / "basis.png", count=5)
    assert min(*size_of(tmp_path / "schedule.png"), *size_of(tmp_path / "basis.png")) > 100


def test_curves_of_a_run_need_losses(tmp_path: Path) -> None:
    with refused(errors.CheckpointError, "metrics.jsonl"):
        plots.run_curves(tmp_path, tmp_path / "run.png")
    for step in range(1, 60):
        checkpoint.append_metrics(tmp_path, step, {"loss": float("nan") if step == 9 else 1 / step})
    plots.run_curves(tmp_path, tmp_path / "run.svg")
    assert b"</svg>" in (tmp_path / "run.svg").read_bytes()


def test_curves_of_a_run_show_what_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every number that was logged is drawn, in the panel of its name; a rise of the skipped steps is marked."""
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, _: drawn.append(figure))
    steps, losses = np.arange(5, 55, 5), np.linspace(2, 1, 10)
    for i, (step, loss) in enumerate(zip(steps.tolist(), losses, strict=True)):
        values = {"loss": loss, "learning_rate": 1e-4 * step, "images_per_second": 900.0 + step}
        checkpoint.append_metrics(tmp_path, step, values | {"skipped": 0 if i < 3 else 2} if i % 2 else values)
    plots.run_curves(tmp_path, tmp_path / "run.png")
    loss, rate, speed = drawn[0].axes
    for axes, name, values in (
        (loss, "loss", losses),
        (rate, "learning rate", 1e-4 * steps),
        (speed, "images/s", 900.0 + steps),
    ):
        line = axes.lines[0]
        same_bits(line.get_xdata(), steps)
        agree(line.get_ydata(), values)
        assert axes.get_ylabel() == name and axes.get_xlabel() == "step"
    same_bits(loss.lines[-1].get_xdata(), [20])
    assert "skipped" in loss.lines[-1].get_label()


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "grid.png"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("PIL.Image.Image.save", full)
    with refused(errors.CheckpointError, "No space left", str(path)):
        canvas.image_grid(np.zeros((1, 1, 4, 4)), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
