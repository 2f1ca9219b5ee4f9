"""The processes that share a run. Most often there is one."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class World(Protocol):
    """The processes of a run. Each takes its share of every batch; number 0 writes the files."""

    rank: int
    size: int

    def any(self, flag: bool) -> bool:
        """Tell every process whether one of them says yes."""
        ...

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over processes of arrays of one shape, on every process."""
        ...

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Return the arrays of all processes in order, which may differ in length; an empty list but on number 0."""
        ...

    def wait(self) -> None:
        """Wait until all processes are here."""
        ...


class Alone:
    """One process."""

    rank = 0
    size = 1

    def any(self, flag: bool) -> bool:
        return flag

    def mean(self, values: np.ndarray) -> np.ndarray:
        return values

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        return [values]

    def wait(self) -> None:
        pass


def share(count: int, world: World) -> slice:
    """Return which of `count` things, in a row, are this process's: sizes as `numpy.array_split`."""
    small, rest = divmod(count, world.size)
    start = world.rank * small + min(world.rank, rest)
    return slice(start, start + small + (world.rank < rest))
