"""Random numbers in JAX: a key, folded with the number of the call, in a program too."""

from __future__ import annotations

from typing import Any

import jax


class Random:
    """The random numbers of a train step (see `gdm.draws.Random`) from its key.

    Calls are counted where the program is written, so make a new one each time that a function is traced.
    """

    def __init__(self, key: Any, dtype: Any) -> None:
        self._key, self._dtype, self._calls = key, dtype, 0

    def normal(self, *shape: int) -> jax.Array:
        return jax.random.normal(self._next(), shape, self._dtype)

    def uniform(self, *shape: int) -> jax.Array:
        return jax.random.uniform(self._next(), shape, self._dtype)

    def _next(self) -> Any:
        self._calls += 1
        return jax.random.fold_in(self._key, self._calls)
