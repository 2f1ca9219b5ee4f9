"""Images to train on: read from any source into one array of bytes, with a hash and a stateless order.

A source is read by one function, which yields uint8 images (height, width, channels); what follows (sizes,
grey or colour, labels, the hash) is the same for all of them. Nothing here keeps a random generator: which
images make up a batch, and which are mirrored, is a function of (seed, step), so a run resumes exactly.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm.config import DataConfig
from gdm.errors import DataError, DTypeError, ValueRangeError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# What a stream of random bits is for; part of its key, so that no two uses share bits.
_ORDER, _FLIP = 1, 2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one shape, in memory as bytes, with optional class labels. Read-only.

    images: uint8 (n, C, H, W), C = 1 (grey) or 3 (RGB)
    labels: int64 (n,), indices into `classes`; None for a set without labels
    classes: the name of each class

    Raises: DataError for arrays of another kind or of sizes that do not fit

    >>> dataset = load(DataConfig(source="digits"))
    >>> dataset.shape, len(dataset)
    ((1, 8, 8), 1797)
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images = self.images
        if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
            got = f"{images.dtype} {images.shape}"
            raise DataError(f"images: expected uint8 (n, C, H, W), got {got}; see gdm.data.to_uint8")
        object.__setattr__(self, "images", _frozen(images))
        if self.labels is None:
            return
        labels = np.asarray(self.labels)
        if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
            raise DataError(f"labels: expected {len(images)} integers, got {labels.dtype} {labels.shape}")
        low, high, count = labels.min(), labels.max(), len(self.classes)
        if low < 0 or high >= count:
            raise DataError(f"labels: expected 0 to {count - 1}, got {low} to {high}; name all the classes")
        object.__setattr__(self, "labels", _frozen(labels.astype(np.int64)))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, (C, H, W)."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 (hex) over shape, dtype, images and labels: equal for equal data on every machine."""
        digest = hashlib.sha256(f"{self.images.shape} {self.images.dtype}".encode())
        digest.update(np.ascontiguousarray(self.images).data)
        if self.labels is not None:
            digest.update(b"labels" + self.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def batch(self, indices: np.ndarray, flip: np.ndarray | None = None) -> np.ndarray:
        """Return the images with these indices, as a network sees them: x / 127.5 - 1.

        flip: which of them to mirror, left to right.

        Shapes: indices (batch,), flip bool (batch,) -> float32 (batch, C, H, W) in [-1, 1]
        """
        images = self.images[indices]
        if flip is not None:
            images = np.where(flip[:, None, None, None], images[..., ::-1], images)
        return images / np.float32(127.5) - np.float32(1)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Return images from [-1, 1] as bytes, rounded to the nearest and clipped. Inverse of `Dataset.batch`.

    Shapes: float (...) -> uint8 (...) of the same shape
    Raises: DTypeError for integers; ValueRangeError for NaN
    """
    images = np.asarray(images)
    if images.dtype.kind != "f":
        raise DTypeError(f"images: expected floats in [-1, 1], got {images.dtype}; are they bytes already?")
    if np.isnan(images).any():
        count = np.isnan(images).sum()
        raise ValueRangeError(f"images: expected numbers in [-1, 1], got {count} NaN; look for their origin")
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def batch_indices(n: int, batch: int, step: int, seed: int) -> np.ndarray:
    """Return which of `n` images make up the batch of training step `step`, counted from 0.

    The images are shuffled anew for each epoch, and each comes once per epoch; a batch may cross from one
    epoch into the next. The same arguments give the same batch on every machine.

    Shapes: -> int64 (batch,) in [0, n)
    Raises: ValueRangeError if n or batch is below 1, or step below 0

    >>> sorted(batch_indices(4, 2, step=0, seed=7).tolist() + batch_indices(4, 2, step=1, seed=7).tolist())
    [0, 1, 2, 3]
    """
    if n < 1 or batch < 1 or step < 0:
        got = f"n={n}, batch={batch}, step={step}"
        raise ValueRangeError(f"expected n >= 1, batch >= 1 and step >= 0, got {got}; steps count from 0")
    epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), n)
    return np.concatenate([_permutation(n, int(e), seed)[places[epochs == e]] for e in np.unique(epochs)])


def flip_mask(seed: int, step: int, batch: int) -> np.ndarray:
    """Return which images of the batch of training step `step` to mirror: a fair coin each, bool (batch,)."""
    return _random_bits(seed, _FLIP, step, batch) >> np.uint64(63) == 1


@functools.lru_cache(maxsize=2)  # a batch looks at two epochs at most, unless it is larger than the data
def _permutation(n: int, epoch: int, seed: int) -> np.ndarray:
    # Sorting random bits, since NumPy promises a bit generator's stream across versions, not `permutation`.
    return _frozen(np.argsort(_random_bits(seed, _ORDER, epoch, n), kind="stable"))


def _random_bits(seed: int, purpose: int, index: int, count: int) -> np.ndarray:
    key = np.array([seed, purpose], dtype=np.uint64)
    return np.random.Philox(key=key, counter=[0, 0, 0, index]).random_raw(count)


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


class _Source(NamedTuple):
    """What a reader yields: a name (for errors) and uint8 (H, W, 1 or 3) per image, and a label per image."""

    images: Iterable[tuple[str, np.ndarray]]
    labels: Iterable[Any] | None


def load(config: DataConfig) -> Dataset:
    """Read the images that `config` names into memory, brought to one shape.

    source: "digits" (1797 handwritten digits, 8 x 8, from scikit-learn), a folder (its images, those of its
        subfolders too, sorted; the subfolder is the class), or an .npz with `images` and perhaps `labels`.
        Transparent parts become white, 16 bits become 8, an animation is its first frame.
    size: resizes the shorter side and crops the centre, so that images of any sizes fit; 0 keeps them.
    channels: 1 is grey, 3 is RGB, 0 is grey if every image is; the array of an .npz keeps its channels.

    Raises: DataError for a source that is missing, empty, corrupt, or of mixed sizes without `size`
    """
    source = _read(config)
    names, images = [], []
    for name, image in source.images:
        names.append(name)
        images.append(_resize(image, config.size))
        if images[-1].shape[:2] != images[0].shape[:2]:
            sizes = [f"{names[i]} is {images[i].shape[1]} x {images[i].shape[0]}" for i in (0, -1)]
            remedy = f"set data.size, for example data.size={min(images[0].shape[:2])}"
            raise DataError(f"expected images of one size, got {' and '.join(sizes)}; {remedy}")
    channels = config.channels or max(image.shape[-1] for image in images)
    stacked = np.stack([_with_channels(image, channels) for image in images]).transpose(0, 3, 1, 2)
    if not config.labels:
        return Dataset(np.ascontiguousarray(stacked))
    if source.labels is None:
        raise DataError(f"data.labels is true, but {config.source} has no labels; set data.labels=false")
    classes, labels = np.unique(np.asarray(source.labels), return_inverse=True)
    return Dataset(np.ascontiguousarray(stacked), labels, tuple(str(name) for name in classes))


def _read(config: DataConfig) -> _Source:
    path = Path(config.source).expanduser()
    if config.source == "digits":
        return _read_digits()
    if config.source and path.is_dir():
        return _read_folder(path, config.labels)
    if path.suffix.lower() == ".npz" and path.is_file():
        return _read_npz(path)
    problem = "is a file of another kind" if path.is_file() else f"does not exist (looked in {Path.cwd()})"
    expected = "expected 'digits', a folder of images or an .npz file"
    raise DataError(f"data.source: {expected}; {config.source!r} {problem}")


def _read_digits() -> _Source:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise _missing("scikit-learn") from error
    digits: Any = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]  # stored as 0 to 16
    return _Source(((f"digit {i}", image) for i, image in enumerate(images)), digits.target)


def _read_folder(folder: Path, labels: bool) -> _Source:
    """List the images below `folder`, in the same order on every machine; hidden files do not count."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if _is_image(path))
    names = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    if not names:
        raise DataError(f"no images in {folder}; expected files ending in {', '.join(SUFFIXES)}")
    loose = [name for name in names if "/" not in name]
    if labels and loose:
        remedy = "move it into a subfolder named after its class, or set data.labels=false"
        raise DataError(f"{folder / loose[0]}: expected a subfolder, whose name is the class; {remedy}")
    classes = [name.split("/")[0] for name in names] if labels else None
    return _Source(((str(folder / name), _decode(folder / name)) for name in names), classes)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _decode(path: Path) -> np.ndarray:
    """Return an image file as a person sees it, uint8 (H, W, 1 or 3): upright, on white, the first frame."""
    image_module, operations = _pillow()
    try:
        with image_module.open(path) as image:
            return _to_bytes(operations.exif_transpose(image))
    except Exception as error:  # decoders raise anything from OSError to struct.error: the file is the cause
        raise DataError(f"{path}: cannot be read as an image ({error}); replace or remove it") from error


def _to_bytes(image: Any) -> np.ndarray:
    image_module, _ = _pillow()
    if image.mode[0] in "IF":
        deep = np.asarray(image)
        if deep.dtype.kind == "f" or deep.min() < 0 or deep.max() > 65535:
            raise ValueError(f"its pixels are {deep.dtype}, expected 8 or 16 bits")
        return ((deep.astype(np.int64) + 128) // 257).astype(np.uint8)[..., None]  # 65535 / 255 = 257
    if image.has_transparency_data:
        white = image_module.new("RGBA", image.size, "white")
        image = image_module.alpha_composite(white, image.convert("RGBA"))
    colour = np.asarray(image.convert("RGB"))
    is_grey = (colour == colour[..., :1]).all()
    return colour[..., :1] if is_grey else colour


def _read_npz(path: Path) -> _Source:
    try:
        # Opened as a zip first: numpy.load alone would also accept a single array.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as an .npz ({error}); write it with numpy.savez") from error
    labels = arrays.pop("labels", None)
    if "images" not in arrays and len(arrays) != 1:
        raise DataError(f"{path}: expected an array named 'images', got {sorted(arrays)}; rename one")
    images = _array_to_bytes(arrays.get("images", next(iter(arrays.values()))), path)
    if labels is not None and (labels.shape != images.shape[:1] or labels.dtype.kind not in "iuU"):
        got = f"{labels.dtype} {labels.shape}"
        raise DataError(f"{path}: labels: expected {len(images)} integers or names, got {got}; one per image")
    return _Source(((f"image {i} of {path}", image) for i, image in enumerate(images)), labels)


def _array_to_bytes(images: np.ndarray, path: Path) -> np.ndarray:
    """Return the array of an .npz as uint8 (n, H, W, C)."""
    layouts = [axis for axis in (-1, 1) if images.ndim == 4 and images.shape[axis] in (1, 3)]
    if images.ndim == 3:
        images, layouts = images[..., None], [-1]
    if len(layouts) != 1 or not images.size:
        expected = "expected (n, H, W), (n, H, W, C) or (n, C, H, W) with C = 1 or 3"
        raise DataError(f"{path}: images: {expected}, got {images.shape}")
    images = np.moveaxis(images, layouts[0], -1)
    if images.dtype == np.uint8:
        return images
    low, high = images.min(), images.max()
    if images.dtype.kind != "f" or not (-1 <= low and high <= 1):
        got = f"{images.dtype} from {low} to {high}"
        expected = "expected uint8 from 0 to 255, or floats in [0, 1] or [-1, 1]"
        raise DataError(f"{path}: images: {expected}, got {got}; convert them first")
    return to_uint8(images if low < 0 else images * np.float32(2) - np.float32(1))


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the shorter side to `size`, antialiased, and crop the centre: (H, W, C) -> (size, size, C)."""
    if not size or image.shape[:2] == (size, size):
        return image
    image_module, operations = _pillow()
    picture = image_module.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    fitted = operations.fit(picture, (size, size), image_module.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(size, size, image.shape[-1])


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    image_module, _ = _pillow()
    return np.asarray(image_module.fromarray(image).convert("L"))[..., None]


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise _missing("Pillow") from error
    return Image, ImageOps


def _missing(package: str) -> DataError:
    return DataError(f'reading these images needs {package}; install it with: pip install "gdm[train]"')
