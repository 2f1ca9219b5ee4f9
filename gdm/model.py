"""A trained run, ready to use: its network, and everything that sampling with it needs to know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gdm import backends, checkpoint, flow
from gdm.arrays import namespace
from gdm.config import Config, build_schedule, from_dict
from gdm.errors import CheckpointError, ValueRangeError, nearest
from gdm.progress import sampling_bar
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps, get, plan

Labels = int | str | Sequence[int | str] | np.ndarray | None
Solve = Callable[[Any, slice], Any]  # (network, which images) -> their results


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its schedule: generates, encodes, decodes and completes images, batch by batch.

    network: (x_t, alpha, labels=None) -> u, with averaged weights; spec: the run's config;
    classes: the name of each class, empty for a model without; step: how long it was trained

    Arrays are the backend's, (n, *event) in [-1, 1]; NumPy arrays are accepted too. `labels` are class
    numbers or names, one for all images or one each.
    """

    network: Any
    schedule: Schedule
    spec: Config
    backend: backends.Backend
    classes: tuple[str, ...] = ()
    step: int = 0

    def generate(
        self,
        n: int,
        *,
        seed: int = 0,
        first: int = 0,
        steps: Steps = 128,
        solver: str | Solver = "euler",
        batch: int = 64,
        labels: Labels = None,
        schedule: Schedule | None = None,
        progress: bool = False,
        trajectory: bool = False,
    ) -> Any:
        """Generate images `first`, ..., `first + n - 1` of a seed, from noise, group by group.

        An image follows from (seed, its index) alone, whatever n and batch, to rounding. Without labels, a
        model with classes takes them in turn.

        schedule: other intervals or another order, of the same groups or unions of them; None is the run's.
        steps, solver, trajectory: as `gdm.generate`; progress: show a bar

        Shapes: -> (n, *event), or (groups + 1, n, *event) with trajectory
        Raises: ValueRangeError, BudgetError, PartitionError (a schedule that the network cannot serve)

        Example: `gdm.load("runs/digits").generate(16, steps=32, solver="ab2")`
        """
        chosen = schedule or self.schedule
        if labels is None and self.classes:
            labels = np.arange(first, first + n) % len(self.classes)
        generate = partial(self._solver(flow.generate, steps, solver, chosen), trajectory=trajectory)
        calls = get(solver).calls * sum(self.shares(steps, chosen)) if progress else 0

        def solve(network: Any, rows: slice) -> Any:
            return generate(network, self._latents(seed, rows, first))

        return self._in_batches(n, batch, labels, solve, schedule=chosen, axis=int(trajectory), calls=calls)

    def encode(
        self,
        images: Any,
        *,
        steps: Steps = 128,
        solver: str | Solver = "heun",
        batch: int = 64,
        labels: Labels = None,
    ) -> Any:
        """Return the latents that generate `images`; arguments as `generate`.

        Shapes: (n, *event) in [-1, 1] -> (n, *event)
        Raises: ShapeError, DTypeError (bytes: scale them first), ValueRangeError, BudgetError
        """
        x, encode = self.backend.asarray(images), self._solver(flow.encode, steps, solver)
        return self._in_batches(x.shape[0], batch, labels, lambda network, rows: encode(network, x[rows]))

    def decode(
        self,
        latents: Any,
        *,
        steps: Steps = 128,
        solver: str | Solver = "heun",
        batch: int = 64,
        labels: Labels = None,
    ) -> Any:
        """Return the images that `latents` generate: the inverse of `encode`, whose arguments it takes."""
        z, decode = self.backend.asarray(latents), self._solver(flow.generate, steps, solver)
        return self._in_batches(z.shape[0], batch, labels, lambda network, rows: decode(network, z[rows]))

    def complete(
        self,
        images: Any,
        known: Collection[int],
        *,
        seed: int = 0,
        steps: Steps = 128,
        solver: str | Solver = "euler",
        batch: int = 64,
        labels: Labels = None,
    ) -> Any:
        """Keep the groups `known` of `images` and generate the others, from latents drawn as in `generate`.

        Trustworthy if the known groups come first in the run's order of generation.

        Shapes: (n, *event) in [-1, 1] -> (n, *event)
        Raises: as `encode`; ValueRangeError for a group that is not there
        """
        x, complete = self.backend.asarray(images), self._solver(flow.complete, steps, solver)

        def solve(network: Any, rows: slice) -> Any:
            return complete(network, x[rows], known, self._latents(seed, rows))

        return self._in_batches(x.shape[0], batch, labels, solve)

    def shares(self, steps: Steps, schedule: Schedule | None = None) -> tuple[int, ...]:
        """Return how a budget of steps is shared among the groups, in order of generation."""
        return tuple(segment.steps for segment in plan(schedule or self.schedule, steps))

    def _solver(
        self, solve: Callable[..., Any], steps: Steps, solver: str | Solver, schedule: Schedule | None = None
    ) -> Callable[..., Any]:
        """Bind what every solve of this model shares; the network must see what it saw in training."""
        options: dict[str, Any] = {"schedule": schedule or self.schedule, "steps": steps, "solver": solver}
        return partial(solve, **options, mask_pending=self.spec.training.mask_pending)

    def _latents(self, seed: int, rows: slice, first: int = 0) -> Any:
        indices = range(first + rows.start, first + rows.stop)
        return self.backend.asarray(flow.draw_latents(seed, indices, self.schedule.shape))

    def _in_batches(
        self,
        n: int,
        batch: int,
        labels: Labels,
        solve: Solve,
        *,
        schedule: Schedule | None = None,
        axis: int = 0,
        calls: int = 0,
    ) -> Any:
        """Solve for slices of `batch` images and concatenate along `axis`.

        calls: network calls per slice, for a progress bar; 0 shows none
        """
        if n < 1 or batch < 1:
            raise ValueRangeError(f"expected at least 1 image and batch >= 1, got {n} and batch={batch}")
        told = _class_numbers(labels, self.classes, n)
        slices = [slice(start, min(start + batch, n)) for start in range(0, n, batch)]
        parts = []
        with self.backend.inference(), sampling_bar(n, calls * len(slices)) as advance:
            for rows in slices:
                own = None if told is None else self.backend.asarray(told[rows])
                parts.append(solve(self._bound(own, schedule or self.schedule, advance), rows))
        return parts[0] if len(parts) == 1 else namespace(parts[0]).concat(parts, axis=axis)

    def _bound(self, labels: Any, schedule: Schedule, advance: Callable[[], None]) -> Any:
        """Return the network as (x_t, alpha) -> u, where alpha is that of `schedule`."""
        if (schedule.basis, schedule.path) != (self.schedule.basis, self.schedule.path):
            expected = f"{self.schedule.basis} and the {self.schedule.path.name} path of the run"
            got = f"{schedule.basis} and {schedule.path.name}"
            raise ValueRangeError(f"schedule: expected {expected}, got {got}; see Schedule.with_intervals")
        parents = None  # the group of `schedule` for each group that the network knows
        if schedule.partition != self.schedule.partition:
            parents = self.backend.asarray(schedule.partition.parents(self.schedule.partition))

        def network(x_t: Any, alpha: Any) -> Any:
            advance()
            if parents is not None:
                alpha = namespace(alpha).take(alpha, parents, axis=1)
            return self.network(x_t, alpha) if labels is None else self.network(x_t, alpha, labels)

        return network


def load(run: str | Path, backend: str | None = None, device: str | None = None) -> Model:
    """Load the latest intact checkpoint of a run, as `gdm train` writes it.

    backend: None is the one that trained it; device: None takes the best there is here.

    Raises: CheckpointError for a folder that is no run, has no checkpoint, or does not fit its own config;
        BackendError, UnsupportedError for a backend that is not installed or has no networks

    Example: `images = gdm.load("runs/digits").generate(64, seed=1)`
    """
    run = Path(run).expanduser()
    described = checkpoint.read_run(run)
    if missing := sorted({"config", "event", "classes"} - described.keys()):
        raise CheckpointError(f"{run / 'run.json'}: expected the keys {missing}, got none; restore it")
    spec = from_dict(described["config"])
    schedule = build_schedule(spec.schedule, tuple(described["event"]))
    classes = tuple(described["classes"])
    maker = backends.get(backend or spec.backend, device, spec.precision)
    network = maker.build(spec.network, schedule, classes=len(classes), seed=spec.seed)
    saved = checkpoint.latest(run)
    _check_schedule(run, schedule, saved.tensors)
    averages = {key[4:]: value for key, value in saved.tensors.items() if key.startswith("ema.")}
    maker.import_parameters(network, averages)
    return Model(network, schedule, spec, maker, classes, saved.step)


def schedule_tensors(schedule: Schedule) -> dict[str, np.ndarray]:
    """Return what a schedule is, for the checkpoint: group labels, intervals, and the frequency order of its basis."""
    trailing = schedule.basis.order.reshape(-1, *schedule.shape[-2:])[0]
    return {
        "schedule.labels": schedule.partition.compact,
        "schedule.intervals": schedule.intervals,
        "schedule.order": trailing,
    }


def _check_schedule(run: Path, schedule: Schedule, tensors: dict[str, np.ndarray]) -> None:
    """Refuse weights whose groups are not those of the schedule: the images would be wrong, not absent."""
    for name, ours in schedule_tensors(schedule).items():
        theirs = tensors.get(name)
        if theirs is None or theirs.shape != ours.shape or not np.array_equal(theirs, ours):
            remedy = "restore its run.json, or load it with the gdm that trained it"
            raise CheckpointError(f"{run}: {name} differs between checkpoint and config; {remedy}")


def _class_numbers(labels: Labels, classes: tuple[str, ...], n: int) -> np.ndarray | None:
    """Return a class number per image, (n,), or None for a model without classes."""
    if not classes and labels is None:
        return None
    if not classes or labels is None:
        remedy = "name one class, or one per image" if classes else "train with data.labels=true"
        raise ValueRangeError(f"labels: expected {classes or 'none'}, got {labels!r}; {remedy}")
    given = [labels] if isinstance(labels, str | int | np.integer) else list(labels)
    known = {name: number for number, name in enumerate(classes)}
    numbers = [known.get(label, label) if isinstance(label, str) else label for label in given]
    for number in numbers:
        if isinstance(number, str) or not 0 <= number < len(classes):
            expected, hint = f"0 to {len(classes) - 1}, or one of {classes}", nearest(str(number), classes)
            raise ValueRangeError(f"labels: expected {expected}, got {number!r}{hint}")
    if len(numbers) not in (1, n):
        raise ValueRangeError(f"labels: expected 1 or {n}, one per image, got {len(numbers)}")
    return np.broadcast_to(np.array(numbers), (n,))
