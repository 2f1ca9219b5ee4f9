"""Each public function of the core under jax.jit, jax.vmap and jax.grad: the numbers of NumPy, the batch, the slope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdm
from property_tests.problems import random_mixture, random_network
from property_tests.support import agree, arrays

jax.config.update("jax_enable_x64", True)

LABELS = np.array([[[0, 1, 1], [1, 0, 0]]])
SCHEDULE = gdm.Schedule.from_labels(LABELS, intervals=[(0.5, 1.0), (0.0, 0.4)], basis="cosine", path="trigonometric")
NETWORK = random_network(1, SCHEDULE)
ORACLE = random_mixture(3, SCHEDULE.shape)[0]
SIZE = (3, *SCHEDULE.shape)

# Functions of a batch of events (n, *event) and times (n,): n numbers or events. The schedule is closed over.
FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "interpolate": lambda x, t: gdm.interpolate(SCHEDULE, x, 2 * x, t),
    "direction_loss": lambda x, t: gdm.direction_loss(NETWORK, x, 2 * x, t, SCHEDULE, mask_pending=True)[None],
    "generate": lambda x, t: gdm.generate(NETWORK, x, SCHEDULE, steps=4, solver="ab2"),
    "encode": lambda x, t: gdm.encode(NETWORK, x, SCHEDULE, steps=4, solver="heun"),
    "complete": lambda x, t: gdm.complete(NETWORK, x, [0], x**2, SCHEDULE, steps=3),
    "log_likelihood": lambda x, t: gdm.log_likelihood(NETWORK, x, SCHEDULE, steps=2, solver="euler"),
    "oracle.direction": lambda x, t: ORACLE.direction(SCHEDULE)(x, SCHEDULE.shown_alpha(t)),
    "oracle.denoiser": lambda x, t: ORACLE.denoiser(SCHEDULE)(x, SCHEDULE.shown_alpha(t)),
    "oracle.log_density": lambda x, t: ORACLE.log_density(x),
    "latents.swap": lambda x, t: gdm.latents.swap(SCHEDULE, x, x**2, groups=[1]),
    "latents.interpolate": lambda x, t: gdm.latents.interpolate(SCHEDULE, x, x**2, 0.3, groups=[1]),
}


def inputs() -> tuple[np.ndarray, np.ndarray]:
    return arrays(0, *SIZE), np.array([0.2, 0.6, 0.9])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jit_gives_the_numbers_of_numpy(name: str) -> None:
    """The likelihood needs derivatives, which NumPy has not: there, jit is compared with no jit."""
    x, t = inputs()
    function = FUNCTIONS[name]
    plain = function(jnp.asarray(x), jnp.asarray(t)) if name == "log_likelihood" else function(x, t)
    agree(jax.jit(function)(x, t), plain)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_is_the_batch(name: str) -> None:
    """Each sample on its own, mapped. A loss is the mean over its samples."""
    x, t = map(jnp.asarray, inputs())
    function = FUNCTIONS[name]
    each = jax.jit(jax.vmap(lambda x, t: function(x[None], t[None])[0]))(x, t)
    agree(each.mean()[None] if name == "direction_loss" else each, jax.jit(function)(x, t))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_grad_is_the_slope(name: str) -> None:
    """Along one direction, the central difference of a random weighting of the outputs."""
    x, t = map(jnp.asarray, inputs())
    function, along = FUNCTIONS[name], jnp.asarray(arrays(5, *SIZE))

    def total(x: Any) -> Any:
        out = function(x, t)
        return (out * jnp.asarray(arrays(6, *out.shape))).sum()

    slope, compiled = jax.jit(jax.grad(total))(x), jax.jit(total)
    h = 1e-5  # its square, and 1e-16 / h, are the errors
    agree((slope * along).sum(), (compiled(x + h * along) - compiled(x - h * along)) / (2 * h), 1e-7)
