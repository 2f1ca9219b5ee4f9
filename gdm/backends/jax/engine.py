"""One train step in JAX: loss, gradients, Adam, and the moving average of the weights, as one program.

A step is a pure function of (state, batch, step): all its randomness is drawn from (seed, step), for the whole batch
of all devices and processes, which therefore changes no number but by rounding. Dropout's is, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import optax
from jax import lax
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding

from gdm import state
from gdm.architecture import Architecture
from gdm.augment import bicubic
from gdm.backends import unet
from gdm.backends.jax import mesh as meshes
from gdm.backends.jax import packing
from gdm.backends.jax.convolution import convolve
from gdm.backends.jax.draws import Random
from gdm.backends.jax.dropout import dropper
from gdm.backends.network import Network
from gdm.draws import draw
from gdm.errors import ConfigError
from gdm.groupings import Groupings
from gdm.learning import batch_loss
from gdm.parameters import starts

if TYPE_CHECKING:
    from gdm.backends.jax import Jax
    from gdm.config import TrainingConfig

_READ = ("batch", "augment", "label_dropout", "weighting", "mask_pending", "times", "clip", "accumulate", "shard")


class Training(NamedTuple):
    """What a step changes, vectors of all parameters: the weights, their average, and Adam's moments and count."""

    weights: Any
    average: Any
    moments: Any  # of optax


class Recipe(NamedTuple):
    """What a step's program is made for. Runs of an equal one share it."""

    architecture: Architecture
    groupings: Groupings
    training: TrainingConfig  # the fields in _READ; the others stand at their defaults
    mesh: Mesh
    dtype: Any
    compute: Any  # dtype of the network's products; None is the parameters' own

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter."""
        return {name: start.shape for name, start in starts(self.architecture).items()}

    @property
    def size(self) -> int:
        """How long a vector of all parameters is."""
        return packing.length(self.shapes, self.mesh.size)

    @property
    def place(self) -> NamedSharding:
        """Where such a vector lies: on every device, or in equal pieces."""
        return meshes.rows(self.mesh) if self.training.shard else meshes.copies(self.mesh)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam; the learning rate is an argument of the step."""
        return optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8)


class Trainer:
    """The state of a training run, and the step that changes it.

    Every device of every process computes its share of the batch. It holds all weights, averages and moments or, with
    `shard`, a piece of each, and gathers the weights for a step.
    """

    def __init__(
        self, network: Network, groupings: Groupings, training: TrainingConfig, seed: int, backend: Jax
    ) -> None:
        self.backend, self.world, mesh = backend, backend.world(), backend.mesh
        if training.batch % (mesh.size * training.accumulate):
            expected = f"a multiple of {mesh.size} devices x training.accumulate = {training.accumulate}"
            remedy = f"change one of them, or take one device: {mesh.devices.flat[0].platform}:0"
            raise ConfigError(f"training.batch: expected {expected}, got {training.batch}; {remedy}")
        read = type(training)(**{name: getattr(training, name) for name in _READ})
        self.recipe = Recipe(network.architecture, groupings, read, mesh, backend.dtype, backend.compute)
        self.seed = np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)  # the data of jax.random.key(seed)
        weights = backend.export_parameters(network)
        zeros = {name: np.zeros_like(value) for name, value in weights.items()}
        self._begin(state.State(weights, weights, zeros, zeros, 0))

    def _begin(self, begun: state.State) -> None:
        """Place the vectors of a state."""

        def placed(values: Mapping[str, np.ndarray]) -> jax.Array:
            vector = packing.pack(values, self.recipe.shapes, self.recipe.size).astype(self.recipe.dtype)
            return jax.make_array_from_callback(vector.shape, self.recipe.place, lambda piece: vector[piece])

        mu, nu, count = placed(begun.exp_avg), placed(begun.exp_avg_sq), np.int32(begun.step)
        everywhere = jax.make_array_from_callback((), meshes.copies(self.recipe.mesh), lambda _: count)
        moments = optax.ScaleByAdamState(count=everywhere, mu=mu, nu=nu)
        self.training = Training(placed(begun.network), placed(begun.ema), moments)

    def step(self, images: np.ndarray, labels: np.ndarray | None, step: int, rate: float, decay: float) -> jax.Array:
        """Take step number `step` (from 0) at this learning rate and decay of the average; return the loss, ().

        Where a gradient is not finite, weights and moments stay as they are and the loss is NaN. It is the mean over the
        whole batch. Nothing waits for the device; the arrays of the state before are used up.

        Shapes: this process's images uint8 (batch / processes, *event), labels int64 (batch / processes,) or None
        """
        own = (images, None if labels is None else labels.astype(np.int32))
        given = jax.tree.map(partial(meshes.upload, self.recipe.mesh), own)
        told = np.uint32(step), float(rate), float(1 - decay)  # of one type in every step, or JAX would compile anew
        with self.backend.computing():
            self.training, loss = _STEP(self.recipe, self.training, given, self.seed, *told)
        return loss

    def state(self) -> dict[str, np.ndarray]:
        """Return everything a step changes, by name, in host memory; every process must ask."""
        weights, average, moments = self.training
        parts = (self._named(vector) for vector in (weights, average, moments.mu, moments.nu))
        count = meshes.whole(moments.count).astype(np.float32)  # as torch counts
        return state.flat(state.State(*parts, step=count))

    def load_state(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Go on from `state`, this backend's or another's. Raises: CheckpointError if a name or shape does not fit."""
        self._begin(state.parted(tensors, self.recipe.shapes))

    def ema_network(self) -> Network:
        """Return the network with averaged weights as they are now, to sample from; every process must ask."""
        return self.backend.network(self.recipe.architecture, self._named(self.training.average))

    def _named(self, vector: jax.Array) -> dict[str, np.ndarray]:
        return packing.unpack(meshes.whole(vector), self.recipe.shapes)


def _take_step(
    recipe: Recipe, training: Training, given: Any, seed: Any, step: Any, rate: Any, share: Any
) -> tuple[Training, jax.Array]:
    """Return the state after a step, and its loss.

    share: of the new weights in the average, which is not 1 - decay here: float32 would leave three digits of it
    """
    key = jax.random.fold_in(jax.random.wrap_key_data(seed, impl="threefry2x32"), step)
    drawing, dropping = jax.random.split(key)
    drawn = draw(Random(drawing, recipe.dtype), recipe.training.batch, recipe.groupings, recipe.training)
    drawn = lax.with_sharding_constraint(drawn, meshes.rows(recipe.mesh))
    whole = lax.with_sharding_constraint(training.weights, meshes.copies(recipe.mesh))
    loss, gradients = _accumulated(recipe, packing.unpack(whole, recipe.shapes), (*given, drawn), dropping)
    gradient = lax.with_sharding_constraint(packing.pack(gradients, recipe.shapes, recipe.size), recipe.place)
    norm = jnp.linalg.norm(gradient)
    if recipe.training.clip:
        gradient = gradient * jnp.minimum(1.0, recipe.training.clip / (norm + 1e-6))  # as torch clips
    update, moments = recipe.optimizer.update(gradient, training.moments)
    finite, before = jnp.isfinite(norm), (training.weights, training.moments)
    after = (training.weights - rate * update, moments)
    weights, moments = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, before)
    average = training.average + share * (weights - training.average)
    return Training(weights, average, moments), jnp.where(finite, loss, jnp.nan)


_STEP = jax.jit(_take_step, static_argnums=0, donate_argnums=1)


def _accumulated(recipe: Recipe, parameters: Any, batch: Any, key: jax.Array) -> tuple[jax.Array, Any]:
    """Return the mean loss of a batch and its gradients, computed in parts, one after the other."""
    parts, size = recipe.training.accumulate, recipe.training.batch // recipe.training.accumulate
    compute = jax.value_and_grad(partial(_loss, recipe))
    if parts == 1:
        return compute(parameters, batch, key)

    def add(total: Any, number: jax.Array) -> tuple[Any, None]:
        part = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, number * size, size), batch)
        part = lax.with_sharding_constraint(part, meshes.rows(recipe.mesh))
        found = compute(parameters, part, jax.random.fold_in(key, number))
        return jax.tree.map(lambda sum_, new: sum_ + new / parts, total, found), None

    zeros = jax.tree.map(jnp.zeros_like, (jnp.zeros((), recipe.dtype), parameters))
    return lax.scan(add, zeros, jnp.arange(parts))[0]


def _loss(recipe: Recipe, parameters: Any, batch: Any, key: jax.Array) -> jax.Array:
    """Return the loss of images, labels and draws."""
    images, labels, drawn = batch

    def network(x_t: Any, alpha: Any, weights: Any, warps: Any) -> Any:
        drop = dropper(key, recipe.architecture.dropout)
        given = (x_t, alpha, weights, warps)
        return unet.forward(convolve, recipe.architecture, parameters, *given, drop=drop, compute=recipe.compute)

    return batch_loss(
        network,
        images,
        labels,
        drawn,
        groupings=recipe.groupings,
        training=recipe.training,
        classes=recipe.architecture.classes,
        dtype=recipe.dtype,
        sample=bicubic,
    )
