"""A task for a batch as one program: on one device, or with the rows of the batch over several."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import jax
from jax.sharding import Mesh, PartitionSpec
from jax.tree_util import Partial, tree_leaves

from gdm.backends.jax.mesh import AXIS, copies, rows
from gdm.backends.network import Network


def argument(network: Any) -> Any:
    """Return a network as an argument of programs: a pytree of arrays as it is, any other is a part of the program."""
    is_tree = all(isinstance(leaf, jax.Array) for leaf in tree_leaves(network))
    return network if is_tree else Partial(network.__call__)


def perform(task: Callable[..., Any], network: Any, *arrays: Any) -> Any:
    """Return task(network, *arrays), when it is there: an error, of memory say, is raised here."""
    return jax.block_until_ready(_ONE(task, argument(network), *arrays))


_ONE = jax.jit(lambda task, network, *arrays: task(network, *arrays), static_argnums=0)


class Spread:
    """Performs a task with its rows over the devices of a mesh, each for its own: they have nothing to tell each other.

    What comes out lies on the first device, as what goes in.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._copies: WeakKeyDictionary[Network, tuple[list[Any], Any]] = WeakKeyDictionary()

    def perform(self, task: Any, network: Any, told: Any, *events: Any) -> Any:
        """Return task(network, told, *events), as a `gdm.task.Task`, when it is there.

        Shapes: told None, (n, ...), or (2 n, ...), twice the rows one after the other; events (n, ...), where the
            number of devices divides n
        """
        n, first = len(events[0]), self.mesh.devices.flat[0]
        twice = False
        if told is not None and len(told) == 2 * n:
            told, twice = told.reshape(2, n, *told.shape[1:]), True
        told = jax.device_put(told, rows(self.mesh, axis=int(twice)))
        given = jax.device_put(events, rows(self.mesh))
        solved = _MANY(task, self.mesh, twice, self._everywhere(network), told, *given)
        return jax.block_until_ready(jax.device_put(solved, first))

    def _everywhere(self, network: Any) -> Any:
        """Return a network whose arrays every device has: the same copies, as long as it has the same arrays."""
        if not isinstance(network, Network):
            return jax.device_put(argument(network), copies(self.mesh))
        leaves, (known, placed) = tree_leaves(network), self._copies.get(network, ([], None))
        if [*map(id, known)] != [*map(id, leaves)]:
            placed = jax.device_put(network, copies(self.mesh))
            self._copies[network] = leaves, placed
        return placed


@partial(jax.jit, static_argnums=(0, 1, 2))
def _MANY(task: Any, mesh: Mesh, twice: bool, network: Any, told: Any, *events: Any) -> Any:
    def own(network: Any, told: Any, *events: Any) -> Any:
        return task(network, told.reshape(-1, *told.shape[2:]) if twice else told, *events)

    split, all_of_it = PartitionSpec(AXIS), PartitionSpec()
    halves = PartitionSpec(None, AXIS) if twice else split
    solved = PartitionSpec(None, AXIS) if task.trajectory else split
    placed = (all_of_it, halves, *(split,) * len(events))
    return jax.shard_map(own, mesh=mesh, in_specs=placed, out_specs=solved, check_vma=False)(network, told, *events)
