"""What pictures are made of: sheets of cells, figures in one style around them, and files written atomically.

Colours are those of Okabe and Ito and viridis, which colour-blind people can tell apart. Matplotlib and Pillow are
loaded when needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gdm.errors import ShapeError, ValueRangeError
from gdm.files import write_atomic
from gdm.pixels import to_uint8

VERMILION, BLUE, GREY = "#D55E00", "#0072B2", "#999999"  # Okabe and Ito (2008)
GREEN, PURPLE, ORANGE, SKY = "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")  # theirs, yellow left out
MARKERS = "osD^vPX"  # so that curves differ in more than colour
CELL = 0.85  # inches, of a picture in a sheet
FORMATS = (".png", ".pdf", ".svg")  # of figures
FILL = 150  # grey between pictures, so that neither white strokes nor black ground run into the gaps


def pictures(images: Any) -> np.ndarray:
    """Return images as bytes, channels last. Shapes: (n, C, H, W) in [-1, 1], C = 1 or 3 -> (n, H, W, C)."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.size:
        raise ShapeError(f"images: expected (n, C, H, W) with C = 1 (grey) or 3 (RGB), got {images.shape}")
    return to_uint8(images).transpose(0, 2, 3, 1)


def coloured(cells: np.ndarray) -> np.ndarray:
    """Return grey pictures as RGB, and RGB as it is. Shapes: (..., 1 or 3) -> (..., 3)."""
    return np.broadcast_to(cells, (*cells.shape[:-1], 3))


class Sheet(NamedTuple):
    """Cells laid out in rows and columns: the pixels, and in pixels the size of a cell, the gaps, the enlargement."""

    pixels: np.ndarray
    height: int
    width: int
    gap: int
    scale: int


def montage(cells: np.ndarray, fill: float, *, scale: int = 1, gap: int = 1) -> Sheet:
    """Enlarge cells and lay them out, with `gap` pixels of `fill` between and around them.

    Shapes: (rows, columns, H, W, ...) -> (rows (scale H + gap) + gap, columns (scale W + gap) + gap, ...)
    """
    cells = cells.repeat(scale, axis=2).repeat(scale, axis=3)
    rows, columns, height, width, *rest = cells.shape
    framed = np.full((rows, height + gap, columns, width + gap, *rest), fill, cells.dtype)
    framed[:, gap:, :, gap:] = cells.swapaxes(1, 2)
    sheet = framed.reshape(rows * (height + gap), columns * (width + gap), *rest)
    padded = np.pad(sheet, [(0, gap), (0, gap)] + [(0, 0)] * len(rest), constant_values=fill)
    return Sheet(padded, height, width, gap, scale)


def lay_out(cells: np.ndarray, scale: int | None = None) -> Sheet:
    """Lay pictures out, each pixel enlarged (None: so that one sees it). Shapes: uint8 (rows, columns, H, W, C)."""
    scale = max(1, 64 // max(cells.shape[2:4])) if scale is None else scale
    return montage(cells, FILL, scale=scale, gap=4)


def in_rows(cells: np.ndarray, columns: int, fill: float) -> np.ndarray:
    """Fill up with blank cells and fold. Shapes: (n, H, W, ...) -> (rows, columns, H, W, ...)."""
    blank = np.full((-len(cells) % columns, *cells.shape[1:]), fill, cells.dtype)
    return np.concatenate([cells, blank]).reshape(-1, columns, *cells.shape[1:])


def image_grid(images: Any, path: str | Path, *, columns: int | None = None, scale: int | None = None) -> np.ndarray:
    """Write images as one PNG, row by row, each pixel as `scale` x `scale` (None: so that one sees it).

    Shapes: images (n, C, H, W) in [-1, 1], C = 1 or 3 -> the pixels written, uint8 (height, width, C)
    Raises: ShapeError for other shapes; ValueRangeError for NaN; CheckpointError if the disk refuses
    """
    cells = pictures(images)
    columns = math.ceil(math.sqrt(len(cells))) if columns is None else columns
    if columns < 1 or (scale is not None and scale < 1):
        raise ValueRangeError(f"expected columns >= 1 and scale >= 1, got {columns} and {scale}")
    sheet = lay_out(in_rows(cells, columns, FILL), scale).pixels
    write_atomic(checked_name(path, (".png",)), lambda file: write_png(sheet, file))
    return sheet


def write_png(pixels: np.ndarray, file: BinaryIO) -> None:
    """Write a picture to an open file. Shapes: pixels uint8 (H, W, C), C = 1 (grey) or 3 (RGB)."""
    from PIL import Image

    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")


def new_figure(width: float, height: float, columns: Sequence[float] = (1,)) -> tuple[Any, Any]:
    """Return a Matplotlib figure, in inches, and its axes, one per relative column width."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    figure = Figure((width, height), layout="constrained")
    axes = figure.subplots(1, len(columns), width_ratios=list(columns))
    return figure, axes


def new_chart(width: float, height: float, columns: Sequence[float] = (1,), grid: str = "both") -> tuple[Any, Any]:
    """Return a figure of numbers, in inches, and its axes, in the `style` of all; grid: across "both" axes, "x", "y"."""
    figure, axes = new_figure(width, height, columns)
    for one in np.atleast_1d(axes):
        style(one, grid)
    return figure, axes


def style(axes: Any, grid: str = "both") -> None:
    """Leave axes of numbers open at the top and on the right, with a faint grid behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(alpha=0.3, axis=grid)


def shades(count: int) -> list[tuple[float, ...]]:
    """Return colours in order, from dark to light, in grey as well: viridis without its end, which is pale on white."""
    import matplotlib

    scale = matplotlib.colormaps["viridis"]
    return [scale(place) for place in np.linspace(0, 0.9, count)]


def show_sheet(
    axes: Any, sheet: Sheet, *, cmap: Any = None, vmin: float | None = None, vmax: float | None = None
) -> Any:
    """Show a sheet without frame or ticks: bytes as they are, numbers in colours (Matplotlib's arguments)."""
    pixels = coloured(sheet.pixels) if sheet.pixels.dtype == np.uint8 else sheet.pixels
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes.imshow(pixels, interpolation="nearest", cmap=cmap, vmin=vmin, vmax=vmax)


def name_columns(axes: Any, sheet: Sheet, names: Sequence[str]) -> None:
    """Write a name above each column of a sheet."""
    axes.xaxis.tick_top()
    axes.set_xticks(_centres(len(names), sheet.width, sheet.gap), names)
    axes.tick_params(length=0)


def name_rows(axes: Any, sheet: Sheet, names: Sequence[str]) -> None:
    """Write a name beside each row of a sheet."""
    axes.set_yticks(_centres(len(names), sheet.height, sheet.gap), names)
    axes.tick_params(length=0)


def outline(axes: Any, sheet: Sheet, masks: Sequence[np.ndarray], columns: Iterable[int]) -> None:
    """Draw a red line around the pixels of masks[row], in these columns of each row of a sheet."""
    from matplotlib.collections import LineCollection

    lines: list[np.ndarray] = []
    for row, mask in enumerate(masks):
        edges = edges_of(mask) * sheet.scale
        for column in columns:
            corner = np.array([column * (sheet.width + sheet.gap), row * (sheet.height + sheet.gap)])
            lines.extend(edges + corner + sheet.gap - 0.5)
    axes.add_collection(LineCollection(lines, colors=VERMILION, linewidths=1.5, capstyle="projecting"))


def middle(mask: np.ndarray) -> tuple[float, float]:
    """Return where to write about the pixels of `mask`, (row, column): their middle, or close to it."""
    members = np.argwhere(mask)
    centre = members.mean(axis=0)
    nearest = members[np.argmin(((members - centre) ** 2).sum(axis=1))]
    row, column = centre if np.abs(nearest - centre).max() <= 0.5 else nearest
    return float(row), float(column)


def spaced(count: int, most: int) -> list[int]:
    """Return 0, ..., count - 1, or `most` numbers evenly among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


def save_figure(figure: Any, path: str | Path, *, trim: bool = False) -> None:
    """Write a figure as .png, .pdf or .svg, the same bytes of the same figure; trim: without the white around.

    Fonts in a PDF are TrueType (Type 42), as conferences ask for, not outlines of Matplotlib's own (Type 3).

    Raises: ValueRangeError for another kind of file; CheckpointError if the disk refuses
    """
    import matplotlib

    path = checked_name(path, FORMATS)
    kind = path.suffix[1:].lower()
    box: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.05} if trim else {}
    dated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[kind]
    dots = 150 if kind == "png" else 300  # per inch; of vectors, those of the pictures in them
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "gdm"}):
        write_atomic(path, lambda file: figure.savefig(file, format=kind, dpi=dots, metadata=dated, **box))


def checked_name(path: str | Path, suffixes: tuple[str, ...]) -> Path:
    """Return a path if it ends as one of `suffixes`; ValueRangeError otherwise."""
    path = Path(path).expanduser()
    if path.suffix.lower() not in suffixes:
        raise ValueRangeError(f"{path}: expected a file name ending in {' or '.join(suffixes)}; rename it")
    return path


def _centres(count: int, size: int, gap: int) -> np.ndarray:
    return np.arange(count) * (size + gap) + gap + (size - 1) / 2


def edges_of(mask: np.ndarray) -> np.ndarray:
    """Return the segments between pixels inside and outside, (n, 2, 2) of (x, y) pixel corners."""
    padded = np.pad(mask, 1)
    y, x = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    across = np.stack([np.stack([x, y], -1), np.stack([x + 1, y], -1)], 1)
    y, x = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    down = np.stack([np.stack([x, y], -1), np.stack([x, y + 1], -1)], 1)
    return np.concatenate([across, down]).astype(float)
