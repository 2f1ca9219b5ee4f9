"""What a network is to do with a batch of images: all of it but the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from gdm import flow, likelihood, sampling
from gdm.arrays import frozen, index, namespace
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps

Kind = Literal["generate", "encode", "complete", "likelihood"]


@dataclass(frozen=True)
class Task:
    """A flow with its settings. Hashable: a backend that compiles keeps one program for all tasks that are equal.

    parents: the group of `schedule` for each group that the network is told alpha of; None if they are the same.
    The rest is as for the functions of `gdm.flow` and for `sampling.guided`.
    """

    flow: Kind
    schedule: Schedule
    steps: int | tuple[int, ...]
    solver: str | Solver
    mask_pending: bool
    trajectory: bool = False
    known: tuple[int, ...] = ()
    parents: tuple[int, ...] | None = None
    guidance: float = 1.0

    def __call__(self, network: Any, told: Any, *events: Any) -> Any:
        """Solve for a batch with a network (x_t, alpha, labels) -> u.

        told: of `sampling.told`, or None. events: the latents, the images or, to complete, the images and the latents;
            for the likelihood the images and, unless the trace is to be exact, probes of each, (batch, n, *event)

        Shapes: (batch, *event) each -> (batch, *event), or (groups + 1, batch, *event) with trajectory; for the
            likelihood (batch, k)
        """

        def direction(x_t: Any, alpha: Any) -> Any:
            if self.parents is not None:
                alpha = namespace(alpha).take(alpha, index(self._parents, alpha), axis=1)
            return network(x_t, alpha) if told is None else sampling.guided(network, x_t, alpha, told, self.guidance)

        chosen = {"steps": self.steps, "solver": self.solver, "mask_pending": self.mask_pending}
        if self.flow == "complete":
            x, z = events
            return flow.complete(direction, x, self.known, z, self.schedule, **chosen)
        if self.flow == "likelihood":
            x, *probes = events
            swapped = namespace(x, *probes).moveaxis(probes[0], 1, 0) if probes else None
            return likelihood.log_likelihood(direction, x, self.schedule, probes=swapped, **chosen)
        solve = flow.generate if self.flow == "generate" else flow.encode
        return solve(direction, events[0], self.schedule, trajectory=self.trajectory, **chosen)

    @cached_property
    def _parents(self) -> np.ndarray:
        """The same memory at every call, so that `index` places it on a device once."""
        return frozen(np.array(self.parents))

    def check(self, *events: Any) -> None:
        """Raise what `__call__` would for these numbers, which it cannot look at while it is compiled."""
        if self.flow == "complete":
            x, z = events
            flow.completion(x, z, self.known, self.schedule)
        else:
            flow.start(events[0], "z" if self.flow == "generate" else "x", self.schedule)


def hashable(steps: Steps) -> Any:
    """Return a step budget as a task holds it; what is no budget passes, for the flow to refuse."""
    return tuple(steps) if isinstance(steps, list | tuple | np.ndarray) else steps
