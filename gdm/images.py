"""Images as bytes: readers that yield uint8 (height, width, channels) as a person sees them, and back from [-1, 1]."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gdm.config import DataConfig
from gdm.errors import DataError, DTypeError, ValueRangeError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Return images from [-1, 1] as bytes, rounded to the nearest and clipped. Inverse of `gdm.data.Dataset.batch`.

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


class Source(NamedTuple):
    """What a reader yields: a name (for errors) and uint8 (H, W, 1 or 3) per image, and a label per image."""

    images: Iterable[tuple[str, np.ndarray]]
    labels: Iterable[Any] | None


def read(config: DataConfig) -> Source:
    """Return the images that `config.source` names, as they are stored. Raises: DataError"""
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


def _read_digits() -> Source:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise _missing("scikit-learn") from error
    digits: Any = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]  # stored as 0 to 16
    return Source(((f"digit {i}", image) for i, image in enumerate(images)), digits.target)


def _read_folder(folder: Path, labels: bool) -> Source:
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
    return Source(((str(folder / name), _decode(folder / name)) for name in names), classes)


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


def _read_npz(path: Path) -> Source:
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
    return Source(((f"image {i} of {path}", image) for i, image in enumerate(images)), labels)


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


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the shorter side to `size`, antialiased, and crop the centre: (H, W, C) -> (size, size, C)."""
    if not size or image.shape[:2] == (size, size):
        return image
    image_module, operations = _pillow()
    picture = image_module.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    fitted = operations.fit(picture, (size, size), image_module.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(size, size, image.shape[-1])


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return an image as grey (1) or RGB (3): (H, W, C) -> (H, W, channels)."""
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
