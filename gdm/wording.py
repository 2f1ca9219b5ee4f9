"""How messages put it: numbers with their nouns, and what a person typed in place of the key that stands for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gdm.errors import GDMError


def counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "image"), counted(0, "image")
    ('1 image', '0 images')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def difference(before: Any, now: Any, but: Collection[str] = (), key: str = "") -> tuple[str, Any, Any] | None:
    """Return where two nested mappings first differ, dotted, with what each has there; None if they are the same.

    What one of them lacks is None there; but: dotted keys that do not count

    >>> difference({"n": 1, "images": {"steps": 8}}, {"n": 1, "images": {"steps": 9}})
    ('images.steps', 8, 9)
    """
    if before == now:
        return None
    if not {type(before), type(now)} <= {dict, type(None)}:
        return key, before, now
    before, now = before or {}, now or {}
    for name in {**now, **before}:
        dotted = f"{key}.{name}".lstrip(".")
        if dotted not in but and (found := difference(before.get(name), now.get(name), but, dotted)):
            return found
    return None


@contextmanager
def renaming(names: Mapping[str, str]) -> Iterator[None]:
    """Have errors raised within, or within a function that this decorates, begin with a name that a person knows.

    names: of each argument or key that messages begin with, before a colon, what was typed in its place

    >>> with renaming({"data.source": "--images"}):
    ...     raise GDMError("data.source: 'x' does not exist")
    Traceback (most recent call last):
    ...
    gdm.errors.GDMError: --images: 'x' does not exist
    """
    try:
        yield
    except GDMError as error:
        key, colon, rest = str(error).partition(":")
        if not colon or key not in names:
            raise
        raise type(error)(f"{names[key]}:{rest.replace(f'leave {key} out', f'leave {names[key]} out')}") from error
