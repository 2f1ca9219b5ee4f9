"""What a run says about itself while it trains: the log, and the same for TensorBoard with sample images.

RUN/metrics.jsonl     one line of numbers per logged step
RUN/tensorboard       numbers and pictures: `tensorboard --logdir RUN` shows them (TensorBoard is needed there alone)
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gdm import checkpoint
from gdm.canvas import write_png
from gdm.events import EventFile, cut


class Logbook:
    """The log of a run whose training begins, or goes on, after `step` steps.

    Pictures and numbers of later steps, by a run that was killed, are dropped for TensorBoard; `checkpoint.rewind`
    does so for the log. Files are made with the first entry.

    Raises: CheckpointError if the disk refuses; so do the methods
    """

    def __init__(self, run: Path, step: int = 0) -> None:
        self.run, self._step, self._folder = run, step, run / "tensorboard"
        self._events: EventFile | None = None
        cut(self._folder, step)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of a step."""
        checkpoint.append_metrics(self.run, step, values)
        for name, value in values.items():
            self._board().number(step, name, value)

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Write a picture of a step, for TensorBoard. Shapes: pixels uint8 (H, W, C), C = 1 (grey) or 3 (RGB)."""
        content = io.BytesIO()
        write_png(pixels, content)
        height, width, channels = pixels.shape
        self._board().png(step, name, height, width, channels, content.getvalue())

    def close(self) -> None:
        """End the log of this session."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _board(self) -> EventFile:
        if self._events is None:
            self._events = EventFile(self._folder, self._step)
        return self._events
