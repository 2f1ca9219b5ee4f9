"""Dropout in JAX: fresh masks in every layer and step, from one key a step."""

from __future__ import annotations

from itertools import count

import jax
import numpy as np

from gdm.backends.unet import Drop


def dropper(key: jax.Array, rate: float) -> Drop | None:
    """Return what drops each number with probability `rate` and divides the others by 1 - rate; None for a rate of 0.

    Every call draws a mask of its own, call number n from (key, n). Make a new one whenever the network is called or
    traced: a program then has the same masks as the network itself.
    """
    if rate == 0:
        return None
    calls = count()
    keep = np.float32(1 - rate)  # of a float, JAX would draw in float64 where that is on: other masks, and slower

    def drop(x: jax.Array) -> jax.Array:
        kept = jax.random.bernoulli(jax.random.fold_in(key, next(calls)), keep, x.shape)
        return jax.numpy.where(kept, x / (1 - rate), 0)

    return drop
