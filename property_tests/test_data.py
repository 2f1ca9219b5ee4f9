"""Images arrive as a person sees them; batches are a function of (seed, step) and of nothing else."""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from gdm import data
from gdm.config import DataConfig
from gdm.errors import DataError, DTypeError, ValueRangeError
from gdm.pixels import to_uint8, to_unit

# Recorded once: a change would silently break the resuming of old runs.
RECORDED_ORDER = [5, 3, 7, 8, 2, 4, 1, 0, 6, 9]
RECORDED_FLIPS = [0, 3, 4, 5, 8]
RECORDED_DIGITS = "2714baeb792fd0f055f6e19553f5eb44fd24547c071419a42e777509fa99c6bc"

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)

shapes = st.tuples(st.integers(1, 5), st.sampled_from([1, 3]), st.just(4), st.just(3))
images = arrays.arrays(np.uint8, shapes)


def same(one: np.ndarray, other: np.ndarray) -> None:
    """Raise unless both arrays have the same type, shape and bits."""
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert one.tobytes() == other.tobytes()


def load(source: Path | str, *, size: int = 0, channels: int = 0, labels: bool = False) -> data.Dataset:
    return data.load(DataConfig(source=str(source), size=size, channels=channels, labels=labels))  # type: ignore[arg-type]


def write(folder: Path, name: str, image: np.ndarray) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


# Order: epochs, batches, resuming


@given(st.integers(1, 40), st.integers(1, 100), st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_every_image_once_per_epoch(n: int, batch: int, seed: int, epoch: int) -> None:
    """However batches and epochs interleave, the stream of images falls into permutations."""
    first, last = epoch * n // batch, ((epoch + 1) * n - 1) // batch  # the steps that touch this epoch
    stream = np.concatenate([data.batch_indices(n, batch, step, seed) for step in range(first, last + 1)])
    start = epoch * n - first * batch
    assert sorted(stream[start : start + n].tolist()) == list(range(n))


@given(st.integers(1, 40), st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9))
def test_the_order_of_images_does_not_depend_on_the_batch_size(n: int, seed: int, a: int, b: int) -> None:
    by_a = np.concatenate([data.batch_indices(n, a, step, seed) for step in range(b)])
    by_b = np.concatenate([data.batch_indices(n, b, step, seed) for step in range(a)])
    same(by_a, by_b)


def test_batches_have_no_memory() -> None:
    """Any step can be asked for at any time: this is what makes a resumed run equal to one never stopped."""
    forwards = [data.batch_indices(50, 8, step, seed=3) for step in range(20)]
    data._permutation.cache_clear()
    backwards = [data.batch_indices(50, 8, step, seed=3) for step in reversed(range(20))]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        same(one, other)
    assert forwards[0].dtype == np.int64


def test_epochs_and_seeds_differ() -> None:
    orders = [data.batch_indices(64, 64, step, seed) for step in range(3) for seed in range(3)]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(orders, 2))


def test_the_order_is_the_same_on_every_machine_and_version() -> None:
    assert data.batch_indices(10, 10, 0, 0).tolist() == RECORDED_ORDER
    assert np.flatnonzero(data.flip_mask(0, 0, 10)).tolist() == RECORDED_FLIPS


def test_every_order_is_as_likely_as_any_other() -> None:
    """The counts of the 6 orders of 3 images, against 5 standard deviations of a fair draw."""
    orders = data.batch_indices(3, 3 * 6000, 0, 1).reshape(6000, 3)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6 and np.abs(counts - 1000).max() < 5 * np.sqrt(6000 * 1 / 6 * 5 / 6)


def test_flips_are_fair_and_have_no_memory() -> None:
    masks = np.stack([data.flip_mask(5, step, 400) for step in range(10)])
    assert masks.dtype == bool and abs(masks.mean() - 0.5) < 5 * 0.5 / np.sqrt(masks.size)
    same(data.flip_mask(5, 7, 400), masks[7])
    assert len({mask.tobytes() for mask in masks}) == 10


@pytest.mark.parametrize(("n", "batch", "step"), [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_batches_of_nothing(n: int, batch: int, step: int) -> None:
    with pytest.raises(ValueRangeError, match=f"got n={n}, batch={batch}, step={step}"):
        data.batch_indices(n, batch, step, 0)


# The data set as a value


@given(images)
def test_bytes_survive_the_way_to_the_network_and_back(pixels: np.ndarray) -> None:
    batch = to_unit(data.Dataset(pixels).take(np.arange(len(pixels))))
    assert batch.dtype == np.float32 and np.abs(batch).max() <= 1
    same(to_uint8(batch), pixels)


def test_every_byte_has_its_place_in_the_range() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    (batch,) = to_unit(data.Dataset(ramp).take(np.array([0])))
    assert np.abs(batch.ravel() - (np.arange(256) / 127.5 - 1)).max() < 1e-7
    assert (batch.min(), batch.max()) == (-1, 1)
    same(to_uint8(np.array([-9, -1, 0.999, 1, np.inf])), np.array([0, 0, 255, 255, 255], np.uint8))


@given(images, st.data())
def test_flips_mirror_the_chosen_images(pixels: np.ndarray, draw: st.DataObject) -> None:
    flip = draw.draw(arrays.arrays(bool, len(pixels)))
    mirrored = data.Dataset(pixels).take(np.arange(len(pixels)), flip)
    assert mirrored.flags.c_contiguous and not np.shares_memory(mirrored, pixels)
    for image, expected, chosen in zip(mirrored, pixels, flip, strict=True):
        same(image, np.ascontiguousarray(expected[:, :, ::-1] if chosen else expected))


@given(images, st.data())
def test_the_hash_sees_every_byte_label_and_shape(pixels: np.ndarray, draw: st.DataObject) -> None:
    labels = np.zeros(len(pixels), np.int64)
    altered, relabelled = pixels.copy(), labels.copy()
    altered.flat[draw.draw(st.integers(0, pixels.size - 1))] ^= 1
    relabelled[draw.draw(st.integers(0, len(pixels) - 1))] = 1
    hashes = [
        data.Dataset(pixels).hash,
        data.Dataset(altered).hash,
        data.Dataset(pixels.swapaxes(2, 3).reshape(*pixels.shape[:2], 3, 4)).hash,
        data.Dataset(pixels, labels, ("a", "b")).hash,
        data.Dataset(pixels, relabelled, ("a", "b")).hash,
    ]
    assert len(set(hashes)) == 5
    assert data.Dataset(np.asfortranarray(pixels)).hash == hashes[0]
    assert data.Dataset(pixels, labels.astype(np.int32), ("c", "d")).hash == hashes[3]


def test_a_dataset_is_read_only() -> None:
    dataset = data.Dataset(np.zeros((1, 1, 2, 2), np.uint8), np.array([0]), ("a",))
    for array in (dataset.images, dataset.labels):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 1


@pytest.mark.parametrize(
    ("pixels", "labels", "match"),
    [
        (np.zeros((2, 4, 4), np.uint8), None, r"expected uint8 \(n, C, H, W\), got uint8 \(2, 4, 4\)"),
        (np.zeros((2, 1, 4, 4)), None, "got float64"),
        (np.zeros((0, 1, 4, 4), np.uint8), None, r"got uint8 \(0, 1, 4, 4\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0], "expected 2 integers"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0, 0.5], "expected 2 integers"),
        (np.zeros((2, 1, 4, 4), np.uint8), [0, 2], "expected 0 to 1, got 0 to 2"),
    ],
)
def test_what_is_no_dataset(pixels: np.ndarray, labels: list[int] | None, match: str) -> None:
    with pytest.raises(DataError, match=match):
        data.Dataset(pixels, None if labels is None else np.array(labels), ("a", "b"))


def test_what_is_no_image() -> None:
    with pytest.raises(DTypeError, match="got uint8"):
        to_uint8(np.zeros(3, np.uint8))
    with pytest.raises(DTypeError, match="expected uint8, got float32"):
        to_unit(np.zeros(3, np.float32))
    with pytest.raises(ValueRangeError, match="got 1 NaN"):
        to_uint8(np.array([0.0, np.nan]))


# Sources


def test_digits_are_real_and_always_the_same() -> None:
    digits = load("digits", labels=True)
    assert (digits.shape, len(digits), digits.classes) == ((1, 8, 8), 1797, tuple("0123456789"))
    assert (digits.images.min(), digits.images.max()) == (0, 255)
    assert digits.hash == RECORDED_DIGITS
    assert load("digits").labels is None and load("digits", size=16).shape == (1, 16, 16)


def _palette(image: Image.Image) -> Image.Image:
    return image.quantize(256)


def _on_white(alpha: np.ndarray) -> np.ndarray:
    """The colour image with this alpha over white, by the definition of compositing."""
    weight = alpha[..., None] / 255
    return np.rint(COLOUR * weight + 255 * (1 - weight)).astype(np.uint8)


ALPHA = np.where(np.arange(30).reshape(6, 5) % 3 == 0, 0, 255).astype(np.uint8)
FADED = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
DEEP = np.arange(30, dtype=np.uint16).reshape(6, 5) * 2259  # 0 to 65511
RGB_IMAGE = Image.fromarray(COLOUR)

FILES: dict[str, tuple[Callable[[Path], None], np.ndarray]] = {
    "rgb.png": (RGB_IMAGE.save, COLOUR),
    "rgb.BMP": (RGB_IMAGE.save, COLOUR),
    "grey.png": (Image.fromarray(GREY).save, GREY[..., None]),
    "grey as rgb.png": (Image.fromarray(GREY).convert("RGB").save, GREY[..., None]),
    "palette.png": (_palette(RGB_IMAGE).save, COLOUR),
    "grey palette.gif": (Image.fromarray(GREY).convert("P").save, GREY[..., None]),
    "one bit.png": (Image.fromarray(GREY > 99).save, np.where(GREY > 99, 255, 0).astype(np.uint8)[..., None]),
    "cmyk.tif": (RGB_IMAGE.convert("CMYK").save, COLOUR),
    "rgba.png": (Image.fromarray(np.dstack([COLOUR, ALPHA])).save, _on_white(ALPHA)),
    "faded.png": (Image.fromarray(np.dstack([COLOUR, FADED])).save, _on_white(FADED)),
    "grey and alpha.png": (
        Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)]).save,
        np.where(ALPHA, GREY, 255).astype(np.uint8)[..., None],
    ),
    "16 bit.png": (Image.fromarray(DEEP).save, np.rint(DEEP / 257).astype(np.uint8)[..., None]),
    "16 bit.tif": (Image.fromarray(DEEP).save, np.rint(DEEP / 257).astype(np.uint8)[..., None]),
    "16 bit as 32.tif": (
        Image.fromarray(DEEP.astype(np.int32)).save,
        np.rint(DEEP / 257).astype(np.uint8)[..., None],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_a_person_sees(tmp_path: Path, name: str) -> None:
    save, expected = FILES[name]
    save(tmp_path / name)
    (image,) = load(tmp_path).images.astype(int)
    assert image.shape == expected.transpose(2, 0, 1).shape
    rounding = 1 if name == "faded.png" else 0  # of half-transparent colours, up or down
    assert np.abs(image - expected.transpose(2, 0, 1)).max() <= rounding


def test_a_colour_can_be_the_transparent_one(tmp_path: Path) -> None:
    """Palette entry 0 and the RGB colour (9, 9, 9) declared transparent, by the PNG's tRNS chunk."""
    indices = (np.arange(16).reshape(4, 4) % 2).astype(np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.save(tmp_path / "a.png", transparency=0)
    Image.fromarray(np.where(indices[..., None] == 0, 9, [200, 100, 0]).astype(np.uint8)).save(
        tmp_path / "b.png", transparency=(9, 9, 9)
    )
    expected = np.where(indices == 0, 255, np.array([200, 100, 0])[:, None, None]).astype(np.uint8)
    for pixels in load(tmp_path).images:
        same(np.ascontiguousarray(pixels), expected)


def test_a_camera_held_sideways(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to view
    RGB_IMAGE.save(tmp_path / "a.png", exif=exif)
    same(load(tmp_path).images[0], np.ascontiguousarray(np.rot90(COLOUR, -1).transpose(2, 0, 1)))


def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (50, 150)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    same(load(tmp_path).images, np.full((1, 1, 4, 4), 50, np.uint8))


def test_grey_and_colour_together_are_colour(tmp_path: Path) -> None:
    write(tmp_path, "a.png", GREY)
    assert load(tmp_path).shape == (1, 6, 5)
    assert load(tmp_path, channels=3).shape == (3, 6, 5)
    write(tmp_path, "b.png", COLOUR)
    mixed = load(tmp_path)
    same(mixed.images[0], np.broadcast_to(GREY, (3, 6, 5)).copy())
    same(mixed.images[1], np.ascontiguousarray(COLOUR.transpose(2, 0, 1)))
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert np.abs(load(tmp_path, channels=1).images[1, 0] - luma).max() <= 1


def test_mixed_sizes_need_a_size(tmp_path: Path) -> None:
    write(tmp_path, "a.png", np.zeros((8, 12), np.uint8))
    write(tmp_path, "b.png", np.zeros((20, 10), np.uint8))
    with pytest.raises(DataError, match=r"a\.png is 12 x 8 and .*b\.png is 10 x 20; set .* data\.size=8"):
        load(tmp_path)
    assert load(tmp_path, size=8).images.shape == (2, 1, 8, 8)


def test_the_centre_is_kept_and_the_shorter_side_resized(tmp_path: Path) -> None:
    """A wide image of three thirds: the crop is the middle one; a checkerboard shrinks to its mean."""
    thirds = np.repeat([10, 120, 240], 8)[None].repeat(8, axis=0).astype(np.uint8)
    write(tmp_path, "a.png", thirds)
    same(load(tmp_path, size=8).images, np.full((1, 1, 8, 8), 120, np.uint8))
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    write(tmp_path, "a.png", board)
    assert np.abs(load(tmp_path, size=8).images[..., 1:-1, 1:-1].astype(int) - 127).max() <= 3


def test_subfolders_are_classes_in_sorted_order(tmp_path: Path) -> None:
    for name in ("dog/b.png", "cat/a.png", "cat/deeper/c.png", "dog/a.PNG"):
        write(tmp_path, name, GREY)
    for hidden in (".thumbnails/a.png", "cat/._a.png"):
        write(tmp_path, hidden, COLOUR)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    dataset = load(tmp_path, labels=True)
    assert dataset.classes == ("cat", "dog") and dataset.labels is not None
    assert (len(dataset), dataset.labels.tolist()) == (4, [0, 0, 1, 1])
    write(tmp_path, "loose.png", GREY)
    assert load(tmp_path).labels is None
    with pytest.raises(DataError, match=r"loose\.png: expected a subfolder"):
        load(tmp_path, labels=True)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif"])
def test_a_corrupt_image_is_named(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, f"broken.{suffix}", RNG.integers(0, 256, (64, 64), dtype=np.uint8))
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"broken\.{suffix}: cannot be read as an image"):
            load(tmp_path)


def test_pixels_that_are_no_colours_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float\.tif: .*its pixels are float32, expected 8 or 16 bits"):
        load(tmp_path)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images in .*expected files ending in \.bmp"):
        load(tmp_path)
    (tmp_path / "file.txt").write_text("")
    for source, problem in [
        (tmp_path / "missing", "does not exist"),
        (tmp_path / "missing.npz", "does not exist"),
        (tmp_path / "file.txt", "is a file of another kind"),
        ("", "does not exist"),
        (
            "digit",
            "'digit' does not exist .*; did you mean 'digits'\\? expected 'digits', a folder of images, a zip of",
        ),
    ]:
        with pytest.raises(DataError, match=problem):
            load(source)


PIXELS = RNG.integers(0, 256, (4, 3, 6, 5), dtype=np.uint8)
PIXELS[0, 0, 0, :2] = 0, 255  # so that both ends of every range occur
ARRAYS = {
    "channels first": (PIXELS, PIXELS),
    "channels last": (PIXELS.transpose(0, 2, 3, 1), PIXELS),
    "grey": (PIXELS[:, 0], PIXELS[:, :1]),
    "grey, channels last": (PIXELS[:, 0, :, :, None], PIXELS[:, :1]),
    "from 0 to 1": (PIXELS / np.float32(255), PIXELS),
    "from -1 to 1": (PIXELS / np.float32(127.5) - 1, PIXELS),
    "half precision": ((PIXELS / 255).astype(np.float16), PIXELS),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("key", ["images", "arr_0"])
def test_npz_of_any_layout(tmp_path: Path, name: str, key: str) -> None:
    stored, expected = ARRAYS[name]
    np.savez(tmp_path / "a.npz", **{key: stored, "labels": np.array([7, 3, 7, 9])})
    dataset = load(tmp_path / "a.npz", labels=True)
    same(dataset.images, np.ascontiguousarray(expected))
    assert dataset.labels is not None
    assert (dataset.classes, dataset.labels.tolist()) == (("3", "7", "9"), [1, 0, 1, 2])


@pytest.mark.parametrize(
    ("stored", "match"),
    [
        ({"images": PIXELS * 1.0}, r"expected uint8 .*, or floats .*, got float64 from 0\.0 to 255\.0"),
        ({"images": PIXELS.astype(np.int64)}, "got int64 from 0 to 255"),
        ({"images": np.full((1, 4, 4), np.nan)}, "got float64 from nan to nan"),
        ({"images": PIXELS[0, 0]}, r"expected \(n, H, W\), .*got \(6, 5\)"),
        ({"images": PIXELS[:, :2]}, r"with C = 1 or 3, got \(4, 2, 6, 5\)"),
        ({"images": PIXELS[:0]}, r"got \(0, 3, 6, 5\)"),
        ({"a": PIXELS, "b": PIXELS}, r"expected an array named 'images', got \['a', 'b'\]"),
        ({"labels": np.zeros(4)}, r"expected an array named 'images', got \[\]"),
        ({"images": PIXELS, "labels": np.zeros(3, int)}, r"expected 4 integers or names, got int64 \(3,\)"),
        ({"images": PIXELS, "labels": np.zeros(4)}, "expected 4 integers or names, got float64"),
        ({"images": PIXELS}, "data.labels is true, but .* has no labels"),
    ],
)  # fmt: skip
def test_npz_that_holds_no_images(tmp_path: Path, stored: dict[str, np.ndarray], match: str) -> None:
    np.savez(tmp_path / "a.npz", allow_pickle=False, **stored)
    with pytest.raises(DataError, match=match):
        load(tmp_path / "a.npz", labels=True)


class Bomb:
    """Unpickling this would raise the wrong error."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, ("raise SystemExit('code in the data was run')",)


def test_npz_never_runs_code_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, images=np.array([Bomb()], dtype=object))
    whole = path.read_bytes()
    for content in (whole, whole[:-30], pickle.dumps(Bomb()), b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.npz: cannot be read as an \.npz"):
            load(path)


@pytest.mark.parametrize(("module", "package"), [("PIL", "Pillow"), ("sklearn.datasets", "scikit-learn")])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str) -> None:
    write(tmp_path, "a.png", GREY)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=rf'{package}; install it with: pip install "gdm\[train\]"'):
        load(tmp_path if package == "Pillow" else "digits")
