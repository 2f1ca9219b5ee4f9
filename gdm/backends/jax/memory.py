"""How many samples fit into the memory of a device, as XLA plans it before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax

from gdm.backends import HOST_BATCH
from gdm.backends.memory import fitting

_TRIAL = 32  # samples of the program that is looked at: enough that weights in another layout do not count for much


def batch_for(device: Any, program: Callable[[int], Any], most: int) -> int:
    """Return how many samples, at most `most`, fit into the free memory of a device.

    program(count) is the network for `count` samples, lowered; nothing is compiled for as few as a CPU takes at once.
    """
    stats = device.memory_stats()
    if not stats or most <= HOST_BATCH:
        return min(HOST_BATCH, most)
    plan = program(_TRIAL).compile().memory_analysis()
    if plan is None:
        return min(HOST_BATCH, most)
    each = (plan.temp_size_in_bytes + plan.output_size_in_bytes) / _TRIAL
    return fitting(stats["bytes_limit"] - stats["bytes_in_use"], each, most)


def peak(devices: Iterable[Any]) -> int | None:
    """Return the most bytes that one of the devices has held; None where that is the host."""
    found = [stats["peak_bytes_in_use"] for device in devices if (stats := device.memory_stats())]
    return max(found, default=None)


def is_lacking(error: Exception) -> bool:
    """Tell whether an error of XLA, which has one class for all, says that memory does not suffice."""
    told = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError)
        and (told.startswith("RESOURCE_EXHAUSTED") or "CUDA_ERROR_OUT_OF_MEMORY" in told)
    )
