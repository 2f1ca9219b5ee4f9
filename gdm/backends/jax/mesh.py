"""Arrays over several devices: a row of them, "data", along which batches, and if asked parameters, are split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"


def over(devices: Iterable[Any]) -> Mesh:
    """Return the mesh of these devices in a row, those of a process next to each other, in order of the processes."""
    ordered = sorted(devices, key=lambda device: device.process_index)
    return Mesh(np.array(ordered), (AXIS,))


def copies(mesh: Mesh) -> NamedSharding:
    """Return the placement of an array that every device has."""
    return NamedSharding(mesh, PartitionSpec())


def rows(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Return the placement of an array that is split along an axis, whose length the number of devices divides."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * axis, AXIS))


def upload(mesh: Mesh, own: np.ndarray) -> jax.Array:
    """Return a batch over the mesh of which `own` are this process's rows, without waiting for them to get there.

    The number of this process's devices divides that of its rows, which is the same for all processes. On a CPU the
    batch may be the very memory of `own`, which is not to be written to any more.

    Shapes: (batch / processes, ...) -> (batch, ...)
    """
    return jax.make_array_from_process_local_data(rows(mesh), own)


def whole(array: Any) -> np.ndarray:
    """Return all of an array, in host memory. If it is spread over processes, all of them must ask.

    Shapes: the array's; on a CPU it may be the array's own memory, which is not to be written to.
    """
    if not isinstance(array, jax.Array) or array.is_fully_addressable:
        return np.asarray(array)
    if array.is_fully_replicated:
        return np.asarray(array.addressable_data(0))
    return multihost_utils.process_allgather(array, tiled=True)
