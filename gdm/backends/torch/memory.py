"""How many samples fit into the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gdm.backends.memory import fitting

_TRIAL = 8  # samples of the call that is measured


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
