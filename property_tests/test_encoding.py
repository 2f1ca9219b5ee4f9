"""Laws of encoding: there and back is as exact as measured, and a file says which run may decode it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gdm
from gdm import encoding, intake, latent_files
from gdm.encoding import Latents
from gdm.errors import CheckpointError, DataError, PartitionError, ShapeError, ValueRangeError
from gdm.intake import Images
from property_tests.runs import BACKENDS, conditional, exact, smooth
from property_tests.support import agree, arrays, refused, same_bits

SHAPE = (1, 3, 4)
BANDS = gdm.Schedule.bands(SHAPE, (3, 7))
ROWS = gdm.Schedule.rows(SHAPE, 3, intervals=[(0.7, 1), (0.3, 0.7), (0, 0.3)])


@pytest.mark.parametrize("schedule", [BANDS, ROWS], ids=["bands", "rows"])
@pytest.mark.parametrize("on", BACKENDS)
def test_encode_and_decode_are_inverse_as_exactly_as_is_said(schedule: gdm.Schedule, on: str) -> None:
    """The errors of the groups are those of the decoded images, in the basis, and fall as Heun's do."""
    model, x = smooth(schedule, on), arrays(0, 5, *SHAPE)
    rough, fine = (encoding.encode(model, x, steps=steps) for steps in (12, 48))
    for latents in (rough, fine):
        gap = schedule.basis.analyze(encoding.decode(model, latents) - x)
        measured = [np.sqrt((gap[:, schedule.partition.labels == j] ** 2).mean()) for j in range(3)]
        agree(latents.errors, measured, 1e-12)
    assert fine.errors is not None and rough.errors is not None
    assert max(fine.errors) < max(rough.errors) / 8
    agree(fine.z, model.backend.to_numpy(model.encode(x, steps=48)), 1e-12)


def test_a_tolerance_doubles_the_steps_until_it_is_reached() -> None:
    """No earlier and no later; on all images, though it searches with a few; per-group budgets are doubled too."""
    model, x = exact(BANDS), arrays(1, encoding.TRIED + 5, *SHAPE)
    tried: list[Any] = []
    found = encoding.encode(model, x, steps=3, tolerance=1e-3, watch=lambda steps, errors, images: tried.append(steps))
    errors = {steps: max(encoding.encode(model, x, steps=steps).errors or ()) for steps in {*tried, found.steps}}
    assert errors[found.steps] <= 1e-3 and all(errors[s] > 1e-3 for s in errors if s < found.steps)
    assert tried == sorted(tried) and tried[:2] == [3, 6] and len(found) == len(x)
    own = encoding.encode(model, x[:2], steps=(1, 1, 2), tolerance=1e-2)
    assert isinstance(own.steps, tuple) and own.steps[2] == 2 * own.steps[0] > 2 and max(own.errors or ()) <= 1e-2


def test_a_tolerance_that_is_too_small_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of steps, or where rounding is all that is left."""
    monkeypatch.setattr(encoding, "MOST", 40)
    model, x = exact(ROWS), arrays(2, 2, *SHAPE)
    found = encoding.encode(model, x, steps=10, tolerance=1e-14)
    assert found.steps == 40 and max(found.errors or ()) > 1e-14
    still = replace(model, network=lambda x_t, alpha: 0 * x_t)
    assert encoding.encode(still, x + 1e-9, steps=10, tolerance=1e-300).steps in (10, 20, 40)


def test_steps_that_do_not_help_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where errors stop falling, the fewest steps that are as good; what a few images cannot reach, all do not try."""
    model, x = exact(ROWS), arrays(2, encoding.TRIED + 1, *SHAPE)
    tried: list[tuple[int, int]] = []

    def watch(steps: int, errors: np.ndarray, images: int) -> None:
        tried.append((steps, images))

    errors = iter([0.9, 0.5, 0.49, 0.48, 0.5])
    monkeypatch.setattr(encoding, "group_errors", lambda schedule, difference: np.array([next(errors)]))
    found = encoding.encode(model, x, steps=3, tolerance=0.1, watch=watch)
    n = encoding.TRIED
    assert tried == [(3, n), (6, n), (12, n), (24, n), (6, n + 1)] and found.steps == 6 and found.errors == (0.5,)


def test_latents_are_drawn_as_samples_are() -> None:
    """Decoded, they are what `Model.generate` makes; those that occur twice are decoded once."""
    model = conditional(gdm.Schedule.rows((1, 2, 3), 2))
    latents = encoding.drawn(model, [4, 1, 4], seed=3, steps=6, solver="ab2")
    assert latents.labels.tolist() == [0, 1, 0]
    expected = model.generate(5, seed=3, steps=6, solver="ab2")[[4, 1, 4]]
    agree(encoding.decode(model, latents), expected, 1e-6)
    batches: list[int] = []

    def network(x_t: Any, alpha: Any, labels: Any) -> Any:
        batches.append(len(x_t))
        return model.network(x_t, alpha, labels)

    encoding.decode(replace(model, network=network), latents)
    assert set(batches) == {2}
    same = encoding.decode(model, latents, latents.z[[0, 0]], np.array([0, 1]))
    assert np.abs(same[0] - same[1]).max() > 0.01, "equal latents of two classes are two images"


def test_a_file_holds_everything(tmp_path: Path) -> None:
    model = smooth(BANDS, "numpy")
    images = Images(np.arange(24, dtype=np.uint8).reshape(2, *SHAPE), ("a.png", "ü"), np.array([-1, -1]))
    latents = encoding.encode(model, images, steps=(2, 3, 4), solver="midpoint")
    path = tmp_path / "some" / "latents.safetensors"
    latent_files.write(path, replace(latents, facts={"checkpoint": "abc"}), model)
    back = latent_files.read(path, model)
    same_bits(back.z, latents.z.astype(np.float32))
    same_bits(back.labels, latents.labels)
    for name in ("names", "steps", "solver", "guidance", "errors", "hashes"):
        assert getattr(back, name) == getattr(latents, name), name
    assert len(set(back.hashes)) == 2 and back.facts["checkpoint"] == "abc" and back.facts["groups"][1] == "3:7"
    agree(encoding.decode(model, back), encoding.decode(model, latents), 1e-5)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (gdm.Schedule.bands(SHAPE, (3, 8)), "labels"),
        (BANDS.with_intervals([(0.6, 1), (0.3, 0.6), (0, 0.3)]), "intervals"),
        (gdm.Schedule.bands(SHAPE, (3, 7), "haar"), "basis or path"),
        (gdm.Schedule.bands(SHAPE, (3, 7), path="trigonometric"), "basis or path"),
        (gdm.Schedule.bands((1, 4, 3), (3, 7)), "labels"),
    ],
    ids=range(5),
)
def test_decoding_refuses_latents_of_another_schedule(tmp_path: Path, other: gdm.Schedule, words: str) -> None:
    model = smooth(BANDS, "numpy")
    latent_files.write(tmp_path / "own.safetensors", encoding.encode(model, arrays(0, 1, *SHAPE), steps=3), model)
    with refused(PartitionError, words, "groups 0:3, 3:7, 7:12", "decode them with the run"):
        latent_files.read(tmp_path / "own.safetensors", smooth(other, "numpy"))


def test_files_that_are_no_latents(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    model = smooth(BANDS, "numpy")
    with refused(CheckpointError, "cannot read"):
        latent_files.read(tmp_path / "nothing.safetensors", model)
    for content in (b"", b"hello" * 9):
        (tmp_path / "bad.safetensors").write_bytes(content)
        with refused(CheckpointError, "damaged"):
            latent_files.read(tmp_path / "bad.safetensors", model)
    save_file({"latents": np.zeros(3)}, tmp_path / "other.safetensors")
    with refused(CheckpointError, "as `gdm encode` writes them"):
        latent_files.read(tmp_path / "other.safetensors", model)


def test_classes_are_needed_by_a_run_that_has_them() -> None:
    model = conditional(gdm.Schedule.rows((1, 2, 3), 2))
    x = np.zeros((2, 1, 2, 3))
    with refused(ValueRangeError, "a class for each image", "none for 2", "--label"):
        encoding.encode(model, x, steps=2)
    free = encoding.encode(model, x, steps=2, guidance=0)
    agree(free.z, model.encode(x, steps=2, labels="a", guidance=0), 1e-12)
    with refused(ValueRangeError, "tolerance", "got 0"):
        encoding.encode(model, x, steps=2, guidance=0, tolerance=0)


def test_pairs_are_made_of_two_kinds() -> None:
    first, second = (Latents(arrays(s, n, *SHAPE), tuple("abc"[:n]), np.arange(n)) for s, n in ((0, 3), (1, 1)))
    pairs = encoding.interleave(first, second)
    assert pairs.names == ("a", "a", "b", "a", "c", "a")
    same_bits(pairs.z[0::2], first.z)
    same_bits(pairs.z[1::2], np.repeat(second.z, 3, axis=0))
    with refused(ShapeError, "got 3 and 2"):
        encoding.interleave(first, first.take([0, 1]))


def test_images_come_in_the_shape_of_the_run(tmp_path: Path) -> None:
    """One file, resized, grey or RGB; classes by the names that the run has; the first so many."""
    rgb = np.zeros((6, 8, 3), np.uint8)
    rgb[..., 0] = 200
    for name in ("b/one.png", "zebra/two.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rgb).save(tmp_path / name)
    model = conditional(gdm.Schedule.rows((3, 4, 4), 2))
    one = intake.read_images(model, tmp_path / "b" / "one.png")
    assert one.images.shape == (1, 3, 4, 4) and one.images[0, :, 0, 0].tolist() == [200, 0, 0]
    assert one.names == (str(tmp_path / "b" / "one.png"),) and one.labels.tolist() == [-1]
    both = intake.read_images(model, tmp_path)
    assert len(both) == 2 and both.labels.tolist() == [1, -1], "b is a class of the run, zebra is not"
    assert intake.read_images(model, tmp_path, label="a").labels.tolist() == [0, 0]
    grey = intake.read_images(exact(gdm.Schedule.rows((1, 8, 8), 2)), "digits", limit=3)
    assert grey.images.shape == (3, 1, 8, 8)
    together = intake.together([one, both])
    assert len(together) == 3 and together.labels.tolist() == [-1, 1, -1]
    with refused(DataError, "expected images of 8 x 3, got 8 x 6"):
        intake.read_images(exact(gdm.Schedule.rows((1, 3, 8), 2)), tmp_path / "b")
    with refused(DataError, "channels, got 2"):
        intake.read_images(exact(gdm.Schedule.rows((2, 4, 4), 2)), "digits")
