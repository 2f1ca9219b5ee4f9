"""How many samples fit into the memory of an accelerator."""

from __future__ import annotations

SHARE = 0.7  # of the free memory; the rest is for the solver's state, and for what is lost between blocks
MOST = 1024  # samples at once, which more do not make faster


def fitting(free: float, each: float, most: int) -> int:
    """Return how many samples, a power of two or `most`, fit if each takes so many of the `free` bytes; at least 1.

    >>> fitting(free=1000.0, each=10.0, most=50), fitting(free=1000.0, each=10.0, most=500)
    (50, 64)
    """
    room = min(MOST, int(SHARE * free / max(each, 1.0)))
    return min(most, 1 << max(room, 1).bit_length() - 1)
