"""Progress bars, drawn on stderr by tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"


@contextmanager
def sampling_bar(images: int, calls: int, own: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show network calls, and the images per second that they come to; without calls, show nothing.

    images: in all; calls: of the network that one image takes; own: how many of the images this process makes

    Yields what to call before each network call, with the number of images in it.
    """
    if not calls:
        yield lambda count: None
        return
    from tqdm import tqdm

    # What is counted is images times calls: batches differ, and one that did not fit into memory is done again.
    work = calls * (images if own is None else own)
    with tqdm(total=work, desc=f"{images} images", bar_format=_LOOK, dynamic_ncols=True, mininterval=0.5) as bar:
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
    """Show how many images are read, on a terminal, if it takes a second. Yields what to call after each."""
    if not shown:
        yield lambda: None
        return
    from tqdm import tqdm

    wait = {"disable": None, "delay": 1, "mininterval": 0.5}  # None: on a terminal, and not in a log
    with tqdm(total=images, unit="image", desc="read", dynamic_ncols=True, **wait) as bar:
        yield bar.update
