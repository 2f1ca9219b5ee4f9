"""What all visitors of an explorer share: a run, how its latents are solved, and images of three kinds to begin with."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from gdm import encoding, images, intake
from gdm.encoding import Latents
from gdm.errors import DataError, ValueRangeError
from gdm.intake import Images
from gdm.model import Model
from gdm.sampling import class_numbers
from gdm.solver import Steps

OFFERED = 256  # images of the run's own data, at most: its first ones


@dataclass(frozen=True, eq=False)
class Workbench:
    """A run to explore; every image it makes is one `Latents`, with the image that these latents decode to or encode.

    name: of the run; steps, solver, guidance: of all encoding and decoding
    busy: held while the network works, since a machine that serves several visitors has one network

    Raises: DataError for a run whose images have other than 1 or 3 channels
    """

    model: Model
    name: str = "run"
    steps: Steps = 64
    solver: str = "heun"
    guidance: float = 1.0
    busy: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        shape = self.model.schedule.shape
        if len(shape) != 3 or shape[0] not in (1, 3):
            remedy = "edit its latents with gdm.editing instead"
            raise DataError(f"explore: expected a run of images with 1 or 3 channels, got {shape}; {remedy}")

    def sampled(self, seed: int, number: int = 0, label: int | str | None = None) -> Latents:
        """Return image `number` of a seed, the one that `gdm sample` makes. Raises: ValueRangeError"""
        if seed < 0 or number < 0:
            raise ValueRangeError(f"seed and number: expected whole numbers from 0, got {seed} and {number}")
        chosen = {"steps": self.steps, "solver": self.solver, "guidance": self.guidance}
        found = encoding.drawn(self.model, [number], seed=seed, label=label, **chosen)  # type: ignore[arg-type]
        return replace(found, names=(f"seed {seed} no. {number}",), images=encoding.decode(self.model, found))

    def of_data(self, number: int, label: int | str | None = None) -> Latents:
        """Encode one of the first images of the run's own data set. Raises: DataError, ValueRangeError"""
        if not 0 <= number < len(self.data):
            raise ValueRangeError(f"number: expected 0 to {len(self.data) - 1} of the data set, got {number}")
        rows = slice(number, number + 1)
        labels = self.data.labels[rows]
        return self._encoded(Images(self.data.images[rows], self.data.names[rows], labels), label)

    def of_file(self, content: bytes, name: str, label: int | str | None = None) -> Latents:
        """Encode an image file, resized and cropped to the size of the run. Raises: DataError, ValueRangeError"""
        channels, height, width = self.model.schedule.shape
        try:
            whole = images.decode(content, name)
        except images.CorruptImageError as error:
            raise DataError(f"{name}: expected an image, got what cannot be read as one; try a PNG") from error
        read = images.resize(whole, height if height == width else 0)
        if read.shape[:2] != (height, width):
            got = f"{read.shape[1]} x {read.shape[0]}"
            raise DataError(f"{name}: expected an image of {width} x {height}, got {got}; resize it first")
        event = np.ascontiguousarray(images.with_channels(read, channels).transpose(2, 0, 1))
        return self._encoded(Images(event[None], (name,), np.array([-1])), label)

    @cached_property
    def data(self) -> Images:
        """The first images of the data that the run was trained on. Raises: DataError if they are not there"""
        source = self.model.spec.data
        return intake.read_images(self.model, source.source, limit=OFFERED, split=source.split)

    def _encoded(self, given: Images, label: int | str | None) -> Latents:
        """Encode an image as of this class, or of its own."""
        named = None if label is None else class_numbers(label, self.model.classes, len(given))
        told = given if named is None else replace(given, labels=np.array(named))
        if self.model.classes and told.labels.min() < 0 and self.guidance != 0:
            raise ValueRangeError(f"{given.names[0]}: expected a class, got none; choose one of the run's")
        chosen = {"steps": self.steps, "solver": self.solver, "guidance": self.guidance}
        return encoding.encode(self.model, told, **chosen)  # type: ignore[arg-type]
