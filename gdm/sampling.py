"""What a call of a model does for many images at once: batches that fit into memory, classes, and guidance."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gdm.arrays import namespace
from gdm.backends import Backend
from gdm.errors import UnsupportedError, ValueRangeError, nearest

Labels = int | str | Sequence[int | str] | np.ndarray | None
Network = Callable[..., Any]  # (x_t, alpha), or (x_t, alpha, labels)


def check_count(n: int, batch: int | None) -> None:
    """Refuse to make nothing, or nothing at a time. Raises: ValueRangeError"""
    if n < 1 or (batch is not None and batch < 1):
        raise ValueRangeError(f"expected at least 1 image and batch >= 1, got {n} and batch={batch}")


def in_batches(n: int, size: int, solve: Callable[[np.ndarray, int], Any], backend: Backend) -> Iterator[Any]:
    """Solve for n things in batches of `size`, in order; where one does not fit into memory, halve the size.

    solve(rows, size) -> the results for `rows`, which are at most `size` numbers in a row

    Raises: what `solve` raises; out of memory for a single thing
    """
    start = 0
    while start < n:
        rows = np.arange(start, min(start + size, n))
        try:
            with backend.inference():  # not around the yield: it would hold for whoever reads
                part = solve(rows, size)
        except Exception as error:
            if size == 1 or not backend.is_out_of_memory(error):
                raise
            warnings.warn(f"a batch of {size} does not fit into memory; halving it", RuntimeWarning, stacklevel=2)
            size = (size + 1) // 2
            continue
        yield part
        start += len(rows)


def filled(rows: np.ndarray, size: int) -> np.ndarray:
    """Repeat the last row until there are `size`: a compiled network sees one shape only."""
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows))])


def in_turn(numbers: Sequence[int], classes: Sequence[str]) -> list[int]:
    """Return the class of each image, (n,), where none is named: each in turn."""
    return [number % len(classes) for number in numbers]


def class_numbers(labels: Labels, classes: tuple[str, ...], n: int) -> np.ndarray | None:
    """Return a class number per image, (n,), or None for a model without classes.

    Raises: ValueRangeError for a class that is not there, labels of another number, or where there must be none
    """
    if not classes and labels is None:
        return None
    if not classes or labels is None:
        remedy = "name one class, or one per image" if classes else "leave it out, or train with data.labels=true"
        raise ValueRangeError(f"labels: expected {classes or 'none'}, got {labels!r}; {remedy}")
    given = [labels] if isinstance(labels, str | int | np.integer) else list(labels)
    known = {name: number for number, name in enumerate(classes)}
    numbers = [known.get(label, label) if isinstance(label, str) else label for label in given]
    for number in numbers:
        if isinstance(number, str) or not 0 <= number < len(classes):
            expected, hint = f"0 to {len(classes) - 1}, or one of {classes}", nearest(str(number), classes)
            raise ValueRangeError(f"labels: expected {expected}, got {number!r}{hint}")
    if len(numbers) not in (1, n):
        raise ValueRangeError(f"labels: expected 1 or {n}, one per image, got {len(numbers)}")
    return np.broadcast_to(np.array(numbers), (n,))


def check_guidance(guidance: float, classes: tuple[str, ...], label_dropout: float) -> None:
    """Refuse guidance by a network that has not learnt both sides of it.

    Raises: ValueRangeError for no finite number; UnsupportedError
    """
    if not np.isfinite(guidance):
        raise ValueRangeError(f"guidance: expected a finite number, got {guidance}; 1 is none, 2 is common")
    if guidance == 1:
        return
    if not classes:
        remedy = "train with data.labels=true and training.label_dropout=0.1"
        raise UnsupportedError(f"guidance: expected 1 for a model without classes, got {guidance:g}; {remedy}")
    if not label_dropout:
        remedy = "train with training.label_dropout=0.1"
        expected = "expected 1 for a model that has always seen the class"
        raise UnsupportedError(f"guidance: {expected}, got {guidance:g}; {remedy}")


def widening(guidance: float) -> int:
    """Return how many rows of a network call an image takes."""
    return 1 if guidance in (0, 1) else 2


def told(numbers: np.ndarray, classes: int, guidance: float) -> np.ndarray:
    """Return what `guided` tells the network about classes: a number, or a weight per class; no weight is no class.

    Shapes: (n,) -> (n,) integers for guidance 1, (n, classes) for 0, else (2 n, classes): first without class
    """
    if guidance == 1:
        return numbers
    none = np.zeros((len(numbers), classes), np.float32)
    if guidance == 0:
        return none
    return np.concatenate([none, np.eye(classes, dtype=np.float32)[numbers]])


def guided(network: Network, x_t: Any, alpha: Any, labels: Any, guidance: float) -> Any:
    """Return u_none + guidance (u_class - u_none), classifier-free guidance (Ho and Salimans 2022).

    labels: of `told`. Both halves are one call of twice the batch; guidance 0 and 1 need one of them only.

    Shapes: x_t (n, *event), alpha (n, k) -> (n, *event)
    """
    if widening(guidance) == 1:
        return network(x_t, alpha, labels)
    xp, n = namespace(x_t), x_t.shape[0]
    both = network(xp.concat([x_t, x_t]), xp.concat([alpha, alpha]), labels)
    none, own = both[:n, ...], both[n:, ...]
    return none + guidance * (own - none)
