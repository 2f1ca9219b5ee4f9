"""Images in named rows and columns: one picture that says what each cell is, and the arrays beside it."""

from __future__ import annotations

import re
import textwrap
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gdm.canvas import (
    CELL,
    FORMATS,
    checked_name,
    coloured,
    lay_out,
    name_columns,
    name_rows,
    new_figure,
    outline,
    pictures,
    save_figure,
    show_sheet,
)
from gdm.errors import ShapeError, ValueRangeError
from gdm.files import write_atomic
from gdm.names import shown
from gdm.pixels import to_uint8


class Panels(NamedTuple):
    """Images, (rows, columns, *event) in [-1, 1], the name of each row and column, and what a picture says above them.

    latents: of each image, of the same shape, or None
    masks: of each row, the pixels (H, W) to be outlined from column `outlined` on, or None

    Example: `panels.save("swap.png")`
    """

    images: np.ndarray
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    title: str = ""
    latents: np.ndarray | None = None
    masks: Sequence[np.ndarray] | None = None
    outlined: int = 1

    def save(self, path: str | Path) -> Path:
        """Write the picture (.png, .pdf or .svg), and beside it the arrays (.npz); return where those are.

        The arrays: `images` uint8 (rows, columns, *event), `latents` float32, the names `rows` and `columns`, and `title`.

        Raises: ValueRangeError as `checked_panels`; ShapeError for images of other than 1 or 3 channels;
            CheckpointError if the disk refuses
        """
        path = checked_panels(path)
        draw(self, path)
        names = {"rows": np.array(self.rows), "columns": np.array(self.columns), "title": np.array(self.title)}
        latents = {} if self.latents is None else {"latents": self.latents.astype(np.float32)}
        arrays: Any = {"images": to_uint8(self.images), **names, **latents}
        beside = path.with_suffix(".npz")

        def write(file: BinaryIO) -> None:
            np.savez(file, **arrays)

        write_atomic(beside, write)
        return beside


def checked_panels(path: str | Path) -> Path:
    """Return where panels go, home folder expanded.

    Raises: ValueRangeError for a name that ends otherwise, or beside which the arrays would replace something else
    """
    path = checked_name(path, FORMATS)
    beside = path.with_suffix(".npz")
    if beside.exists() and not _is_panels(beside):
        raise ValueRangeError(
            f"{path}: its arrays would replace {beside}, which is something else; choose another name"
        )
    return path


def _is_panels(path: Path) -> bool:
    """Return whether a file has the arrays of panels."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"images.npy", "rows.npy", "columns.npy"} <= {*archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return False


def draw(panels: Panels, path: str | Path) -> None:
    """Write the picture of panels alone; errors as `Panels.save`."""
    rows, columns = panels.images.shape[:2]
    if (len(panels.rows), len(panels.columns)) != (rows, columns):
        got = f"{len(panels.rows)} and {len(panels.columns)}"
        raise ShapeError(f"panels: expected {rows} and {columns} names, of rows and columns, got {got}")
    flat = panels.images.reshape(-1, *panels.images.shape[2:])
    cells = coloured(pictures(flat))
    names, above = ([_written(name, width) for name in of] for of, width in ((panels.rows, 16), (panels.columns, 10)))
    margin = 0.1 + 0.085 * max(len(line) for name in names for line in name.split("\n"))
    height, width = panels.images.shape[-2:]
    cell = CELL * max(1.0, height / 96)
    title = textwrap.fill(panels.title, max(30, int(16 * cell * width / height * columns)))  # letters an inch
    head = (
        0.2 + 0.17 * max(name.count("\n") + 1 for name in above) + (0.13 + 0.17 * (title.count("\n") + 1)) * bool(title)
    )
    figure, axes = new_figure(cell * width / height * columns + margin, cell * rows + head)
    sheet = lay_out(cells.reshape(rows, columns, *cells.shape[1:]))
    show_sheet(axes, sheet)
    name_columns(axes, sheet, above)
    name_rows(axes, sheet, names)
    axes.tick_params(labelsize=9)
    if title:
        axes.set_title(title, fontsize=10)
    if panels.masks is not None:
        outline(axes, sheet, panels.masks, range(panels.outlined, columns))
    save_figure(figure, path, trim=True)  # pixels are square: a row of pictures leaves white below


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that fit beside rows, see `short`; of those that would be the same, more is said.

    >>> short_names(["photos/cat.png", "pets/dogs/1.png", "pets/cats/1.png", "image 3 of the digits"])
    ('cat.png', 'dogs/1.png', 'cats/1.png', 'image 3')
    """
    distinct = Counter(short(name) for name in {*names})
    return tuple(short(name) if distinct[short(name)] == 1 else _longer(name) for name in names)


def _longer(name: str) -> str:
    """Return more of a name than `short`: the folder of a file, or the file of an image in one."""
    image, of, where = name.partition(" of ")
    if image.startswith("image ") and of:
        return f"{image} of {Path(where).name}"
    folder, file = Path(name).parent.name, Path(name).name
    return f"{short(folder, 10)}/{short(file)}" if folder else short(file)


def short(name: str, most: int = 14) -> str:
    """Return a name that fits beside a row: of a path, the last part, and of that the end; "image 3" of the digits."""
    last = Path(name.split(" of ")[0] if name.startswith("image ") else name).name or name
    return last if len(last) <= most else f"..{last[-most + 2 :]}"


def _written(name: str, width: int) -> str:
    """Return a name in lines, bands as in the paper: [30, 100) for 30:100; a long path is broken after its folder."""

    def together(found: re.Match[str]) -> str:
        return found[0].replace(" ", "\N{NO-BREAK SPACE}") if len(found[0]) <= width else found[0]

    kept = re.sub(r"\S+ \d\S*( fixed)?|\d\S* fixed", together, name)  # image 3, element 0, 0:30 fixed
    words = " ".join(word if len(word) <= width else word.replace("/", "/ ") for word in kept.split(" "))
    return shown(textwrap.fill(words, width, break_on_hyphens=False).replace("/ ", "/"))
