"""A trained network with its schedule, ready to use: it generates, encodes, decodes and completes images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from gdm import backends, flow, likelihood, sampling
from gdm.arrays import namespace
from gdm.config import Config
from gdm.errors import PartitionError, UnsupportedError, ValueRangeError
from gdm.partition import Partition
from gdm.progress import sampling_bar
from gdm.sampling import Labels
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps, get, plan
from gdm.task import Kind, Task, hashable

Watch = Callable[[int], None]  # told before each network call how many images it is for


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its schedule: generates, encodes, decodes and completes images, batch by batch.

    network: (x_t, alpha, labels=None) -> u, with averaged weights; spec: the run's config;
    classes: the name of each class, empty for a model without; step: how long it was trained;
    groups: those that the network is told alpha of (None: the schedule's); program: the network compiled

    Arrays are the backend's, (n, *event) in [-1, 1]; NumPy arrays are accepted too. All methods take

    schedule: other intervals or another order, of the network's groups or unions of them; None is the run's.
    labels: class numbers or names, one for all images or one each.
    guidance: u_none + guidance (u_class - u_none) in place of u_class, for a model with classes that was trained
        with label_dropout. 1 is no guidance, 0 is no class; others cost twice as much.
    batch: images at once; None is as many as fit into the memory of GPUs, 64 on a CPU. Images do not depend on it,
        to rounding.

    On JAX, a call is one compiled program, kept for calls that differ in seed, images or labels alone, and a batch is
    spread over all devices of this process, unless the backend was made for one ("gpu:0").
    """

    network: Any
    schedule: Schedule
    spec: Config
    backend: backends.Backend
    classes: tuple[str, ...] = ()
    step: int = 0
    groups: Partition | None = None
    program: Any = None

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"Model({self.schedule!r}, {self.backend.name} ({self.backend.device}), step {self.step}{classes})"

    def generate(
        self,
        n: int,
        *,
        seed: int = 0,
        first: int = 0,
        steps: Steps = 128,
        solver: str | Solver = "euler",
        batch: int | None = None,
        labels: Labels = None,
        guidance: float = 1.0,
        schedule: Schedule | None = None,
        progress: bool = False,
        trajectory: bool = False,
    ) -> Any:
        """Generate images `first`, ..., `first + n - 1` of a seed, from noise, group by group.

        An image follows from (seed, its index) alone, whatever n and batch, to rounding. Without labels, a
        model with classes takes them in turn.

        steps, solver, trajectory: as `gdm.generate`; progress: show a bar

        Shapes: -> (n, *event), or (groups + 1, n, *event) with trajectory
        Raises: ValueRangeError, BudgetError, PartitionError (a schedule that the network cannot serve),
            UnsupportedError (guidance that it has not learnt)

        Example: `gdm.load("runs/digits").generate(16, steps=32, solver="ab2")`
        """
        numbers = range(first, first + n)
        task = self._task("generate", steps, solver, schedule, guidance, trajectory=trajectory)
        with sampling_bar(n, self.calls(steps, solver, schedule) if progress else 0) as watch:
            parts = self._drawn(task, seed, numbers, batch, labels, watch)
            return _joined(parts, axis=int(trajectory))

    def stream(
        self,
        numbers: Sequence[int],
        *,
        seed: int = 0,
        steps: Steps = 128,
        solver: str | Solver = "euler",
        batch: int | None = None,
        labels: Labels = None,
        guidance: float = 1.0,
        schedule: Schedule | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Any]:
        """Generate the images of a seed that have these numbers, batch by batch: for more than fit into memory.

        watch: is called before each network call, with how many images it is for; the rest is as in `generate`

        Shapes: yields (b, *event), in the order of `numbers`
        """
        task = self._task("generate", steps, solver, schedule, guidance)
        return self._drawn(task, seed, numbers, batch, labels, watch)

    def encode(
        self,
        images: Any,
        *,
        steps: Steps = 128,
        solver: str | Solver = "heun",
        batch: int | None = None,
        labels: Labels = None,
        guidance: float = 1.0,
        schedule: Schedule | None = None,
    ) -> Any:
        """Return the latents that generate `images`; arguments as `generate`.

        Shapes: (n, *event) in [-1, 1] -> (n, *event)
        Raises: ShapeError, DTypeError (bytes: scale them first), ValueRangeError, BudgetError, PartitionError
        """
        x, task = self.backend.asarray(images), self._task("encode", steps, solver, schedule, guidance)
        return _joined(self._in_batches(task, x.shape[0], batch, labels, lambda rows: (x[rows],)))

    def decode(
        self,
        latents: Any,
        *,
        steps: Steps = 128,
        solver: str | Solver = "heun",
        batch: int | None = None,
        labels: Labels = None,
        guidance: float = 1.0,
        schedule: Schedule | None = None,
    ) -> Any:
        """Return the images that `latents` generate: the inverse of `encode`, whose arguments it takes."""
        z, task = self.backend.asarray(latents), self._task("generate", steps, solver, schedule, guidance)
        return _joined(self._in_batches(task, z.shape[0], batch, labels, lambda rows: (z[rows],)))

    def complete(
        self,
        images: Any,
        known: Collection[int],
        *,
        seed: int = 0,
        steps: Steps = 128,
        solver: str | Solver = "euler",
        batch: int | None = None,
        labels: Labels = None,
        guidance: float = 1.0,
        schedule: Schedule | None = None,
    ) -> Any:
        """Keep the groups `known` of `images` and generate the others, from latents drawn as in `generate`.

        Trustworthy if the known groups come first in the order of generation: in a schedule that was trained.

        Shapes: (n, *event) in [-1, 1] -> (n, *event)
        Raises: as `encode`; ValueRangeError for a group that is not there
        """
        x = self.backend.asarray(images)
        task = self._task("complete", steps, solver, schedule, guidance, known=tuple(known))

        def events(rows: np.ndarray) -> tuple[Any, ...]:
            return x[rows], self._latents(seed, rows.tolist())

        return _joined(self._in_batches(task, x.shape[0], batch, labels, events))

    def log_likelihood(
        self,
        images: Any,
        *,
        steps: Steps = 128,
        solver: str | Solver = "heun",
        probes: int | None = None,
        seed: int = 0,
        first: int = 0,
        batch: int | None = None,
        labels: Labels = None,
        guidance: float = 1.0,
        schedule: Schedule | None = None,
    ) -> Any:
        """Return log p(x_j | earlier groups) of each image and group, in nats, as `gdm.log_likelihood`.

        probes: how many random signs estimate the trace; None is exact. Image i has those of (seed, first + i).

        Shapes: (n, *event) in [-1, 1] -> (n, k)
        Raises: as `encode`; BudgetError for a group too large for the exact trace; UnsupportedError without derivatives
        """
        self.check_differentiable()
        x, task = self.backend.asarray(images), self._task("likelihood", steps, solver, schedule, guidance)

        def events(rows: np.ndarray) -> tuple[Any, ...]:
            drawn = likelihood.draw_probes(seed, (rows + first).tolist(), probes or 1, self.schedule.shape)
            return (x[rows], self.backend.asarray(drawn))[: 2 if probes else 1]

        return _joined(self._in_batches(task, x.shape[0], batch, labels, events))

    def check_differentiable(self) -> None:
        """Refuse a backend without derivatives. Raises: UnsupportedError"""
        if self.backend.name == "numpy":
            remedy = 'load the run with backend="torch" (--backend torch)'
            raise UnsupportedError(
                f"likelihood: expected a backend with derivatives, torch or jax, got numpy; {remedy}"
            )

    def shares(self, steps: Steps, schedule: Schedule | None = None) -> tuple[int, ...]:
        """Return how a budget of steps is shared among the groups, in order of generation."""
        return tuple(segment.steps for segment in plan(schedule or self.schedule, steps))

    def calls(self, steps: Steps, solver: str | Solver, schedule: Schedule | None = None) -> int:
        """Return how often the network is called for a batch."""
        return get(solver).calls * sum(self.shares(steps, schedule))

    def compiled(self) -> Model:
        """Return the same model with its network compiled; the last batch is filled up, so that this is done once."""
        return replace(self, program=self.backend.compile(self.network))

    def batch_for(self, n: int, guidance: float = 1.0) -> int:
        """Return how many of n images to generate at once, by the memory that a small call of the network takes."""
        known, rows = self.groups or self.schedule.partition, sampling.widening(guidance)

        def given(count: int) -> tuple[Any, ...]:
            shapes = [(count * rows, *known.shape), (count * rows, known.k), (count * rows, len(self.classes))]
            return tuple(self.backend.asarray(np.zeros(s, np.float32)) for s in shapes[: 2 + bool(self.classes)])

        return self.backend.batch_for(self.network, given, n)

    def parents(self, schedule: Schedule) -> np.ndarray | None:
        """Return the group of `schedule` for each group that the network is told alpha of; None if they are the same.

        Raises: PartitionError, ValueRangeError for a schedule that the network cannot serve
        """
        if (schedule.basis, schedule.path) != (self.schedule.basis, self.schedule.path):
            expected = f"{self.schedule.basis} and the {self.schedule.path.name} path of the run"
            got = f"{schedule.basis} and {schedule.path.name}"
            raise ValueRangeError(f"schedule: expected {expected}, got {got}; see Schedule.with_intervals")
        known = self.groups or self.schedule.partition
        if schedule.partition == known:
            return None
        try:
            return schedule.partition.parents(known)
        except PartitionError as error:
            remedy = "choose unions of these, or train with this schedule among the groupings"
            expected = f"groups of which the network's {known.k} are a refinement"
            raise PartitionError(f"schedule: expected {expected}, got {schedule.partition}; {remedy}") from error

    def _task(
        self,
        kind: Kind,
        steps: Steps,
        solver: str | Solver,
        schedule: Schedule | None,
        guidance: float,
        *,
        trajectory: bool = False,
        known: tuple[int, ...] = (),
    ) -> Task:
        """Return what is to be done; the network must see what it saw in training."""
        chosen, mask = schedule or self.schedule, self.spec.training.mask_pending
        found = self.parents(chosen)
        parents = None if found is None else tuple(found.tolist())
        return Task(kind, chosen, hashable(steps), solver, mask, trajectory, known, parents, guidance)

    def _latents(self, seed: int, numbers: Sequence[int]) -> Any:
        return self.backend.asarray(flow.draw_latents(seed, numbers, self.schedule.shape))

    def _drawn(
        self, task: Task, seed: int, numbers: Sequence[int], batch: int | None, labels: Labels, watch: Watch | None
    ) -> Iterator[Any]:
        """Generate the images of a seed that have these numbers, from the latents that go with them."""

        def events(rows: np.ndarray) -> tuple[Any, ...]:
            return (self._latents(seed, [numbers[row] for row in rows]),)

        chosen = sampling.in_turn(numbers, self.classes) if labels is None and self.classes else labels
        return self._in_batches(task, len(numbers), batch, chosen, events, watch)

    def _in_batches(
        self,
        task: Task,
        n: int,
        batch: int | None,
        labels: Labels,
        events: Callable[[np.ndarray], tuple[Any, ...]],
        watch: Watch | None = None,
    ) -> Iterator[Any]:
        """Check the arguments, then yield what comes of the task batch by batch; events(rows): what it begins from."""
        sampling.check_count(n, batch)
        classes = sampling.class_numbers(labels, self.classes, n)
        sampling.check_guidance(task.guidance, self.classes, self.spec.training.label_dropout)
        size, one_size = batch or self.batch_for(n, task.guidance), self.program is not None or self.backend.traces
        parts = self.backend.parts

        def part(rows: np.ndarray, size: int) -> Any:
            """Solve for these rows; what is compiled gets batches of one size for all devices; the excess is dropped."""
            whole = sampling.filled(rows, -(-size // parts) * parts) if one_size else rows
            told = None if classes is None else sampling.told(classes[whole], len(self.classes), task.guidance)
            given = (None if told is None else self.backend.asarray(told), *events(whole))
            solved = self._performed(task, given, None if watch is None else partial(watch, len(rows)))
            return solved[:, : len(rows), ...] if task.trajectory else solved[: len(rows), ...]

        return sampling.in_batches(n, min(size, n) if self.program is None else size, part, self.backend)

    def _performed(self, task: Task, given: tuple[Any, ...], before: Callable[[], None] | None) -> Any:
        """Let the network perform the task; `before` is called before each of its calls, or at once for a program."""
        own = self.network if self.program is None else self.program
        if self.backend.traces:
            task.check(*given[1:])
            for _ in range(self.calls(task.steps, task.solver, task.schedule) if before is not None else 0):
                before()  # type: ignore[misc]
            with self.backend.computing():
                return self.backend.whole(task)(own, *given)

        def network(*arguments: Any) -> Any:
            if before is not None:
                before()
            with self.backend.computing():
                return own(*arguments)

        return task(network, *given)


def _joined(parts: Iterator[Any], axis: int = 0) -> Any:
    found = [*parts]
    return found[0] if len(found) == 1 else namespace(found[0]).concat(found, axis=axis)
