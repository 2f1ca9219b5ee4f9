"""Progress on stderr, by tqdm: a bar on a terminal, and elsewhere (a log file, a pipe) a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from gdm.wording import counted

EVERY = 30.0  # seconds between lines, where there is no terminal
DELAY = 1.0  # seconds before what may be over at once is shown
_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}s, {percentage:.0f} %, {elapsed} gone, {remaining} to go{postfix}"
_LINE_OF_WORK = "{desc}: {percentage:.0f} %, {elapsed} gone, {remaining} to go{postfix}"
_BAR_OF_WORK = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


@contextmanager
def sampling_bar(images: int, calls: int, own: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show network calls, and the images per second that they come to; without calls, show nothing.

    images: in all; calls: of the network that one image takes; own: how many of the images this process makes

    Yields what to call before each network call, with the number of images in it.
    """
    if not calls:
        yield lambda count: None
        return
    # What is counted is images times calls: batches differ, and one that did not fit into memory is done again.
    work = calls * (images if own is None else own)
    with _bar(counted(images, "image"), "", 0, work, bar=_BAR_OF_WORK, line=_LINE_OF_WORK, delay=DELAY) as bar:
        made = 0

        def advance(count: int) -> None:
            nonlocal made
            made += 1
            bar.update(min(count, work - bar.n))
            if seconds := bar.format_dict["elapsed"]:
                speed = images * bar.n / work / seconds
                bar.set_postfix_str(f"{made} network calls, {speed:.1f} images/s", refresh=False)

        yield advance


@contextmanager
def reading_bar(images: int, shown: bool) -> Iterator[Callable[[], object]]:
    """Show how many images are read, if `shown` and it takes a while. Yields what to call after each."""
    if not shown:
        yield lambda: None
        return
    with _bar("read", "image", 0, images, delay=DELAY) as bar:
        yield bar.update


@contextmanager
def feature_bar(images: int, shown: bool) -> Iterator[Callable[[int], object]]:
    """Show of how many images there are features, if `shown` and it takes a while. Yields what to tell how many more."""
    if not shown:
        yield lambda count: None
        return
    with _bar("features", "image", 0, images, delay=DELAY) as bar:
        yield bar.update


def training_bar(done: int, total: int, shown: bool) -> Any:
    """Return a progress bar over steps, of which some are done, as a context: a tqdm, silent if it is not shown.

    `set_postfix_str(text, refresh=False)` adds to it; a refresh would draw at once, in a log file too.
    """
    return _bar("train", "step", done, total, shown)


def _bar(
    name: str,
    unit: str,
    done: int,
    total: int,
    shown: bool = True,
    *,
    bar: str = "",
    line: str = _LINE,
    delay: float = 0,
) -> Any:
    """Return a tqdm: drawn in place on a terminal, else written as lines."""
    from tqdm import tqdm

    options: dict[str, Any] = {"dynamic_ncols": True, "mininterval": 0.5, "bar_format": bar or None, "delay": delay}
    if not sys.stderr.isatty():
        # miniters: else tqdm guesses how many steps take so long, and a thread corrects it
        options = {"file": _Lines(sys.stderr), "bar_format": line, "mininterval": EVERY, "miniters": 1, "delay": delay}
    return tqdm(desc=name, unit=unit, initial=done, total=total, disable=not shown, **options)


class _Lines:
    """A file for tqdm, which draws by returning to the start of the line: each drawing becomes a line of its own."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        if line := text.strip():
            self._file.write(line + "\n")

    def flush(self) -> None:
        self._file.flush()
