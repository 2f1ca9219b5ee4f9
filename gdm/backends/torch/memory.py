"""How many samples fit into the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

_TRIAL = 8  # samples of the call that is measured
_SHARE = 0.7  # of the free memory; the rest is for the solver's state, and for what is lost between blocks
_MOST = 1024  # samples at once, which more do not make faster


def batch_for(device: torch.device, call: Callable[[int], object], most: int) -> int:
    """Return how many samples, at most `most`, fit into the free memory of a GPU.

    call(count) runs the network on `count` samples; what it takes at its peak, per sample, is measured once.
    """
    trial = min(_TRIAL, most)
    call(trial)  # loads kernels and takes workspaces, which stay
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    call(trial)
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device) - before
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + cached
    return fitting(free, peak / trial, most)


def fitting(free: float, each: float, most: int) -> int:
    """Return how many samples, a power of two or `most`, fit if each takes so many of the `free` bytes; at least 1.

    >>> fitting(free=1000.0, each=10.0, most=50), fitting(free=1000.0, each=10.0, most=500)
    (50, 64)
    """
    room = min(_MOST, int(_SHARE * free / max(each, 1.0)))
    return min(most, 1 << max(room, 1).bit_length() - 1)
