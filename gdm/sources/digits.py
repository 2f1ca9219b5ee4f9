"""The 1797 handwritten digits, 8 x 8, that come with scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gdm.images import missing
from gdm.sources.base import Source, of_array

WORDS, SPLIT = "'digits'", False


def accepts(name: str, path: Path) -> bool:
    return name == "digits"


def read(name: str, path: Path, split: str) -> Source:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing("scikit-learn") from error
    digits: Any = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]  # stored as 0 to 16
    return of_array(images, "the digits", digits.target)
