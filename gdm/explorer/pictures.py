"""Images as a browser shows them."""

from __future__ import annotations

import base64
import io

import numpy as np

from gdm.canvas import pictures


def data_url(image: np.ndarray) -> str:
    """Return an image as a PNG of its own size, in a `data:` address; the page enlarges it. Shapes: (C, H, W) in [-1, 1]

    Raises: ShapeError for other than 1 or 3 channels; ValueRangeError for NaN
    """
    from PIL import Image

    pixels = pictures(image[None])[0]
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
