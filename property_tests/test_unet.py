"""The DDPM++ U-Net: its size, its laws, and numbers it must reproduce."""

from __future__ import annotations

import copy
import math
from typing import Literal, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from gdm import Schedule, arrays
from gdm.architecture import wave_frequencies
from gdm.backends.torch.layers import Attention, double, double_then, halve
from gdm.backends.torch.network import GroupwiseUNet
from gdm.backends.torch.unet import UNet
from gdm.config import NetworkConfig
from gdm.errors import ConfigError, ShapeError, ValueRangeError
from property_tests.support import agree, same_bits

Network = TypeVar("Network", UNet, GroupwiseUNet, Attention)


def small(side: int = 8, *, inputs: int = 1, dropout: float = 0.0, classes: int = 0, film: int = 0) -> UNet:
    """Return a fresh network small enough for a test."""
    return UNet(
        inputs,
        1,
        side,
        channels=8,
        multipliers=(1, 2),
        blocks=1,
        attention=(4,),
        dropout=dropout,
        classes=classes,
        film=film,
    )


def pattern(shape: tuple[int, ...], salt: int) -> Tensor:
    """Return numbers in [-1, 1) that look random and are the same everywhere: a multiplicative hash."""
    count = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(1_000_003 * (salt + 1))
    hashed = (count * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return torch.tensor(hashed.astype(np.float64).reshape(shape) / 2**23 - 1)


def awake(network: Network) -> Network:
    """Give every parameter a value that matters, in float64: fresh networks are silent, gain 1e-5."""
    network = network.double().eval()
    with torch.no_grad():
        for salt, (name, parameter) in enumerate(sorted(network.named_parameters())):
            values = pattern(tuple(parameter.shape), salt)
            if parameter.ndim > 1:
                parameter.copy_(values * math.sqrt(3 / parameter[0].numel()))
            else:
                parameter.copy_(values / 4 + ("norm" in name and name.endswith("weight")))
    return network.requires_grad_(False)


def inputs(batch: int, *event: int) -> tuple[Tensor, Tensor]:
    """Return images and noise levels."""
    return pattern((batch, *event), 1001), 500 + 499 * pattern((batch,), 1002)


# --- what the papers fix ---------------------------------------------------------------------------------


def test_the_cifar_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = UNet(3, 3, 32, channels=128, multipliers=(2, 2, 2), blocks=4, attention=(16,))
        assert network(torch.zeros(2, 3, 32, 32), torch.zeros(2)).shape == (2, 3, 32, 32)
    assert sum(parameter.numel() for parameter in network.parameters()) == 55_732_739


def test_numbers_of_the_public_code() -> None:
    """The public network of Karras et al. 2022 returns these with the same weights and inputs."""
    network = awake(small(inputs=2, classes=3, film=2))
    x, noise = inputs(2, 2, 8, 8)
    theirs = [-0.041123542851, -0.406794633661, 1.175833846887, -0.433973430795, 0.512008687724]
    output = network(x, noise, torch.tensor([0, 2]), pattern((2, 2), 1003))
    got = torch.stack([*output.flatten()[[0, 9, 77, 127]], output.square().mean()])
    agree(got, theirs, 1e-9)


@pytest.mark.parametrize("count", [2, 3, 16, 64])
def test_frequencies_fall_geometrically_from_1_to_1e_minus_4(count: int) -> None:
    table = wave_frequencies(count)
    assert table.dtype == np.float32
    agree(np.log(table), np.log(np.geomspace(1, 1e-4, count)), 1e-6)


def test_attention_is_a_softmax_over_pixels() -> None:
    attention = awake(Attention(8))
    x = pattern((2, 8, 3, 5), 5)
    query, key, value = attention.qkv(attention.norm(x)).flatten(2).chunk(3, dim=1)
    weights = torch.einsum("bcq,bck->bqk", query, key).div(math.sqrt(8)).softmax(dim=2)
    mixed = torch.einsum("bqk,bck->bcq", weights, value).reshape(x.shape)
    agree(attention(x), (x + attention.out(mixed)) / math.sqrt(2))


# --- sides -----------------------------------------------------------------------------------------------

sides = st.integers(1, 9)


@given(height=sides, width=sides, odd_height=st.booleans(), odd_width=st.booleans())
def test_halving_undoes_doubling(height: int, width: int, odd_height: bool, odd_width: bool) -> None:
    x = pattern((2, 3, height, width), height + 10 * width)
    size = (2 * height - odd_height, 2 * width - odd_width)
    assert double(x, size).shape[-2:] == size
    agree(halve(double(x, size)), x, 1e-15)


@given(height=sides, width=sides, odd_height=st.booleans(), odd_width=st.booleans())
def test_doubling_is_folded_into_the_convolution(height: int, width: int, odd_height: bool, odd_width: bool) -> None:
    x, conv = (
        pattern((2, 3, height, width), height + 10 * width),
        nn.Conv2d(3, 5, 3, padding=1).double().requires_grad_(False),
    )
    size = (2 * height - odd_height, 2 * width - odd_width)
    agree(double_then(conv, x, size), conv(double(x, size)), 1e-14)
    agree(double_then(conv, x), conv(double(x)), 1e-14)


@given(height=sides, width=sides)
def test_halving_an_even_side_keeps_the_mean(height: int, width: int) -> None:
    x = pattern((2, 3, 2 * height, 2 * width), height + 10 * width)
    agree(halve(x).mean((2, 3)), x.mean((2, 3)))


@settings(max_examples=20, deadline=None)
@given(height=st.integers(4, 33), width=st.integers(4, 33))
def test_any_side_will_do(height: int, width: int) -> None:
    network = UNet(2, 3, min(height, width), channels=4, multipliers=(1, 2, 1), blocks=1, attention=())
    x, noise = torch.zeros(2, 2, height, width), torch.zeros(2)
    assert network(x, noise).shape == (2, 3, height, width)


@pytest.mark.parametrize(
    ("resolution", "attention", "levels"),
    [(8, (4,), {1}), (28, (28, 7), {0, 2}), (7, (3,), {1}), (9, (16,), set()), (33, (33, 16, 8), {0, 1, 2})],
)
def test_attention_is_at_the_named_resolutions(resolution: int, attention: tuple[int, ...], levels: set[int]) -> None:
    network = UNet(1, 1, resolution, channels=4, multipliers=(1, 1, 1), blocks=1, attention=attention)
    down = [block.attention is not None for block in network.encoder]  # block, down, block, down, block
    up = [block.attention is not None for block in network.decoder]  # block, block, up, block, block, ...
    assert down == [0 in levels, False, 1 in levels, False, 2 in levels]
    assert up == [False, 2 in levels, False, False, 1 in levels, False, False, 0 in levels]
    assert [block.attention is not None for block in network.middle] == [True, False]


# --- laws ------------------------------------------------------------------------------------------------


def test_the_gradient_reaches_every_parameter() -> None:
    network = awake(small(classes=3, film=2)).requires_grad_()
    x, noise = inputs(3, 1, 8, 8)
    network(x, noise, torch.arange(3), pattern((3, 2), 1003)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-9, name


def test_a_sample_does_not_depend_on_the_others() -> None:
    network = awake(small(7))
    x, noise = inputs(4, 1, 7, 7)
    together = network(x, noise)
    for i in range(4):
        agree(network(x[i : i + 1], noise[i : i + 1]), together[i : i + 1])


def test_noise_levels_change_the_output() -> None:
    network = awake(small())
    x, noise = inputs(2, 1, 8, 8)
    assert (network(x, noise) - network(x, noise + 1)).abs().max() > 1e-3


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_float32_agrees_with_float64(layout: torch.memory_format) -> None:
    network = awake(small())
    x, noise = (value.float() for value in inputs(4, 1, 8, 8))
    exact = network(x.double(), noise.double())
    network.float()
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    rounded = network(x.contiguous(memory_format=layout), noise)
    agree(rounded, exact, 1e-4)


def test_bfloat16_autocast_agrees_with_float32() -> None:
    network = awake(small()).float()
    x, noise = (value.float() for value in inputs(4, 1, 8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(x, noise)
    assert rounded.dtype == torch.float32
    agree(rounded, network(x, noise), 0.05)


def test_a_seed_determines_the_weights() -> None:
    def build(seed: int) -> UNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return small()

    one, same, other = (dict(build(seed).named_parameters()) for seed in (5, 5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.weight"], other["stem.weight"])


def test_dropout_acts_in_training_only() -> None:
    network, twin = (awake(small(dropout=dropout)) for dropout in (0.5, 0.0))
    x, noise = inputs(2, 1, 8, 8)
    same_bits(network(x, noise), twin(x, noise))
    network.train()
    assert not torch.equal(network(x, noise), network(x, noise))


# --- labels and film -------------------------------------------------------------------------------------


def test_labels_change_the_output_and_equal_their_one_hot_rows() -> None:
    network = awake(small(classes=3))
    x, noise = inputs(3, 1, 8, 8)
    labels = torch.tensor([0, 2, 1])
    output = network(x, noise, labels)
    assert (output - network(x, noise, labels.flip(0)))[[0, 2]].abs().min() > 0
    same_bits(output, network(x, noise, nn.functional.one_hot(labels, 3).double()))


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (None, ShapeError, "pass labels="),
        (torch.tensor([0, 1, 2]), ShapeError, "one label per image"),
        (torch.tensor([0.0, 1.0]), ShapeError, "integers"),
        (torch.zeros(2, 4), ShapeError, r"\(2, 3\)"),
        (torch.tensor([1, 3]), ValueRangeError, "need 0 to 2, got 1 to 3"),
        (torch.tensor([-1, 2]), ValueRangeError, "need 0 to 2, got -1 to 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: Tensor | None, error: type[Exception], words: str) -> None:
    network = small(classes=3)
    with pytest.raises(error, match=words):
        network(torch.zeros(2, 1, 8, 8), torch.zeros(2), labels)


def test_unexpected_or_missing_conditions_are_refused() -> None:
    x, noise = torch.zeros(2, 1, 8, 8), torch.zeros(2)
    with pytest.raises(ShapeError, match="no classes"):
        small()(x, noise, torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match="no film"):
        small()(x, noise, film=torch.zeros(2, 2))
    with pytest.raises(ShapeError, match="got none"):
        small(film=2)(x, noise)


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "multipliers", "blocks", "dropout", "words"),
    [
        (8, (1, 1, 1, 1, 1), 1, 0.0, "side of at least 16, got 8; use at most 4"),
        (8, (), 1, 0.0, "multipliers"),
        (8, (1, 0), 1, 0.0, "multipliers"),
        (7, (1, 2), 1, 0.0, "even number"),
        (2, (1, 2), 1, 0.0, "even number"),
        (8, (1, 2), 0, 0.0, "blocks"),
        (8, (1, 2), 1, 1.0, "dropout"),
    ],
)
def test_impossible_networks_are_refused(
    channels: int, multipliers: tuple[int, ...], blocks: int, dropout: float, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        UNet(1, 1, 8, channels=channels, multipliers=multipliers, blocks=blocks, dropout=dropout)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 8), (2, 1, 1, 8), (3, 1, 8, 8)])
def test_inputs_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        small()(torch.zeros(shape), torch.zeros(2))


# --- as a network of the library -------------------------------------------------------------------------

SCHEDULES = {
    "blocks": Schedule.blockwise((1, 8, 8), grid=(2, 2)),
    "channels": Schedule.channels((3, 8, 8)),
    "bands": Schedule.bands((1, 8, 8), (4, 16)),
    "odd sides": Schedule.rows((2, 7, 9), 3),
}


def groupwise(schedule: Schedule, conditioning: Literal["map", "film"], classes: int = 0) -> GroupwiseUNet:
    """Return a fresh network for a schedule."""
    spec = NetworkConfig(
        channels=8, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.0, conditioning=conditioning
    )
    return GroupwiseUNet(schedule, spec, classes=classes)


@pytest.mark.parametrize("conditioning", ["map", "film"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_network_sees_alpha_and_not_its_mean_alone(name: str, conditioning: Literal["map", "film"]) -> None:
    schedule = SCHEDULES[name]
    network = awake(groupwise(schedule, conditioning, classes=4))
    x, _ = inputs(2, *schedule.shape)
    alpha, labels = pattern((2, schedule.k), 7).abs(), torch.tensor([1, 3])
    u = network(x, alpha, labels)
    assert u.shape == x.shape
    assert (u - network(x, alpha.flip(1), labels)).abs().max() > 1e-4
    same_bits(u, copy.deepcopy(network)(x, alpha, labels))


@pytest.mark.parametrize("conditioning", ["map", "film"])
def test_the_network_compiles_to_one_graph(
    conditioning: Literal["map", "film"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once and for all batches of a size, even where the library has not yet seen a tensor."""
    monkeypatch.setattr(arrays, "_NAMESPACES", {})
    schedule = SCHEDULES["odd sides"]
    network = awake(groupwise(schedule, conditioning, classes=4))
    seen = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(network, fullgraph=True, backend=seen)
    for batch in range(2):
        x, alpha = pattern((2, *schedule.shape), batch), pattern((2, schedule.k), 7 + batch).abs()
        labels = torch.tensor([1 + batch, 3])
        agree(compiled(x, alpha, labels), network(x, alpha, labels))
    assert seen.frame_count == 1


def test_inputs_that_do_not_fit_the_schedule_are_refused() -> None:
    network = groupwise(SCHEDULES["blocks"], "map")
    with pytest.raises(ShapeError, match="x_t"):
        network(torch.zeros(2, 1, 8, 7), torch.zeros(2, 4))
    with pytest.raises(ShapeError, match="alpha"):
        network(torch.zeros(2, 1, 8, 8), torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"\(C, H, W\)"):
        groupwise(Schedule.rows((8, 8), 2), "map")
