"""Images to train on: read from any source as bytes of one shape, with a hash and a stateless order.

`gdm.sources` finds and reads them; what follows (sizes, grey or colour, labels, the hash) is the same for all
sources, and the same whether the images are kept in memory or decoded per batch. Nothing here keeps a random
generator: which images make up a batch, and which are mirrored, is a function of (seed, step), so a run
resumes exactly.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gdm import sources
from gdm.config import DataConfig
from gdm.decoding import Encoded, pixels_digest
from gdm.errors import DataError, ValueRangeError
from gdm.gathering import Size, gather

# What a stream of random bits is for; part of its key, so that no two uses share bits.
_ORDER, _FLIP = 1, 2


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one shape, as bytes, with optional class labels. Read-only.

    images: uint8 (n, C, H, W), C = 1 (grey) or 3 (RGB); an array, or `Encoded` images, decoded when asked for
    labels: int64 (n,), indices into `classes`; None for a set without labels
    classes: the name of each class
    skipped: the names of images that were left out because they cannot be read
    sizes: how many images the source stores in each (width, height, channels)

    Raises: DataError for arrays of another kind or of sizes that do not fit

    >>> dataset = load(DataConfig(source="digits"))
    >>> dataset.shape, len(dataset)
    ((1, 8, 8), 1797)
    """

    images: np.ndarray | Encoded
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    sizes: Mapping[Size, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        images = self.images
        if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
            got = f"{images.dtype} {images.shape}"
            raise DataError(f"images: expected uint8 (n, C, H, W), got {got}; see gdm.pixels.to_uint8")
        if isinstance(images, np.ndarray):
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
        digest = pixels_digest(self.images)
        if self.labels is not None:
            digest.update(b"labels" + self.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def take(self, indices: np.ndarray, flip: np.ndarray | None = None) -> np.ndarray:
        """Return a copy of the images with these indices; several threads may ask at once.

        flip: which of them to mirror, left to right. `gdm.pixels.to_unit` makes them what a network sees.

        Shapes: indices (batch,), flip bool (batch,) -> uint8 (batch, C, H, W), C-contiguous
        """
        images = np.ascontiguousarray(self.images[np.asarray(indices)])
        if flip is not None:
            images[flip] = images[flip][..., ::-1]
        return images


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


def load(config: DataConfig, *, progress: bool = False) -> Dataset:
    """Read the images that `config` names, brought to one shape, by several threads (`workers`).

    source: "digits" (1797 handwritten digits, 8 x 8, from scikit-learn); a folder (its images, those of its
        subfolders too, sorted; the subfolder is the class); a zip of the same, read without extracting it; in both
        a `dataset.json` of labels goes before the subfolders; one image; an .npz with `images` and perhaps `labels`; CIFAR-10's
        own tarball; IDX (the MNIST family); Hugging Face `datasets`, as hf:NAME or hf:NAME/CONFIG.
        Transparent parts become white, 16 bits become 8, an animation is its first frame.
    split: which part of a source that has several.
    size: resizes the shorter side and crops the centre, so that images of any sizes fit; 0 keeps them.
    channels: 1 is grey, 3 is RGB, 0 is grey if every image is; an array keeps its channels.
    memory: images that take more gigabytes are read once, for the checks and the hash, and again per batch.
    skip_corrupt: leaves out what cannot be read, with a warning; `Dataset.skipped` names it.

    Raises: DataError for a source that is missing, empty, corrupt, or of mixed sizes without `size`
    """
    return read(sources.find(config), config, progress=progress)


def read(source: sources.Source, config: DataConfig, *, progress: bool = False) -> Dataset:
    """Read the images of an open source; see `load`."""
    if config.labels and source.labels is None:
        raise DataError(f"data.labels is true, but {config.source} has no labels: {source.unlabelled}")
    images, kept, skipped, sizes = gather(source, config, progress)
    if skipped:
        listed = ", ".join(skipped[:3]) + ", ..." * (len(skipped) > 3)
        warnings.warn(
            f"{len(skipped)} of {source.count} images cannot be read and are left out: {listed}", stacklevel=3
        )
    labels = source.labels[kept] if config.labels and source.labels is not None else None
    return Dataset(images, labels, source.classes if config.labels else (), skipped, sizes)
