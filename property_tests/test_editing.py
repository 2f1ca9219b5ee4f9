"""Laws of the edits of Sec. 4: each changes the latents that it says, no others, and shows what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gdm
from gdm import editing, encoding, latents
from gdm.editing import Choice, choices
from gdm.encoding import Latents
from gdm.errors import ShapeError, ValueRangeError
from gdm.model import Model
from gdm.panels import Panels, _written, short, short_names
from property_tests.runs import conditional, exact, smooth
from property_tests.support import agree, arrays, refused, same_bits

SHAPE = (1, 4, 4)
BANDS = gdm.Schedule.bands(SHAPE, (3, 7), "haar")
BLOCKS = gdm.Schedule.blockwise(SHAPE, (2, 2))
MODELS = [smooth(BANDS, "numpy"), smooth(BLOCKS, "numpy")]
each_model = pytest.mark.parametrize("model", MODELS, ids=["bands", "blocks"])


def encoded(model: Model, n: int = 4) -> Latents:
    return encoding.encode(model, 0.2 * arrays(5, n, *model.schedule.shape), steps=12)


def changed(model: Model, panels: Panels, z: np.ndarray) -> np.ndarray:
    """Return which coordinates of panels' latents differ from z, bool (rows, columns, *event)."""
    assert panels.latents is not None
    rows, columns = panels.latents.shape[:2]
    analyze = model.schedule.basis.analyze
    own = analyze(panels.latents.reshape(-1, *model.schedule.shape)).reshape(rows, columns, *model.schedule.shape)
    return np.abs(own - analyze(z[None])[0]) > 1e-9


def group(model: Model, *numbers: int) -> np.ndarray:
    return np.isin(model.schedule.partition.labels, numbers)


def decodes(model: Model, subjects: Latents, panels: Panels, row: int, column: int) -> None:
    """Raise unless a cell shows what its latents decode to."""
    assert panels.latents is not None
    cell = panels.latents[row, column][None]
    chosen: Any = {"steps": subjects.steps, "solver": subjects.solver}
    agree(panels.images[row, column], model.backend.to_numpy(model.decode(cell, **chosen))[0], 1e-9)


def test_pictures_name_the_images(tmp_path: Path) -> None:
    """One image in the title, several in the rows, both of a pair; the same file names with their folders."""
    model = MODELS[0]
    found = encoding.drawn(model, [4, 7], steps=3)
    alone, one = found.take([0]), choices(model.schedule, elements=[2])
    assert editing.traverse(model, alone, one).title.startswith("sample 4: ")
    assert editing.traverse(model, found, one).rows == ("sample 4, element 2", "sample 7, element 2")
    assert editing.resample(model, alone).title.startswith("sample 4: ")
    assert editing.resample(model, found, fixed=True).rows[-1] == "sample 7, 0:7 fixed"
    assert editing.interpolate(model, found, n=2).title.startswith("sample 4 to sample 7: ")
    several = encoding.interleave(found, found)
    assert editing.interpolate(model, several, n=2).rows[-1] == "sample 7 to sample 7, 7:16"
    assert editing.swap(model, found).rows == ("sample 4 and sample 7",)
    assert editing.reconstruct(model, found).rows == ("sample 4", "sample 7")
    assert short_names(["x/automobile_and_truck/1.png", "y/a/1.png"]) == ("..nd_truck/1.png", "a/1.png")
    names = ["a/cat/1.png", "a/dog/1.png", "a/dog/2.png", "image 0 of x/y.npz", "image 0 of z.npz", "image 1 of z.npz"]
    brief = ("cat/1.png", "dog/1.png", "2.png", "image 0 of y.npz", "image 0 of z.npz", "image 1")
    assert short_names(names) == brief and short_names(["a/1.png"] * 2) == ("1.png", "1.png")


@each_model
def test_swapping_takes_one_group_from_the_reference(model: Model) -> None:
    """Fig. 7: original and reference are the images themselves, each further column has one group of the other."""
    found = encoded(model)
    panels = editing.swap(model, found)
    k = model.schedule.k
    assert panels.images.shape == (2, 2 + k, *SHAPE) and panels.columns[:2] == ("original", "reference")
    assert found.images is not None
    for row, (a, b) in enumerate([(0, 1), (2, 3)]):
        same_bits(panels.images[row, :2], found.images[[a, b]])
        for j in range(k):
            assert (changed(model, panels, found.z[a])[row, 2 + j] == group(model, j)).all()
            assert not (changed(model, panels, found.z[b])[row, 2 + j] & group(model, j)).any()
    decodes(model, found, panels, 1, 3)
    both = editing.swap(model, found.take([0, 1]), choices(model.schedule, ["all", [0, 1]]))
    agree(both.images[0, 2], encoding.decode(model, found)[1], 1e-9)
    assert (changed(model, both, found.z[0])[0, 3] == group(model, 0, 1)).all()


@each_model
def test_interpolation_moves_one_group_from_end_to_end(model: Model) -> None:
    """Fig. 3: a row per group; the first column is the image, the last has the other's group, in between lengths hold."""
    found = encoded(model, 2)
    panels = editing.interpolate(model, found, n=5)
    difference = changed(model, panels, found.z[0])
    assert panels.columns == ("0", "0.25", "0.5", "0.75", "1") and len(panels.rows) == model.schedule.k
    for j in range(model.schedule.k):
        assert not difference[j, 0].any() and (difference[j, 1:] == group(model, j)).all()
        assert not (changed(model, panels, found.z[1])[j, -1] & group(model, j)).any()
    straight = editing.interpolate(model, found, choices(model.schedule, ["all"]), n=3, mode="linear")
    assert straight.latents is not None
    agree(straight.latents[0, 1], found.z.mean(axis=0), 1e-9)
    with refused(ValueRangeError, "even number of latents, got 1"):
        editing.interpolate(model, found.take([0]))


@each_model
def test_traversing_sets_one_element(model: Model) -> None:
    """Fig. 6 and 8: of each image and element, exactly one coordinate has the value of the column."""
    found = encoded(model, 2)
    panels = editing.traverse(model, found, choices(model.schedule, elements=[0, "5"]), values=(-3, 0.5, 3))
    assert panels.images.shape == (4, 3, *SHAPE) and panels.columns == ("-3", "0.5", "3")
    assert panels.latents is not None
    coordinates = model.schedule.basis.analyze(panels.latents.reshape(-1, *SHAPE)).reshape(panels.latents.shape)
    for row, (i, element) in enumerate([(0, 0), (0, 5), (1, 0), (1, 5)]):
        where = model.schedule.basis.order == element
        agree(coordinates[row][:, where], [[-3], [0.5], [3]], 1e-9)
        assert not (changed(model, panels, found.z[i])[row] & ~where).any()
    with refused(ValueRangeError, "expected elements", "groups"):
        editing.traverse(model, found, choices(model.schedule, [0]))


@each_model
def test_resampling_draws_what_it_says(model: Model) -> None:
    """Fig. 1c and 9: the chosen groups, or all but these; variation i has the same noise in every row."""
    found, everything = encoded(model, 1), group(model, *range(model.schedule.k))
    anew = editing.resample(model, found, choices(model.schedule, [1, [0, 2]]), n=3, seed=4)
    kept = editing.resample(model, found, choices(model.schedule, [1, [0, 2]]), n=3, seed=4, fixed=True)
    for row, numbers in enumerate([(1,), (0, 2)]):
        for column in (1, 2, 3):
            own = group(model, *numbers)
            assert (changed(model, anew, found.z[0])[row, column] == own).all()
            assert (changed(model, kept, found.z[0])[row, column] == (everything & ~own)).all()
    assert anew.latents is not None and kept.latents is not None
    noise = model.schedule.basis.analyze(gdm.draw_latents(4, range(editing.FRESH, editing.FRESH + 3), SHAPE))
    for panels, numbers, row in ((anew, (1,), 0), (anew, (0, 2), 1)):
        where = group(model, *numbers)
        agree(model.schedule.basis.analyze(panels.latents[row, 1:])[:, where], noise[:, where], 1e-6)
    growing = editing.resample(model, found, fixed=True)
    assert (
        len(growing.rows) == model.schedule.k - 1
        and not changed(model, growing, found.z[0])[1, 1][group(model, 0, 1)].any()
    )
    in_pixels = not model.schedule.basis.factors
    assert (anew.masks is not None) == in_pixels
    if anew.masks is not None and kept.masks is not None:
        same_bits(anew.masks[0], group(model, 1)[0])
        same_bits(kept.masks[0], ~group(model, 1)[0])


@each_model
def test_reconstruction_keeps_the_first_groups(model: Model) -> None:
    """Fig. 4b: column j decodes groups 0 to j - 1 of the latents, the rest 0 or noise; with all it is the image."""
    found, k = encoded(model, 2), model.schedule.k
    panels = editing.reconstruct(model, found, rest="zero")
    assert panels.images.shape == (2, 1 + k, *SHAPE)
    for row in range(2):
        for j in range(1, k + 1):
            assert panels.latents is not None
            expected = latents.keep(model.schedule, found.z[row : row + 1], groups=range(j))
            agree(panels.latents[row, j], expected[0], 1e-12)
    assert found.images is not None and found.errors is not None
    agree(panels.images[:, -1], encoding.decode(model, found), 1e-9)
    same_bits(panels.images[:, 0], found.images)
    noisy = editing.reconstruct(model, found, choices(model.schedule, elements=["0:3"]), seed=1)
    assert not (changed(model, noisy, found.z[0])[0, 1] & (model.schedule.basis.order < 3)).any()
    assert (changed(model, noisy, found.z[0])[0, 1] | (model.schedule.basis.order < 3)).all()
    with refused(ValueRangeError, "'noise' or 'zero', got 'nois'"):
        editing.reconstruct(model, found, rest="nois")  # type: ignore[arg-type]


def test_later_groups_leave_earlier_pixels_alone() -> None:
    """Fig. 1c with the exact model: a block drawn anew changes none of those generated before it."""
    model = exact(BLOCKS, mask_pending=True)
    panels = editing.resample(model, encoding.drawn(model, [0], steps=8), choices(BLOCKS, [2]), n=3)
    earlier = group(model, 0, 1)
    agree(panels.images[0, 1:][:, earlier], np.repeat(panels.images[0, :1][:, earlier], 3, axis=0), 1e-12)
    assert np.abs(panels.images[0, 1:] - panels.images[0, :1])[:, group(model, 2)].min() > 1e-6


def test_mixed_images_keep_their_class() -> None:
    """The reference is decoded as its own class, mixtures as the original's."""
    model = conditional(gdm.Schedule.rows((1, 2, 3), 2))
    found = encoding.drawn(model, [0, 1], steps=6)
    panels = editing.swap(model, found)
    agree(panels.images[0, :2], encoding.decode(model, found), 1e-12)
    assert panels.latents is not None
    agree(panels.images[0, 2:], model.decode(panels.latents[0, 2:], steps=6, labels="a"), 1e-9)


def test_choices_are_groups_elements_and_channels() -> None:
    colour = gdm.Schedule.bands((3, 4, 4), (3, 7))
    assert choices(colour) == tuple(Choice(name, (j,)) for j, name in enumerate(("0:3", "3:7", "7:16")))
    found = choices(colour, ["coarse", "0,2"], ["2", "0:2,5", [7]], "R,blue")
    assert [choice.groups for choice in found] == [(0,), (0, 2), None, None, None]
    assert [choice.elements for choice in found] == [None, None, (2,), (0, 1, 5), (7,)]
    assert {choice.channels for choice in found} == {(0, 2)}
    assert [choice.name for choice in found] == [
        "0:3 of RB", "0:3, 7:16 of RB", "element 2 of RB", "elements 0:2,5 of RB", "element 7 of RB",
    ]  # fmt: skip
    for wrong in ("16", "0:17", "5:5", "x", "", "-1", "3:"):
        with refused(ValueRangeError, "elements: expected numbers 0 to 15", repr(wrong)):
            choices(colour, elements=[wrong])
    with refused(ValueRangeError, "channels: expected numbers 0 to 2", "'purple'"):
        choices(colour, channels="purple")


def test_panels_are_a_picture_and_arrays(tmp_path: Path) -> None:
    """The picture shows every cell, in its place, within two levels of what is beside it as bytes."""
    values = np.linspace(-1, 1, 6).reshape(2, 3, 1, 1, 1)
    images = np.broadcast_to(values, (2, 3, 1, 8, 8)).copy()
    panels = Panels(images, ("photos/long/name.png", "0:30"), ("a", "b", "c"), "title", images * 2)
    beside = panels.save(tmp_path / "edit.png")
    assert beside == tmp_path / "edit.npz"
    held = np.load(beside, allow_pickle=False)
    assert held["images"].shape == images.shape and held["images"].dtype == np.uint8
    same_bits(held["latents"], (images * 2).astype(np.float32))
    assert held["rows"].tolist() == list(panels.rows) and held["columns"].tolist() == ["a", "b", "c"]
    with Image.open(tmp_path / "edit.png") as picture:
        seen = np.asarray(picture.convert("L"))
    levels = [int(level) for level in held["images"][:, :, 0, 0, 0].ravel()]
    for level in levels:
        assert (np.abs(seen.astype(int) - level) <= 2).sum() > 400, level
    for name in ("edit.pdf", "edit.svg"):
        panels.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    with refused(ShapeError, "expected 2 and 3 names", "got 1 and 3"):
        panels._replace(rows=("one",)).save(tmp_path / "edit.png")
    with refused(ValueRangeError, ".png"):
        panels.save(tmp_path / "edit.txt")
    long = panels._replace(rows=("airplane/0001.jpg to cat/0002.jpg, 0:30", "b"))
    long.save(tmp_path / "edit.png")
    assert short("image 3 of the digits") == "image 3" and short("a/b/c.png") == "c.png" and len(short("x" * 40)) == 14


@pytest.mark.parametrize(
    ("name", "width", "lines"),
    [
        ("elements 0:5", 10, ["elements", "[0, 5)"]),
        ("image 0 to image 1, 0:3", 16, ["image 0 to", "image 1, [0, 3)"]),
        ("sample 3, 0:10 fixed", 16, ["sample 3,", "[0, 10) fixed"]),
        ("airplane/0000.png and ship/1.png", 16, ["airplane/", "0000.png and", "ship/1.png"]),
    ],
)
def test_names_are_broken_between_what_belongs_together(name: str, width: int, lines: list[str]) -> None:
    assert _written(name, width).replace("\N{NO-BREAK SPACE}", " ").split("\n") == lines


@pytest.mark.parametrize(("rows", "columns"), [(1, 7), (5, 2)])
def test_a_picture_has_no_empty_strip_below(rows: int, columns: int, tmp_path: Path) -> None:
    images = np.zeros((rows, columns, 1, 8, 8))
    Panels(images, ("r1c1",) * rows, ("no. 1",) * columns, "title").save(tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as picture:
        inked = np.flatnonzero((np.asarray(picture.convert("L")) < 255).any(axis=1))
        assert picture.height - 1 - inked[-1] <= 0.1 * 150  # a tenth of an inch
