"""Images as bytes: files decoded to uint8 (height, width, channels) as a person sees them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from gdm.errors import DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class CorruptImageError(DataError):
    """One image that cannot be read, among others that perhaps can."""


def decode(file: Path | bytes, name: str) -> np.ndarray:
    """Return an image file as a person sees it, uint8 (H, W, 1 or 3): upright, on white, the first frame.

    file: its path or its content; name: what errors call it

    Raises: CorruptImageError, with the name; DataError if Pillow is missing
    """
    image_module, operations = _pillow()
    try:
        with image_module.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            operations.exif_transpose(image, in_place=True)  # else it copies those that are upright already
            return _to_bytes(image)
    except Exception as error:  # decoders raise anything from OSError to struct.error: the file is the cause
        unknown = type(error).__name__ == "UnidentifiedImageError"  # whose text has an address in memory
        problem = "it is of no known format" if unknown else error
        remedy = "replace or remove it, or leave such images out: data.skip_corrupt=true"
        raise CorruptImageError(f"{name}: cannot be read as an image ({problem}); {remedy}") from error


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
    if image.mode == "L":
        return np.asarray(image)[..., None]
    colour = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return colour[..., :1] if _is_grey(colour[:1]) and _is_grey(colour) else colour  # the first row tells most apart


def _is_grey(colour: np.ndarray) -> bool:
    return bool((colour == colour[..., :1]).all())


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
        raise missing("Pillow") from error
    return Image, ImageOps


def missing(package: str) -> DataError:
    """Return the error that says which package reading needs."""
    return DataError(f'reading these images needs {package}; install it with: pip install "gdm[train]"')
