"""Compare gdm's U-Net with the public code of Karras et al. 2022, weight for weight.

    python benchmarks/songunet_equality.py FOLDER

FOLDER is your own copy of github.com/NVlabs/edm, whose licence allows non-commercial use only: nothing
of it is part of gdm, and this script only runs it. Both networks get the same random weights (the
public initial ones make every output close to zero) and the same inputs. Each line of the output is a
JSON object with the largest differences of outputs and of input gradients; the exit status is 1 if an
output differs by more than 1e-5 in float32 or 1e-10 in float64.

Two roundings to float32 inside the public code are no part of its mathematics. Its softmax of attention
is taken in float32 whatever the input: the comparison in float64 replaces it. Its table of frequencies
varies in the last bit with the device: gdm's network, whose table does not, is lent it (`as_built` is
the difference without).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gdm.backends.torch.unet import UNet

BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-10}

# Their name for a part of a block -> ours.
PARTS = {
    "norm0": "norm_in",
    "conv0": "conv_in",
    "affine": "shift",
    "norm1": "norm_out",
    "conv1": "conv_out",
    "skip": "shortcut",
    "norm2": "attention.norm",
    "qkv": "attention.qkv",
    "proj": "attention.out",
}
MAPPING = {"map_label": "label", "map_augment": "film", "map_layer0": "first", "map_layer1": "second"}


@dataclass(frozen=True)
class Case:
    """One configuration that both codes can build."""

    name: str
    resolution: int
    channels: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]
    classes: int = 0
    film: int = 0
    batch: int = 2


CASES = (
    Case("small", 8, 32, (1, 2), 2, (4,), batch=16),
    Case("labels and film", 16, 16, (1, 2, 3), 1, (8,), classes=10, film=9, batch=8),
    Case("CIFAR-10", 32, 128, (2, 2, 2), 4, (16,)),
)


class AttentionWeights:
    """Their attention weights without the cast: q, k (batch, C, pixels) -> (batch, pixels, pixels)."""

    @staticmethod
    def apply(q: Tensor, k: Tensor) -> Tensor:
        return (q.transpose(1, 2) @ k / math.sqrt(q.shape[1])).softmax(dim=2)


def load_public(folder: Path) -> types.ModuleType:
    """Import the public networks.py alone; its pickling decorator, not needed here, is left out."""
    path = folder / "training" / "networks.py"
    if not path.is_file():
        raise SystemExit(f"{path}: no such file; FOLDER must be a checkout of github.com/NVlabs/edm")
    helpers = types.ModuleType("torch_utils")
    vars(helpers)["persistence"] = types.SimpleNamespace(persistent_class=lambda cls: cls)
    sys.modules["torch_utils"] = helpers
    spec = importlib.util.spec_from_file_location("public_networks", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: Python cannot import it")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def our_names(theirs: Iterable[str]) -> dict[str, str]:
    """Map their parameter names to ours; encoder and decoder are listed in the order in which they run."""
    paths = [name.split(".") for name in theirs]
    encoder = list(dict.fromkeys(place for first, place, *_ in paths if first == "enc"))
    decoder = list(dict.fromkeys(place for first, place, *_ in paths if first == "dec"))
    inner = [f"decoder.{i}" for i in range(len(decoder) - 4)]
    places = {
        "enc": dict(zip(encoder, ["stem", *(f"encoder.{i}" for i in range(len(encoder) - 1))], strict=True)),
        "dec": dict(zip(decoder, ["middle.0", "middle.1", *inner, "norm", "head"], strict=True)),
    }
    names = {}
    for first, place, *parts in paths:
        if first in MAPPING:  # there, `place` is already weight or bias
            ours = ["embedding", MAPPING[first], place]
        else:
            ours = [places[first][place], *(PARTS.get(part, part) for part in parts)]
        names[".".join([first, place, *parts])] = ".".join(ours)
    return names


def randomise(network: nn.Module, generator: torch.Generator) -> None:
    """Redraw every parameter so that each branch counts: a norm around 1, weights by fan-in, small biases."""
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise / math.sqrt(parameter[0].numel()))
            else:
                parameter.copy_(parameter.round() + 0.1 * noise)


def copy_weights(public: nn.Module, ours: UNet) -> None:
    """Give `ours` the weights of `public`; every parameter must find its partner of the same shape."""
    theirs, weights = dict(public.named_parameters()), {}
    for name, new in our_names(theirs).items():
        weight = theirs[name].detach()
        if "attention.qkv" in new:  # they interleave q, k, v channel by channel; we stack them
            weight = weight.unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1)
        weights[new] = weight
    ours.load_state_dict(weights, strict=True)


def build(networks: types.ModuleType, case: Case, generator: torch.Generator) -> tuple[nn.Module, UNet]:
    """Make the public network and ours, with the same random weights."""
    public = networks.SongUNet(
        case.resolution, 3, 3, label_dim=case.classes, augment_dim=case.film, model_channels=case.channels,
        channel_mult=case.multipliers, num_blocks=case.blocks, attn_resolutions=case.attention,
    )  # fmt: skip
    ours = UNet(
        3, 3, case.resolution, channels=case.channels, multipliers=case.multipliers, blocks=case.blocks,
        attention=case.attention, classes=case.classes, film=case.film,
    )  # fmt: skip
    randomise(public, generator)
    copy_weights(public, ours)
    return public.eval(), ours.eval()


def output_and_slope(network: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return network(x), and the gradient of half its squared norm with respect to x."""
    x = x.clone().requires_grad_()
    output = network(x)
    (slope,) = torch.autograd.grad(output.square().sum() / 2, x)
    return output.detach(), slope


def largest(difference: Tensor) -> float:
    """Return the largest absolute value."""
    return difference.abs().max().item()


def compare(networks: types.ModuleType, case: Case, dtype: torch.dtype) -> dict[str, float]:
    """Run both networks on the same input; return the largest differences, of the gradient relative to it."""
    generator = torch.Generator().manual_seed(0)
    public, ours = build(networks, case, generator)
    public, ours = public.to(dtype), ours.to(dtype)
    x = torch.randn(case.batch, 3, case.resolution, case.resolution, generator=generator).to(dtype)
    noise = (999 * torch.rand(case.batch, generator=generator)).to(dtype)
    labels = torch.arange(case.batch) % case.classes if case.classes else None
    one_hot = None if labels is None else nn.functional.one_hot(labels, case.classes).to(dtype)
    film = torch.rand(case.batch, case.film, generator=generator).to(dtype) if case.film else None

    expected, expected_slope = output_and_slope(lambda x: public(x, noise, one_hot, film), x)
    as_built, _ = output_and_slope(lambda x: ours(x, noise, labels, film), x)
    half = case.channels // 2
    ours.embedding.frequencies.copy_((1 / 10_000) ** (torch.arange(half, dtype=torch.float32) / (half - 1)))
    got, slope = output_and_slope(lambda x: ours(x, noise, labels, film), x)
    return {
        "parameters": sum(parameter.numel() for parameter in ours.parameters()),
        "largest_output": largest(expected),
        "difference": largest(got - expected),
        "relative_gradient_difference": largest(slope - expected_slope) / largest(expected_slope),
        "as_built": largest(as_built - expected),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="your copy of github.com/NVlabs/edm")
    networks = load_public(parser.parse_args().folder)
    equal = True
    for dtype, bound in BOUNDS.items():
        if dtype == torch.float64:
            vars(networks)["AttentionOp"] = AttentionWeights
        for case in CASES:
            result = compare(networks, case, dtype)
            print(json.dumps({"case": case.name, "dtype": str(dtype), **result, "bound": bound}), flush=True)
            equal = equal and result["difference"] <= bound  # False for NaN, too
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
