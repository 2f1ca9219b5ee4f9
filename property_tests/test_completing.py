"""Laws of completion by a run: known pixels come back to the bit, in an order that it was trained on if there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdm
from gdm import completing, loading
from gdm.completing import complete, kept, known_first
from gdm.errors import UnsupportedError, ValueRangeError
from gdm.intake import Images
from gdm.model import Model
from gdm.pixels import to_uint8, to_unit
from property_tests.runs import BACKENDS, SMALL, conditional, exact, smooth, untrained
from property_tests.support import agree, refused, same_bits

SHAPE = (1, 4, 4)


def photos(n: int, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Images:
    """Return random bytes as images."""
    images = np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)
    return Images(images, tuple(f"{i}.png" for i in range(n)), np.full(n, -1))


@pytest.mark.parametrize("on", BACKENDS)
def test_known_pixels_come_back_to_the_bit(on: str) -> None:
    """Whatever was known, in float32 too; all else is made, and does not depend on what was there."""
    schedule, images = gdm.Schedule.blockwise(SHAPE, (2, 2)), photos(2)
    runs = smooth(schedule, on)
    known = known_first(runs, "left")
    assert known.count == 2 and known.name == "left"
    panels = complete(runs, images, known, n=3, steps=4)
    assert panels.images.shape == (2, 5, *SHAPE)
    made = panels.images[:, 2:].reshape(-1, *SHAPE)
    same_bits(to_uint8(made)[..., :2], images.images.repeat(3, axis=0)[..., :2])
    assert kept(known, images.images.repeat(3, axis=0), made) == (6 * 8, 0, 0.0)
    spoiled = Images(images.images.copy(), images.names, images.labels)
    spoiled.images[..., 2:] = 9
    agree(complete(runs, spoiled, known, n=3, steps=4).images[:, 2:], panels.images[:, 2:], 1e-12)
    assert np.abs(panels.images[:, 2:, ..., 2:] - panels.images[:, :1, ..., 2:]).max() > 0.1
    same_bits(panels.images[:, 0], to_unit(images.images))


def test_what_is_not_kept_is_counted() -> None:
    known, images = known_first(smooth(gdm.Schedule.rows(SHAPE, 2), "numpy"), "top"), photos(1)
    made = to_unit(images.images).astype(np.float64)
    made[0, 0, 0, :2] -= np.copysign(10 / 127.5, made[0, 0, 0, :2])
    made[0, 0, 3] = 0
    assert kept(known, images.images, made) == (8, 2, 10.0)


@pytest.mark.parametrize(
    ("schedule", "region"),
    [(gdm.Schedule.bands((3, 4, 4), (3, 7)), "0:7"), (gdm.Schedule.colour((3, 4, 4)), "luma")],
    ids=["bands", "colour"],
)
def test_known_frequencies_and_colours_come_back_to_rounding(schedule: gdm.Schedule, region: str) -> None:
    runs, images = smooth(schedule, "numpy"), photos(2, (3, 4, 4))
    known = known_first(runs, region)
    panels = complete(runs, images, known, n=2, steps=4)
    total, different, gap = kept(known, images.images.repeat(2, axis=0), panels.images[:, 2:].reshape(-1, 3, 4, 4))
    assert total == 4 * known.coordinates.sum() and different == 0 and gap < 1e-6
    grey = to_unit(images.images).mean(axis=1)
    if region == "luma":
        agree(panels.images[:, 2:].mean(axis=2), np.repeat(grey[:, None], 2, axis=1), 1e-6)
        agree(panels.images[:, 1], np.repeat(grey[:, None], 3, axis=1), 1e-6)


def test_completion_is_the_models() -> None:
    """The same as Model.complete in the order with the known groups first, with classes and other solvers."""
    runs = conditional(gdm.Schedule.rows((1, 4, 2), 4))
    images = Images(photos(2, (1, 4, 2)).images, ("a", "b"), np.array([1, 0]))
    known = known_first(runs, "3,1")
    assert known.name == "r1, r3" and known.schedule == runs.schedule.reorder([1, 3, 0, 2])
    panels = complete(runs, images, known, n=2, seed=5, steps=8, solver="ab2")
    x = to_unit(images.images).repeat(2, axis=0)
    chosen: Any = {"seed": 5, "steps": 8, "solver": "ab2", "labels": [1, 1, 0, 0], "schedule": known.schedule}
    agree(panels.images[:, 2:].reshape(x.shape), runs.complete(x, [0, 1], **chosen), 1e-12)
    with refused(ValueRangeError, "a class for each image"):
        complete(runs, photos(2, (1, 4, 2)), known)
    with refused(ValueRangeError, "n: expected at least 1"):
        complete(runs, images, known, n=0)


GROUPED = {
    **SMALL,
    "data": {"source": "digits"},
    "schedule": {"kind": "rows", "groups": 2},
    "groupings": [
        {"kind": "columns", "groups": 4, "order": "random"},
        {"kind": "cascade"},
        {"kind": "rows", "groups": 4, "order": "bottom-to-top"},
    ],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a run of three groupings: rows top first, columns in random orders, a cascade, finer rows bottom first."""
    return loading.load(untrained(tmp_path_factory.mktemp("grouped") / "run", GROUPED), "torch", "cpu")


@pytest.mark.parametrize(
    ("region", "taught", "count", "k"),
    [
        ("top", True, 1, 2),
        ("bottom", True, 2, 4),
        ("left", True, 2, 4),
        ("right", True, 2, 4),
        ("c1,c3", True, 2, 4),
        ("coarse", True, 1, 2),
        ("fine", False, 1, 2),
    ],
)
def test_the_order_is_one_that_was_trained_if_there_is_one(
    run: Model, region: str, taught: bool, count: int, k: int
) -> None:
    """Among all groupings of a run; the known groups come first, and are the region's pixels."""
    known = known_first(run, region)
    assert (known.taught, known.count, known.schedule.k) == (taught, count, k)
    rows, columns = np.indices((8, 8))
    wanted = {
        "top": rows < 4, "bottom": rows > 3, "left": columns < 4, "right": columns > 3,
        "c1,c3": columns // 2 % 2 == 1,
        "coarse": (rows % 2 == 0) & (columns % 2 == 0), "fine": (rows % 2 == 1) | (columns % 2 == 1),
    }[region]  # fmt: skip
    same_bits(known.coordinates[0], wanted)
    same_bits(known_first(run, wanted).coordinates[0], wanted)
    assert (region != "bottom") or not known_first(run, region, grouping=0).taught
    images = photos(1, (1, 8, 8))
    made = complete(run, images, known, n=1, steps=4).images[:, 2]
    assert kept(known, images.images, made) == (int(wanted.sum()), 0, 0.0)


def test_numbers_are_of_one_grouping(run: Model) -> None:
    assert known_first(run, [0]).name == "r0" and known_first(run, "0,2", grouping=1).name == "c0, c2"
    with refused(ValueRangeError, "0 to 1", "got '3'"):
        known_first(run, "3")
    with refused(ValueRangeError, "grouping: expected 0 to 3, got 4"):
        known_first(run, "top", grouping=4)


def test_regions_that_no_grouping_has(run: Model) -> None:
    with refused(ValueRangeError, "top, bottom", "got 'centre'"):
        known_first(run, "centre")
    with refused(ValueRangeError, "got all of them", "nothing is left"):
        known_first(run, "all")
    ragged = np.zeros((8, 8), bool)
    ragged[:5] = True
    with refused(ValueRangeError, "mask: expected a union of the run's groups, r0, r1", "got 40 pixels"):
        known_first(run, ragged)


def test_upscaling_places_small_images() -> None:
    """The coarse pixels of what comes back are the small image, to the bit."""
    runs, small = smooth(gdm.Schedule.cascade((1, 5, 6)), "numpy"), photos(2, (1, 3, 3))
    assert completing.small_size(runs) == (3, 3)
    images = completing.placed(runs, small)
    same_bits(images.images[..., ::2, ::2], small.images)
    panels = complete(runs, images, known_first(runs, "coarse"), n=2, steps=3)
    for column in (2, 3):
        same_bits(to_uint8(panels.images[:, column])[..., ::2, ::2], small.images)
    same_bits(panels.images[:, 1], to_unit(images.images))
    with refused(ValueRangeError, "expected (3, 3), got (5, 6)"):
        completing.placed(runs, images)
    with refused(UnsupportedError, "expected a run of a cascade, got one of groups r0, r1"):
        completing.small_size(exact(gdm.Schedule.rows(SHAPE, 2)))


def test_what_is_known_is_shown() -> None:
    """Other pixels are grey; a picture of a run with groups of pixels outlines what is known."""
    runs, images = smooth(gdm.Schedule.rows(SHAPE, 2), "numpy"), photos(1)
    panels = complete(runs, images, known_first(runs, "r1"), n=1, steps=2)
    shown = panels.images[0, 1, 0]
    same_bits(shown[2:], to_unit(images.images)[0, 0, 2:])
    agree(shown[:2], np.full((2, 4), completing.UNKNOWN), 1e-6)
    assert panels.masks is not None and panels.masks[0][2:].all() and not panels.masks[0][:2].any()
    assert panels.columns == ("image", "known: r1", "no. 1")


def test_a_panel_of_completions_is_saved(tmp_path: Path) -> None:
    runs = smooth(gdm.Schedule.blockwise(SHAPE, (2, 2)), "numpy")
    panels = complete(runs, photos(1), known_first(runs, "r0c0"), n=2, steps=3)
    held = np.load(panels.save(tmp_path / "c.png"))
    assert held["images"].shape == (1, 4, *SHAPE) and "latents" not in held
