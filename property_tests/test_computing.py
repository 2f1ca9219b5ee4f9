"""Laws of how networks compute when asked to: in coarser numbers, and with activations dropped in training."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import jax
import numpy as np
import pytest
import torch
from jax.extend import core

from gdm import backends
from gdm.backends import unet
from gdm.backends.jax.convolution import convolve
from gdm.backends.jax.dropout import dropper
from gdm.backends.numpy import convolve as convolve_numpy
from property_tests.support import agree, arrays, same_bits
from property_tests.test_networks import CASES, awake, given, placed, torch_output, weights


def output(name: str, on: str, precision: str) -> np.ndarray:
    backend, network = awake(name, on, precision)
    with backend.computing():
        u = network(*placed(backend, given(name)))
    assert str(u.dtype).endswith("float64" if precision == "float64" else "float32")
    return backend.to_numpy(u)


def apart(got: np.ndarray, expected: np.ndarray) -> float:
    """Return the root of the mean square of the difference, relative to that of what is expected."""
    return float(np.linalg.norm(np.subtract(got, expected, dtype=float)) / np.linalg.norm(expected))


def equations(jaxpr: Any) -> Iterator[Any]:
    """Yield all equations of a program, those of its parts too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for part in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(part, (core.Jaxpr, core.ClosedJaxpr)):
                    yield from equations(getattr(part, "jaxpr", part))


# --- bfloat16 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["map", "film, odd sides"])
def test_bfloat16_is_as_coarse_as_in_torch(name: str) -> None:
    """Of what a number goes through in these networks, at most 100 results are rounded, each by at most 2^-9 of it.

    Unrelated errors add as squares: sqrt(100) 2^-9 = 0.02. Less than a tenth of that would not be bfloat16.
    """
    exact = torch_output(name)
    ours, theirs = (apart(output(name, on, "bfloat16"), exact) for on in ("jax", "torch"))
    assert 0.002 < ours < 0.02
    assert 0.5 < ours / theirs < 2  # measured: 0.93 to 1.1


def test_products_alone_are_bfloat16() -> None:
    """What is convolved and multiplied has been rounded; norms, softmax and sinusoids are computed in float32."""
    name = "film, odd sides"
    backend, network = awake(name, "jax", "bfloat16")
    program = jax.make_jaxpr(network)(*placed(backend, given(name)))
    kinds: dict[str, list[str]] = {}
    for equation in equations(program.jaxpr):
        kinds.setdefault(equation.primitive.name, []).extend(str(var.aval.dtype) for var in equation.invars)
    attentions = sum(".qkv.weight" in key for key in network.parameters)
    assert attentions and kinds["dot_general"].count("float32") == 2 * attentions  # the scores, of bfloat16 numbers
    assert kinds["dot_general"].count("bfloat16") > 2 * attentions
    for kind in ("exp", "sqrt", "sin", "cos"):
        assert set(kinds[kind]) == {"float32"}, kind
    assert set(kinds.get("conv_general_dilated", ["bfloat16"])) == {"bfloat16"}


def test_gradients_of_coarse_products_are_those_of_fine_parameters() -> None:
    """They are float32, as the parameters, and differ from exact ones by roundings: twice as many as the output's."""
    name = "bands"
    backend, network = awake(name, "jax", "bfloat16")
    loss = jax.jit(jax.grad(lambda network, *told: (network(*told) ** 2).mean()))
    ours = loss(network, *placed(backend, given(name))).parameters
    assert {str(value.dtype) for value in ours.values()} == {"float32"}
    backend, exact = awake(name, "torch")
    (exact(*placed(backend, given(name))) ** 2).mean().backward()
    theirs = {key: parameter.grad.numpy() for key, parameter in exact.named_parameters()}
    coarse, fine = (np.concatenate([np.ravel(part[key]) for key in theirs]) for part in (ours, theirs))
    assert 0.002 < apart(coarse, fine) < 2 * 0.02


def test_tf32_is_what_a_gpu_is_told() -> None:
    """The request is part of the program, on a CPU too, where it changes nothing."""
    name = "bands"
    for precision, expected in (("float32", "HIGHEST"), ("tf32", "HIGH"), ("bfloat16", "HIGH")):
        backend, network = awake(name, "jax", precision)
        with backend.computing():
            program = str(
                jax.make_jaxpr(lambda x, network=network: network.parameters["unet.stem.bias"] @ x)(np.ones(8))
            )
        assert set(re.findall(r"HIGH\w*", program)) == {expected}, program


# --- dropout ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_activations_are_dropped_where_torch_drops_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same masks in the same order, one per block, outputs are equal."""
    case, calls = CASES[name], {"torch": count(), "numpy": count()}
    case = case._replace(spec=replace(case.spec, dropout=0.3))

    def mask(on: str, shape: tuple[int, ...]) -> np.ndarray:
        return arrays(next(calls[on]), *shape) > -0.5

    def drop(x: np.ndarray) -> np.ndarray:
        return x * mask("numpy", x.shape) / 0.7

    def dropout(x: torch.Tensor, rate: float) -> torch.Tensor:
        assert rate == 0.3
        batch, channels, *sides = x.shape
        return x * torch.tensor(mask("torch", (batch, *sides, channels))).permute(0, 3, 1, 2) / 0.7

    backend = backends.get("torch", "cpu", "float64")
    network = backend.build(case.spec, case.schedule, classes=case.classes, augmented=case.augmented)
    backend.import_parameters(network, weights(name))
    monkeypatch.setattr(torch.nn.functional, "dropout", dropout)
    with torch.no_grad():
        expected = network.train()(*placed(backend, given(name))).numpy()
    made = awake(name, "numpy")[1].architecture
    got = unet.forward(convolve_numpy, made, weights(name), *given(name), drop=drop)
    agree(got, expected, 1e-10)
    assert next(calls["numpy"]) == next(calls["torch"]) == sum(map(len, made.layout))
    assert apart(got, torch_output(name)) > 0.01


def test_masks_are_fresh_and_keep_the_mean() -> None:
    """Ones become 0 or 1 / (1 - rate), as often as the rate says; masks differ by call and key, and return with it."""
    rate, shape = 0.13, (40, 500)

    def masks(key: int) -> list[np.ndarray]:
        drop = dropper(jax.random.key(key), rate)
        assert drop is not None
        return [np.asarray(drop(jax.numpy.ones(shape, dtype))) for dtype in ("float64", "float64", "float32")]

    first, again, other = masks(1), masks(1), masks(2)
    for one, same in zip(first, again, strict=True):
        same_bits(one, same)
        agree(np.unique(one), [0, 1 / (1 - rate)], 1e-6)
    assert first[2].dtype == np.float32
    deviation = (rate * (1 - rate) / first[0].size) ** 0.5
    for one, two in ((first[0], first[1]), (first[0], other[0]), (first[1], other[1])):
        assert abs((one == 0).mean() - rate) < 4 * deviation
        assert abs(((one == 0) & (two == 0)).mean() - rate**2) < 4 * deviation  # unrelated
    assert dropper(jax.random.key(1), 0) is None


def test_a_program_drops_anew_with_every_key() -> None:
    """Traced once, the masks follow the key; without a key nothing is dropped, so sampling drops nothing."""
    name = "bands"
    backend, network = awake(name, "jax")
    network = replace(network, architecture=replace(network.architecture, dropout=0.5))
    traces = []

    @jax.jit
    def trained(key: Any, *told: Any) -> Any:
        traces.append(1)
        return unet.forward(convolve, network.architecture, network.parameters, *told, drop=dropper(key, 0.5))

    told = placed(backend, given(name))
    one, same, other = (np.asarray(trained(jax.random.key(seed), *told)) for seed in (1, 1, 2))
    same_bits(one, same)
    assert apart(other, one) > 0.01 and len(traces) == 1
    agree(network(*told), torch_output(name))
