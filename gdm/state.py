"""What a train step changes, by the names of a checkpoint: the same on every backend, so that any goes on with it.

Weights, their averages, and Adam's two moments, each by the parameter's name, and how many steps Adam has taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gdm import parameters
from gdm.errors import CheckpointError

STEP = "optimizer.step"


class State(NamedTuple):
    """The tensors of a run by parameter, host arrays or a backend's own, and the steps that Adam has taken, ()."""

    network: Mapping[str, Any]
    ema: Mapping[str, Any]
    exp_avg: Mapping[str, Any]
    exp_avg_sq: Mapping[str, Any]
    step: Any


_PREFIXES = {
    "network": "network.",
    "ema": "ema.",
    "exp_avg": "optimizer.exp_avg.",
    "exp_avg_sq": "optimizer.exp_avg_sq.",
}


def flat(state: State) -> dict[str, Any]:
    """Return the tensors of a run by their names in a checkpoint."""
    named = {
        f"{prefix}{name}": value for part, prefix in _PREFIXES.items() for name, value in getattr(state, part).items()
    }
    return {**named, STEP: state.step}


def parted(tensors: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> State:
    """Find the tensors of a run in a checkpoint, whose network has parameters of these shapes.

    Raises: CheckpointError, naming the first, if a tensor is missing, unknown, or of another shape
    """
    parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in _PREFIXES}
    for part, prefix in _PREFIXES.items():
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        parameters.check(shapes, own, prefix)
        parts[part] = own
    if STEP not in tensors or tensors[STEP].shape != ():
        raise CheckpointError(f"checkpoint: expected a number {STEP!r}, got none; was it written by gdm?")
    return State(**parts, step=tensors[STEP])
