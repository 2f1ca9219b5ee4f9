"""Laws of tracing: one JAX program of constant size, no graph break in torch.compile, transformations commute with all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import gdm
from gdm import backends
from gdm.backends.numpy import rows
from gdm.errors import TimeRangeError, ValueRangeError
from gdm.solver import SOLVERS, plan, stepper, tabulate
from property_tests.problems import random_mixture, random_network
from property_tests.support import agree, arrays, refused, same_bits

jax.config.update("jax_enable_x64", True)

LABELS = np.array([[[0, 1, 1], [1, 0, 0]]])


def schedule(path: str = "trigonometric", basis: str = "cosine") -> gdm.Schedule:
    """Return two groups in unequal intervals with a gap."""
    return gdm.Schedule.from_labels(LABELS, intervals=[(0.5, 1.0), (0.0, 0.4)], basis=basis, path=path)


def program(function: Callable[..., Any], *arguments: Any) -> tuple[int, int]:
    """Return the size of a function's JAX program: equations, those inside loops included, and lines of StableHLO."""

    def equations(jaxpr: Any) -> Iterator[Any]:
        for equation in jaxpr.eqns:
            yield equation
            for value in equation.params.values():
                for inner in value if isinstance(value, (tuple, list)) else (value,):
                    inner = getattr(inner, "jaxpr", inner)
                    if hasattr(inner, "eqns"):
                        yield from equations(inner)

    lines = len(jax.jit(function).lower(*arguments).as_text().splitlines())
    return sum(1 for _ in equations(jax.make_jaxpr(function)(*arguments).jaxpr)), lines


# JAX


@pytest.mark.parametrize(("solver", "trajectory"), [("euler", False), ("ab2", True), ("rk4", False)])
def test_a_program_does_not_grow_with_the_steps(solver: str, trajectory: bool) -> None:
    """Ninety steps compile to the same program as nine: the loop is a scan over tables."""
    chosen, z = schedule(), jnp.asarray(arrays(0, 2, 1, 2, 3))
    network = random_network(1, chosen)

    def sizes(*steps: int) -> tuple[int, int]:
        return program(lambda z: gdm.generate(network, z, chosen, steps=steps, solver=solver, trajectory=trajectory), z)

    assert sizes(40, 50) == sizes(4, 5)


def test_encoding_completion_and_likelihood_do_not_grow_either() -> None:
    """The same for the other flows, and orders as arguments."""
    chosen, z = schedule(), jnp.asarray(arrays(0, 2, 1, 2, 3))
    network, orders = random_network(1, chosen), jnp.asarray([[0, 1], [1, 0]])
    flows: tuple[Callable[..., Any], ...] = (
        lambda z, orders, *steps: gdm.generate(network, z, chosen, steps=steps, orders=orders, mask_pending=True),
        lambda z, orders, *steps: gdm.encode(network, z, chosen, steps=steps),
        lambda z, orders, *steps: gdm.complete(network, z, [0], 2 * z, chosen, steps=steps[:1]),
        lambda z, orders, *steps: gdm.log_likelihood(network, z, chosen, steps=steps, probes=z),
    )
    for flow in flows:
        few, many = (
            program(lambda z, orders, flow=flow, n=n: flow(z, orders, 4 * n, 5 * n), z, orders) for n in (1, 10)
        )
        assert few == many


def test_nothing_is_traced_twice() -> None:
    """With the schedule static, new latents and an equal schedule made anew reuse the program; another one does not."""
    traces = []
    network = random_network(1, schedule())

    def counting(x_t: Any, alpha: Any) -> Any:
        traces.append(1)
        return network(x_t, alpha)

    compiled = jax.jit(lambda z, chosen: gdm.generate(counting, z, chosen, steps=6), static_argnums=1)
    first = compiled(jnp.asarray(arrays(0, 2, 1, 2, 3)), schedule())
    count = len(traces)
    assert 0 < count <= 2, f"{count} traces of one scan"
    for seed in (1, 2):
        z = arrays(seed, 2, 1, 2, 3)
        agree(compiled(jnp.asarray(z), schedule()), gdm.generate(network, z, schedule(), steps=6))
    assert len(traces) == count
    other = compiled(jnp.asarray(arrays(0, 2, 1, 2, 3)), schedule().reorder((1, 0)))
    assert len(traces) > count and not np.array_equal(other, first)


@pytest.mark.parametrize(("path", "basis", "solver"), [("linear", "cosine", "rk4"), ("trigonometric", "pixel", "ab2")])
def test_jitted_flows_are_the_eager_ones(path: str, basis: str, solver: str) -> None:
    """Compiled, with orders, mask and trajectory, the numbers are NumPy's."""
    chosen, z, orders = schedule(path, basis), arrays(0, 2, 1, 2, 3), np.array([[1, 0], [0, 1]])
    network = random_network(1, chosen)
    settings: Any = {"steps": (3, 2), "solver": solver, "mask_pending": True, "trajectory": True}
    compiled = jax.jit(lambda z, orders: gdm.generate(network, z, chosen, orders=orders, **settings))
    agree(compiled(jnp.asarray(z), jnp.asarray(orders)), gdm.generate(network, z, chosen, orders=orders, **settings))


def test_locality_survives_the_compiler() -> None:
    """Under XLA's optimiser too, later latents leave earlier groups as they are, to the bit."""
    chosen, z = gdm.Schedule.rows((1, 4, 4), 2), arrays(0, 2, 1, 4, 4)
    network = random_network(1, chosen)
    flow = jax.jit(lambda z: gdm.generate(network, z, chosen, steps=6, solver="heun", mask_pending=True))
    compiled = flow.lower(jnp.asarray(z)).compile(
        {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
    )
    other = z.copy()
    other[:, :, 2:] *= -3
    same_bits(compiled(jnp.asarray(other))[:, :, :2], compiled(jnp.asarray(z))[:, :, :2])


def test_vmap_over_latents_is_the_batch() -> None:
    """Each sample on its own, mapped, is the batch; so are losses, densities and the optimal direction."""
    chosen = schedule()
    oracle, _ = random_mixture(3, chosen.shape)
    network, direction = random_network(1, chosen), oracle.direction(chosen)
    x, z, t = arrays(0, 3, 1, 2, 3), arrays(1, 3, 1, 2, 3), np.array([0.2, 0.7, 1.0])
    generated = mapped(lambda z: gdm.generate(network, z[None], chosen, steps=4, solver="ab2")[0], z)
    agree(generated, gdm.generate(network, z, chosen, steps=4, solver="ab2"))
    each = mapped(lambda x, z, t: gdm.direction_loss(direction, x[None], z[None], t[None], chosen), x, z, t)
    agree(each.mean(), gdm.direction_loss(direction, x, z, t, chosen))
    agree(mapped(lambda x: oracle.log_density(x[None])[0], x), oracle.log_density(x))


def mapped(function: Callable[..., Any], *values: np.ndarray) -> Any:
    """Map over the first axis of all values in one JAX program."""
    return jax.jit(jax.vmap(function))(*map(jnp.asarray, values))


def test_gradients_pass_through_everything() -> None:
    """jax.grad of flow, loss and likelihood is torch's, with respect to events and to the network's parameters."""
    chosen, size = schedule(), (2, 1, 2, 3)
    events, noise, scale, times = arrays(0, *size), arrays(1, *size), np.array(0.7), np.array([0.3, 0.9])

    def total(x: Any, z: Any, scale: Any, t: Any) -> Any:
        network = random_network(1, chosen)

        def scaled(x_t: Any, alpha: Any) -> Any:
            return scale * network(x_t, alpha)

        flow = gdm.generate(scaled, z, chosen, steps=4, solver="heun", mask_pending=True)
        loss = gdm.direction_loss(scaled, x, z, t, chosen, weighting="active", mask_pending=True)
        density = gdm.log_likelihood(scaled, x, chosen, steps=2, solver="euler")
        return (flow**3).sum() + loss + density.sum()

    by_jax = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*map(jnp.asarray, (events, noise, scale, times)))
    leaves = [torch.tensor(value, requires_grad=True) for value in (events, noise, scale)]
    total(*leaves, torch.tensor(times)).backward()
    for ours, leaf in zip(by_jax, leaves, strict=True):
        assert leaf.grad is not None
        agree(ours, leaf.grad, 1e-9)
    again = torch.func.grad(total, argnums=2)(*(leaf.detach() for leaf in leaves), torch.tensor(times))
    agree(again, by_jax[2], 1e-9)


def test_value_checks_vanish_under_jit() -> None:
    """Traced values cannot be looked at: a wrong time passes, as NaN does; concrete ones are refused."""
    chosen, x = schedule(), jnp.asarray(arrays(0, 2, 1, 2, 3))
    network = random_network(1, chosen)
    late, bad = jnp.asarray([0.5, 1.5]), x.at[0].set(math.nan)

    def loss(t: Any) -> Any:
        return gdm.direction_loss(network, x, x, t, chosen)

    def flow(z: Any) -> Any:
        return gdm.generate(network, z, chosen, steps=2)

    assert np.isfinite(jax.jit(loss)(late)) and np.isfinite(mapped(lambda t: loss(t[None].repeat(2)), late)).all()
    assert np.isnan(jax.jit(flow)(bad)).any(axis=(1, 2, 3)).tolist() == [True, False]
    with refused(TimeRangeError, "[0, 1]", "1.5"):
        loss(late)
    with refused(ValueRangeError, "finite"):
        flow(bad)
    with refused(ValueRangeError, "once each"):
        gdm.generate(network, x, chosen, steps=2, orders=jnp.asarray([[0, 0], [0, 1]]))


# PyTorch


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without graph breaks: torch refuses if one is needed."""
    torch._dynamo.reset()  # each compilation on its own, none refused for being the ninth
    return torch.compile(function, fullgraph=True, backend="aot_eager")


@pytest.mark.parametrize(
    ("path", "basis", "weighting"),
    [
        ("linear", "pixel", "uniform"),
        ("trigonometric", "pixel", "active"),
        ("trigonometric", "cosine", "rate"),
    ],
)
def test_the_loss_compiles_without_a_graph_break(path: str, basis: str, weighting: Any) -> None:
    """One graph for the loss and its gradient, the same numbers as without compiling."""
    chosen, size = schedule(path, basis), (2, 1, 2, 3)
    network, x, z = random_network(1, chosen), *(torch.tensor(arrays(seed, *size)) for seed in (2, 3))
    t, orders = torch.tensor([0.45, 1.0], dtype=torch.float64), torch.tensor([[0, 1], [1, 0]])
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def loss(scale: Any, x: Any, z: Any, t: Any, orders: Any) -> Any:
        def scaled(x_t: Any, alpha: Any) -> Any:
            return scale * network(x_t, alpha)

        return gdm.direction_loss(scaled, x, z, t, chosen, weighting=weighting, mask_pending=True, orders=orders)

    values = [function(scale, x, z, t, orders) for function in (loss, compiled(loss))]
    gradients = [torch.autograd.grad(value, scale)[0] for value in values]
    agree(values[1], values[0].detach())
    agree(gradients[1], gradients[0])


@pytest.mark.parametrize(
    ("path", "basis", "name"),
    [
        ("linear", "pixel", "euler"),
        ("linear", "cosine", "heun"),
        ("trigonometric", "pixel", "midpoint"),
        ("trigonometric", "cosine", "ab2"),
        ("linear", "pixel", "rk4"),
    ],
)
def test_a_solver_step_compiles_without_a_graph_break(path: str, basis: str, name: str) -> None:
    """One graph per step; taking the steps one by one is generate."""
    chosen, z = schedule(path, basis), torch.tensor(arrays(0, 2, 1, 2, 3))
    network, solver = random_network(1, chosen), SOLVERS[name]

    def slope(state: Any, alpha: Any, scale: Any) -> Any:
        x_t = chosen.basis.synthesize(state[0] if scale is None else state[0] * scale)
        return (chosen.basis.analyze(network(x_t, alpha)),)

    y = chosen.basis.analyze(z)
    tables, _ = tabulate(chosen, plan(chosen, (2, 2)), solver, y)
    step = compiled(stepper(solver, slope, backends.get("torch").adder))
    state, memory = (y,), (torch.zeros_like(y),) if solver.remembers else None
    for row in rows(tables):
        state, memory = step((state, memory), row)
    agree(chosen.basis.synthesize(state[0]), gdm.generate(network, z, chosen, steps=(2, 2), solver=name))


def test_torch_transformations() -> None:
    """torch.func.vmap over latents is the batch; value checks vanish inside and stay outside."""
    chosen, z = schedule(), torch.tensor(arrays(0, 3, 1, 2, 3))
    network, direction = random_network(1, chosen), random_mixture(3, chosen.shape)[0].direction(chosen)

    def flow(z: Any) -> Any:
        return gdm.generate(network, z[None], chosen, steps=4, solver="ab2")[0]

    agree(torch.func.vmap(flow)(z), gdm.generate(network, z, chosen, steps=4, solver="ab2"))

    def loss(x: Any, t: Any) -> Any:
        return gdm.direction_loss(direction, x[None], 2 * x[None], t[None], chosen)

    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    agree(torch.func.vmap(loss)(z, t).mean(), gdm.direction_loss(direction, z, 2 * z, t, chosen))
    late = t + 1
    assert torch.isfinite(torch.func.vmap(loss)(z, late)).all()
    assert torch.isfinite(compiled(lambda t: gdm.direction_loss(network, z, z, t, chosen))(late))
    with refused(TimeRangeError, "[0, 1]"):
        gdm.direction_loss(network, z, z, late, chosen)
