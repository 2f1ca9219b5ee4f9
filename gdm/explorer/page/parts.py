"""What the page is made of: pictures of large pixels, fields, tables of panels; and how these look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nicegui import ui  # pyright: ignore[reportMissingImports]  # of the extra "explore"

from gdm.encoding import Latents
from gdm.explorer.pictures import data_url
from gdm.names import shown
from gdm.panels import Panels

STYLE = """
body { background: #f5f6f8 }
.pixels { image-rendering: pixelated; border-radius: 4px; background: #969696; display: block }
.pixels:not([src]) { color: transparent }
.panels { display: grid; gap: 10px; align-items: center; justify-items: center; justify-content: start; width: 100% }
.panels .name { font-size: 12px; color: #475569; text-align: center; max-width: 120px; overflow-wrap: anywhere }
.q-uploader { width: 100%; box-shadow: none; border: 1px dashed #94a3b8 }
.q-uploader__list, .q-uploader__subtitle { display: none }
.q-uploader__header { background: none; color: var(--q-primary) }
"""


def picture(shape: Sequence[int], said: str, width: str) -> ui.element:
    """Return an empty picture of images of a shape (C, H, W), enlarged without smoothing; said: to who cannot see it."""
    *_, high, wide = shape
    made = ui.element("img").classes("pixels").style(f"width: {width}; aspect-ratio: {wide} / {high}")
    made.props["alt"] = said
    return made


def large(shape: Sequence[int], said: str, width: str) -> tuple[ui.element, ui.label]:
    """Return a picture, and a line under it."""
    return picture(shape, said, width), ui.label().classes("text-sm text-slate-500")


def show(place: ui.element, image: np.ndarray) -> None:
    """Show an image, (C, H, W) in [-1, 1], in a picture."""
    place.props["src"] = data_url(image)
    place.update()


def place_panels(place: ui.element, panels: Panels) -> None:
    """Show panels with the names of their rows and columns, in place of what was there."""
    place.clear()
    columns = f"grid-template-columns: minmax(4rem, max-content) repeat({len(panels.columns)}, minmax(3rem, 7rem))"
    with place, ui.element("div").classes("panels").style(columns):
        for name in ("", *panels.columns):
            ui.label(shown(name)).classes("name")
        for name, row in zip(panels.rows, panels.images, strict=True):
            ui.label(shown(name)).classes("name")
            for column, image in zip(panels.columns, row, strict=True):
                show(picture(image.shape, f"{name}, {column}", "100%"), image)


def number(label: str, value: int, least: int = 0, most: int | None = None) -> ui.number:
    """Return a field for a whole number."""
    return ui.number(label, value=value, min=least, max=most, precision=0, step=1).classes("w-24 grow")


def whole(field: ui.number) -> int | None:
    """Return the whole number in a field, None if it is empty."""
    return None if field.value is None else int(field.value)


def only(found: Latents) -> np.ndarray:
    """Return the image of a single `Latents` of the workbench."""
    assert found.images is not None
    return found.images[0]


def told(found: Latents) -> str:
    """Return what an image is, and what encoding it has lost."""
    lost = f" · there and back loses {max(found.errors):.2g} (RMS)" if found.errors else ""
    return f"{found.names[0]}{lost}"
