"""Progress bars, drawn on stderr by tqdm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def sampling_bar(images: int, calls: int) -> Iterator[Callable[[], None]]:
    """Show network calls, and the images per second that they come to; without calls, show nothing.

    Yields what to call after (or before) each network call.
    """
    if not calls:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=calls, unit="call", desc=f"{images} images", dynamic_ncols=True, mininterval=0.5) as bar:

        def advance() -> None:
            bar.update()
            if seconds := bar.format_dict["elapsed"]:
                bar.set_postfix_str(f"{images * bar.n / calls / seconds:.1f} images/s", refresh=False)

        yield advance


@contextmanager
def reading_bar(images: int, shown: bool) -> Iterator[Callable[[], object]]:
    """Show how many images are read, if `shown` and it takes more than a second. Yields what to call after each."""
    if not shown:
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=images, unit="image", desc="read", dynamic_ncols=True, mininterval=0.5, delay=1) as bar:
        yield bar.update
