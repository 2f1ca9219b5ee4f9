"""Laws of the networks across backends: the same weights give the same numbers, derivatives and images everywhere."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import array_api_strict
import jax
import numpy as np
import pytest
import torch

import gdm
from gdm import Schedule, architecture, backends, errors, loading, training
from gdm.backends import unet
from gdm.backends.numpy import convolve
from gdm.config import NetworkConfig, from_dict
from property_tests.runs import BACKENDS, SMALL, smooth, untrained
from property_tests.support import agree, arrays, refused, same_bits

jax.config.update("jax_enable_x64", True)

OTHERS = tuple(name for name in BACKENDS if name != "torch")


class Case(NamedTuple):
    """A network and what it is given."""

    schedule: Schedule
    spec: NetworkConfig
    classes: int
    augmented: bool


def small(
    levels: tuple[int, ...] = (1, 2), attention: tuple[int, ...] = (4,), conditioning: Any = "map", space: Any = "pixel"
) -> Any:
    sizes: Any = {"channels": 8, "multipliers": levels, "blocks": 1, "attention": attention, "dropout": 0.0}
    return NetworkConfig(**sizes, conditioning=conditioning, space=space)


CASES = {
    "map": Case(Schedule.blockwise((1, 4, 4), grid=(2, 2)), small(attention=(2,)), 0, False),
    "film, odd sides": Case(Schedule.rows((2, 7, 5), 3), small((1, 2, 1), (5, 1), "film"), 4, True),
    "bands": Case(Schedule.bands((2, 4, 6), (5,)), small(attention=()), 3, False),
    "frequencies": Case(Schedule.bands((2, 4, 6), (5,), "haar"), small(attention=(), space="frequency"), 0, False),
}


@cache
def weights(name: str) -> dict[str, np.ndarray]:
    """Return parameters of which none is zero, as they are in new networks."""
    case, backend = CASES[name], backends.get("torch", "cpu", "float64")
    network = backend.build(case.spec, case.schedule, classes=case.classes, augmented=case.augmented)
    new = backend.export_parameters(network)
    return {key: value + 0.1 * arrays(number, *value.shape) for number, (key, value) in enumerate(new.items())}


def awake(name: str, on: str, precision: str = "float64") -> tuple[Any, Any]:
    """Return a backend, and a network with these parameters there."""
    case, backend = CASES[name], backends.get(on, "cpu", precision)
    network = backend.build(case.spec, case.schedule, classes=case.classes, augmented=case.augmented, seed=1)
    backend.import_parameters(network, weights(name))
    return backend, network


def given(name: str) -> list[np.ndarray | None]:
    """Return what a network is called with: x_t, alpha, labels, warps."""
    case = CASES[name]
    labels = np.arange(3) % case.classes if case.classes else None
    warps = arrays(9, 3, architecture.WARPS) if case.augmented else None
    return [arrays(7, 3, *case.schedule.shape), abs(np.sin(arrays(8, 3, case.schedule.k))), labels, warps]


def placed(backend: Any, values: list[np.ndarray | None]) -> list[Any]:
    return [None if value is None else backend.asarray(value) for value in values]


def torch_output(name: str, precision: str = "float64") -> np.ndarray:
    backend, network = awake(name, "torch", precision)
    return backend.to_numpy(network(*placed(backend, given(name))))


# --- the same numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", OTHERS)
@pytest.mark.parametrize("name", CASES)
def test_the_same_weights_give_the_same_numbers(name: str, on: str) -> None:
    backend, network = awake(name, on)
    expected = torch_output(name)
    assert abs(expected).max() > 0.1
    agree(network(*placed(backend, given(name))), expected, 1e-10)


@pytest.mark.parametrize("on", BACKENDS)
def test_float32_agrees_with_float64(on: str) -> None:
    backend, network = awake("map", on, "float32")
    output = network(*placed(backend, given("map")))
    assert str(output.dtype).endswith("float32")
    agree(output, torch_output("map"), 1e-4)


@pytest.mark.parametrize("name", CASES)
def test_the_standard_suffices(name: str) -> None:
    """The network uses nothing that the array API standard does not have, but for the convolution."""
    case = CASES[name]

    def strict(values: Any) -> Any:
        return array_api_strict.asarray(np.array(values))

    def convolved(x: Any, kernel: Any) -> Any:
        return strict(convolve(np.asarray(x), np.asarray(kernel)))

    made = architecture.of(case.spec, case.schedule, classes=case.classes, augmented=case.augmented)
    parameters = {key: strict(value) for key, value in weights(name).items()}
    inputs = [None if value is None else strict(value) for value in given(name)]
    agree(unet.forward(convolved, made, parameters, *inputs), torch_output(name), 1e-10)


def test_derivatives_are_the_same() -> None:
    """With respect to image, alpha and every parameter: the network is a pytree."""
    name = "film, odd sides"  # one case, of all layers: compiling is slow
    _, network = awake(name, "jax")
    v = arrays(10, 3, *CASES[name].schedule.shape)

    def total(network: Any, x_t: Any, alpha: Any) -> Any:
        return (network(x_t, alpha, *placed(backends.get("jax", "cpu", "float64"), given(name))[2:]) * v).sum()

    x, alpha, *told = given(name)
    ours = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(network, x, alpha)
    backend, theirs = awake(name, "torch")
    leaves = [backend.asarray(value).requires_grad_() for value in (x, alpha)]
    (theirs(*leaves, *placed(backend, told)) * torch.tensor(v)).sum().backward()
    for got, leaf in zip(ours[1:], leaves, strict=True):
        agree(got, leaf.grad, 1e-10)
    for key, parameter in theirs.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-9, key
        agree(ours[0].parameters[key], parameter.grad, 1e-10, key)


def test_a_network_is_mapped_and_compiled_like_any_function() -> None:
    """vmap over images is the batch; over a stack of networks, each on its own. Other parameters need no new program."""
    backend, network = awake("map", "jax")
    x, alpha = placed(backend, given("map"))[:2]
    traces = []

    def each(network: Any, x: Any, alpha: Any) -> Any:
        traces.append(1)
        return jax.vmap(lambda x, alpha: network(x[None], alpha[None])[0])(x, alpha)

    compiled = jax.jit(each)
    expected = network(x, alpha)
    agree(compiled(network, x, alpha), expected)
    other = replace(network, parameters={key: 1.1 * value for key, value in network.parameters.items()})
    output = compiled(other, x, alpha)
    assert len(traces) == 1
    agree(output, other(x, alpha))
    both = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), network, other)
    agree(jax.vmap(lambda network: network(x, alpha))(both), np.stack([expected, output]))


@pytest.mark.parametrize("channels", [4, 12, 44])
@pytest.mark.parametrize("mean", [0.0, 300.0])
def test_group_norm_is_that_of_torch(channels: int, mean: float) -> None:
    """Of all counts of groups, from one to several channels in each, and where the mean hides the deviation.

    A mean is a sum of 20 numbers, rounded up to 20 times by 2^-24 of at most 20 means; the deviation is 1.
    """
    x = (mean + arrays(1, 3, 5, 4, channels)).astype(np.float32)
    weight, bias = arrays(2, channels), arrays(3, channels)
    named = {"unet.n.weight": weight.astype(np.float32), "unet.n.bias": bias.astype(np.float32)}
    exact = [torch.tensor(value, dtype=torch.float64) for value in (x.transpose(0, 3, 1, 2), weight, bias)]
    count = architecture.group_count(channels)
    expected = torch.nn.functional.group_norm(exact[0], count, *exact[1:], eps=architecture.NORM_EPSILON)
    got = unet.Layers(convolve, named).group_norm("n", x)
    assert got.dtype == np.float32
    agree(got.transpose(0, 3, 1, 2), expected, 1e-6 + 20 * mean * 2**-24)


@pytest.mark.parametrize("half", [-1e4, -800.0, -90.0, -1.0, 0.0, 1e-3, 2.0, 1e4])
def test_silu_neither_overflows_nor_do_its_slopes(half: float) -> None:
    for dtype in (np.float32, np.float64):
        x = np.array([half], dtype)
        expected = torch.nn.functional.silu(torch.tensor(x))
        agree(unet.silu(x), expected, 1e-6)
        assert np.isfinite(jax.grad(lambda x: unet.silu(x).sum())(jax.numpy.asarray(x))).all()


# --- parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_parameters_have_the_names_and_shapes_of_torch(name: str) -> None:
    shapes = {key: value.shape for key, value in weights(name).items()}
    for on in OTHERS:
        backend, network = awake(name, on)
        exported = backend.export_parameters(network)
        assert {key: value.shape for key, value in exported.items()} == shapes
        for key, value in exported.items():
            same_bits(value, weights(name)[key], key)


def test_new_networks_follow_from_the_seed_on_every_backend_and_fill_their_xavier_interval() -> None:
    """Biases are 0 and scales 1; the weights of branches begin nearly silent, Karras et al. 2022."""
    case = CASES["film, odd sides"]
    gains = {"head": 1e-5, "conv_out": 1e-5, "attention.out": 1e-5, "attention.qkv": math.sqrt(0.2)}

    def new(on: str, seed: int) -> dict[str, np.ndarray]:
        backend = backends.get(on, "cpu")
        return backend.export_parameters(
            backend.build(case.spec, case.schedule, classes=case.classes, augmented=case.augmented, seed=seed)
        )

    one, other, theirs = new("numpy", 5), new("numpy", 6), [new(on, 5) for on in ("jax", "torch")]
    for name, value in one.items():
        for same in theirs:
            same_bits(same[name], value, name)
        layer, _, kind = name.rpartition(".")
        if value.ndim == 1:
            assert (value == ("norm" in layer and kind == "weight")).all(), name
        else:
            outputs, inputs, *kernel = value.shape
            gain = next((gain for ending, gain in gains.items() if layer.endswith(ending)), 1)
            bound = gain * math.sqrt(6 / ((inputs + outputs) * math.prod(kernel)))
            assert 0.8 * bound < abs(value).max() <= bound * (1 + 1e-7), name  # in float32
            assert abs(value.mean()) < bound / 4 and not np.array_equal(other[name], value), name


@pytest.mark.parametrize("on", BACKENDS)
def test_parameters_that_do_not_fit_are_refused(on: str) -> None:
    backend, network = awake("map", on)
    whole = weights("map")
    stem = "unet.stem.weight"
    with refused(errors.CheckpointError, stem, "is missing"):
        backend.import_parameters(network, {key: value for key, value in whole.items() if key != stem})
    with refused(errors.CheckpointError, "'more'", "not one of"):
        backend.import_parameters(network, {**whole, "more": np.zeros(1)})
    with refused(errors.CheckpointError, stem, "expected shape (8, 2, 3, 3), got (1,)"):
        backend.import_parameters(network, {**whole, stem: np.zeros(1)})


@pytest.mark.parametrize("on", BACKENDS)
def test_inputs_that_do_not_fit_are_refused(on: str) -> None:
    backend, network = awake("map", on)
    x, alpha = placed(backend, given("map"))[:2]
    with refused(errors.ShapeError, "x_t", "(batch, 1, 4, 4)"):
        network(x[:, :, :, :3], alpha)
    with refused(errors.ShapeError, "alpha", "(3, 4)"):
        network(x, alpha[:, :2])
    with refused(errors.ShapeError, "no classes"):
        network(x, alpha, backend.asarray(np.zeros(3, int)))
    with refused(errors.ShapeError, "no augmentation"):
        network(x, alpha, warps=backend.asarray(np.zeros((3, 9))))
    backend, network = awake("bands", on)
    x, alpha = placed(backend, given("bands"))[:2]
    with refused(errors.ShapeError, "pass labels="):
        network(x, alpha)
    with refused(errors.ValueRangeError, "need 0 to 2, got 0 to 3"):
        network(x, alpha, backend.asarray(np.array([0, 3, 1])))
    backend, network = awake("film, odd sides", on)
    x, alpha, labels, warps = placed(backend, given("film, odd sides"))
    with refused(errors.ShapeError, "film", "(3, 12)"):
        network(x, alpha, labels, warps[:, :4])


# --- runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that torch might have trained in bfloat16, with classes and guidance."""
    config = {**SMALL, "precision": "bfloat16", "training": {**SMALL["training"], "label_dropout": 0.1}}
    return untrained(tmp_path_factory.mktemp("networks") / "run", config)


@pytest.mark.parametrize("on", OTHERS)
def test_a_run_of_torch_is_sampled_by_any_backend(run: Path, on: str) -> None:
    """The same images from the same seeds, after 64 steps; with guidance, in another order; and back to latents."""
    theirs, ours = (loading.load(run, backend=name, device="cpu", precision="float32") for name in ("torch", on))
    host = ours.backend.to_numpy
    images = host(ours.generate(3, steps=64, batch=2))
    agree(images, theirs.generate(3, steps=64), 1e-4)
    options: dict[str, Any] = {"steps": 8, "solver": "ab2", "guidance": 2.0, "labels": 3}
    other = theirs.schedule.reorder((3, 1, 2, 0))
    agree(ours.generate(2, schedule=other, **options), theirs.generate(2, schedule=other, **options), 1e-4)
    latents = theirs.encode(images, steps=4, solver="euler", labels=1)
    agree(ours.encode(images, steps=4, solver="euler", labels=1), latents, 1e-4)
    filled = ours.complete(images, known=[0, 2], steps=4, labels=1)
    agree(filled, theirs.complete(images, known=[0, 2], steps=4, labels=1), 1e-4)
    known = np.isin(ours.schedule.partition.labels, [0, 2])
    same_bits(host(filled)[:, known], images[:, known])


def test_a_precision_that_a_backend_does_not_have_is_float32_unless_asked_for(run: Path) -> None:
    for on in BACKENDS:
        expected = "float32" if on == "numpy" else "bfloat16"
        assert loading.load(run, backend=on, device="cpu").backend.precision == expected
        assert loading.load(run, backend=on, device="cpu", precision="float64").backend.precision == "float64"
    with refused(errors.BackendError, "precision", "'bfloat16'"):
        loading.load(run, backend="numpy", device="cpu", precision="bfloat16")


def test_a_program_serves_every_seed_and_batch() -> None:
    """The network is traced for the first batch of a size, and never again: not for a seed, a last batch, new latents."""
    chosen, traces, calls = Schedule.blockwise((1, 4, 4), grid=(2, 2)), [], []
    one = smooth(chosen, "jax")

    def counting(x_t: Any, alpha: Any) -> Any:
        traces.append(1)
        return one.network(x_t, alpha)

    counted = replace(one, network=counting)
    first = counted.generate(5, steps=8, batch=3)
    count = len(traces)
    assert 0 < count <= 2
    parts = list(counted.stream(range(5), seed=1, steps=8, batch=3, watch=calls.append))
    agree(np.concatenate(parts), smooth(chosen, "numpy").generate(5, seed=1, steps=8))
    agree(counted.decode(gdm.draw_latents(0, range(3), chosen.shape), steps=8, solver="euler"), first[:3])
    counted.compiled()
    assert len(traces) == count and calls == [3] * 8 + [2] * 8


def test_a_program_is_not_given_what_is_no_number() -> None:
    """Values cannot be looked at inside a program; a model looks at them before."""
    one = smooth(Schedule.rows((1, 4, 4), 2), "jax")
    images = np.zeros((2, 1, 4, 4))
    images[:, :, :2] = np.nan
    for solve in (one.encode, one.decode, partial(one.complete, known=[0])):
        with refused(errors.ValueRangeError, "finite", "got 16"):
            solve(images, steps=4)
    assert np.isfinite(one.complete(images, known=[1], steps=4)).all()


def test_training_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with refused(errors.UnsupportedError, "training: expected backend 'torch' or 'jax', got 'numpy'"):
        training.train(from_dict({**SMALL, "backend": "numpy"}), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
