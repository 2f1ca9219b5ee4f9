"""The DDPM++ U-Net as pure functions over a dict of arrays, for every library that follows the array API standard.

The parameters have the checkpoint's names and layouts (OIHW); what the network is made of is in `gdm.architecture`.
Inside, images lie channels last, (batch, H, W, C), in which a 1 x 1 convolution is a product of matrices. The one
thing that the standard does not have, the convolution, is the first argument of whatever needs it.

In training, `drop` drops activations. With a type to `compute` in, products are taken of numbers rounded to it, and
what lies between them has it; normalisation, softmax and the output keep the type of the parameters. That is what
torch.autocast makes of the network.

`gdm.backends.torch.unet` is the same network, as a module of PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gdm.architecture import (
    NORM_EPSILON,
    RESIDUAL_SCALE,
    Architecture,
    BlockPlan,
    group_count,
    wave_frequencies,
)
from gdm.arrays import constant, namespace
from gdm.conditioning import check_film, class_weights, clock, film_vector, planes

Convolve = Callable[[Any, Any], Any]  # (batch, H, W, C), (C', C, 3, 3) -> (batch, H, W, C'), zeros around the image
Drop = Callable[[Any], Any]  # any shape -> the same: some numbers become 0, the others grow; called once per block


class Layers(NamedTuple):
    """The layers of the network: parameters by name, and how they compute. Layers are called by name.

    convolve: who convolves; drop: what drops activations, or None; compute: the type of products, or None for that of
        the parameters, which is then no coarser.
    """

    convolve: Convolve
    parameters: Mapping[str, Any]
    drop: Drop | None = None
    compute: Any = None

    def linear(self, name: str, x: Any) -> Any:
        """Apply a linear layer, or a 1 x 1 convolution, to the last axis."""
        weight = self.coarse(self.parameters[f"unet.{name}.weight"])
        product = self.coarse(x) @ namespace(x).matrix_transpose(weight[:, :, 0, 0] if weight.ndim == 4 else weight)
        bias = self.parameters.get(f"unet.{name}.bias")
        return product if bias is None else product + self.coarse(bias)

    def convolution(self, name: str, x: Any) -> Any:
        """Apply a 3 x 3 convolution that keeps the sides."""
        kernel, bias = (self.coarse(self.parameters[f"unet.{name}.{part}"]) for part in ("weight", "bias"))
        return self.convolve(self.coarse(x), kernel) + bias

    def coarse(self, x: Any) -> Any:
        """Return numbers in the type of products."""
        return x if self.compute is None else namespace(x).astype(x, self.compute, copy=False)

    def fine(self, x: Any) -> Any:
        """Return numbers in the type of the parameters."""
        if self.compute is None:
            return x
        return namespace(x).astype(x, self.parameters["unet.stem.weight"].dtype, copy=False)

    def group_norm(self, name: str, x: Any) -> Any:
        """Bring groups of channels to mean 0 and variance 1 over all pixels, then scale and shift each channel."""
        x, xp = self.fine(x), namespace(x)
        centred = x - self._over_group(xp.mean(x, axis=(1, 2)))
        deviation = xp.sqrt(self._over_group(xp.mean(centred * centred, axis=(1, 2))) + NORM_EPSILON)
        return centred * (self.parameters[f"unet.{name}.weight"] / deviation) + self.parameters[f"unet.{name}.bias"]

    @staticmethod
    def _over_group(means: Any) -> Any:
        """Average channels over their group. Shapes: (batch, C) -> (batch, 1, 1, C)

        Images themselves are not reshaped to groups: loops over four channels are slow.
        """
        xp, (batch, channels) = namespace(means), means.shape
        parts = xp.reshape(means, (batch, group_count(channels), -1))
        return xp.reshape(xp.broadcast_to(xp.mean(parts, axis=2, keepdims=True), parts.shape), (batch, 1, 1, channels))


def forward(
    convolve: Convolve,
    architecture: Architecture,
    parameters: Mapping[str, Any],
    x_t: Any,
    alpha: Any,
    labels: Any = None,
    warps: Any = None,
    *,
    drop: Drop | None = None,
    compute: Any = None,
) -> Any:
    """Predict the direction u of images, Eq. (8), from the noisy image and A(t).

    Of an architecture `in_basis` the U-Net works on coordinates, u = U f(U^T x_t): the ablation of Fig. 10.
    drop: in training, what drops activations of each block; compute: the type of products, such as bfloat16.

    Shapes: x_t (batch, C, H, W), alpha (batch, k), labels (batch,) or (batch, classes), warps (batch, 9)
        -> (batch, C, H, W)
    """
    xp, layers = namespace(x_t), Layers(convolve, parameters, drop, compute)
    schedule, as_map = architecture.schedule, architecture.as_map
    film = film_vector(alpha, warps, as_map=as_map, count=architecture.warps)
    told = embedding(layers, architecture, clock(alpha), labels, film)
    x = schedule.basis.analyze(x_t) if architecture.in_basis else x_t
    x = xp.concat([x, planes(schedule, alpha, architecture.in_basis)], axis=1) if as_map else x
    y = unet(layers, architecture, xp.permute_dims(x, (0, 2, 3, 1)), told)
    u = layers.fine(xp.permute_dims(y, (0, 3, 1, 2)))
    return schedule.basis.synthesize(u) if architecture.in_basis else u


def embedding(layers: Layers, architecture: Architecture, noise: Any, labels: Any, film: Any) -> Any:
    """Return what every block is told: sinusoids of the noise level, plus class and film vector, through two layers.

    Shapes: noise (batch,), labels (batch,) or (batch, classes), film (batch, film) -> (batch, 4 channels)
    Raises: ShapeError where labels or film are missing, unexpected, or of another shape
    """
    xp, batch, classes = namespace(noise), noise.shape[0], architecture.classes
    angles = noise[:, None] * constant(wave_frequencies(architecture.channels // 2), like=noise)
    told = xp.concat([xp.sin(angles), xp.cos(angles)], axis=1)
    weights = class_weights(labels, batch, classes)
    if weights is not None:
        told = told + layers.linear("embedding.label", xp.astype(weights, told.dtype) * math.sqrt(classes))
    check_film(film, batch, architecture.film)
    if film is not None:
        told = told + layers.linear("embedding.film", xp.astype(film, told.dtype))
    for name in ("embedding.first", "embedding.second"):
        told = silu(layers.fine(layers.linear(name, told)))
    return told


def unet(layers: Layers, architecture: Architecture, x: Any, told: Any) -> Any:
    """Run all blocks. Shapes: x (batch, H, W, inputs), told (batch, 4 channels) -> (batch, H, W, outputs)"""
    xp, layout = namespace(x), architecture.layout
    x = layers.convolution("stem", x)
    skips = [x]
    for number, plan in enumerate(layout.encoder):
        x = block(layers, f"encoder.{number}", plan, x, told)
        skips.append(x)
    for number, plan in enumerate(layout.middle):
        x = block(layers, f"middle.{number}", plan, x, told)
    for number, plan in enumerate(layout.decoder):
        name = f"decoder.{number}"
        if plan.resample == "up":
            x = block(layers, name, plan, x, told, sides=skips[-1].shape[1:3])
        else:
            x = block(layers, name, plan, xp.concat([x, skips.pop()], axis=3), told)
    return layers.convolution("head", silu(layers.group_norm("norm", x)))


def block(layers: Layers, name: str, plan: BlockPlan, x: Any, told: Any, sides: tuple[int, ...] | None = None) -> Any:
    """Apply a residual block: two convolutions with what is told between them, then maybe attention.

        h = conv_in(resample(silu(norm_in(x)))) + shift
        y = (shortcut(resample(x)) + conv_out(drop(silu(norm_out(h))))) / sqrt(2)

    Shapes: x (batch, H, W, inputs) -> (batch, H', W', outputs), where H', W' are H, W, or their halves rounded up
        ("down"), or the given `sides` ("up").
    """
    branch = silu(layers.group_norm(f"{name}.norm_in", x))
    if plan.resample == "down":
        branch, x = halve(branch), halve(x)
    if plan.has_shortcut:
        x = layers.linear(f"{name}.shortcut", x)  # on the smaller side: a 1 x 1 convolution commutes with resampling
    if sides is not None:
        branch, x = double(branch, sides), double(x, sides)
    branch = layers.convolution(f"{name}.conv_in", branch)
    branch = branch + layers.linear(f"{name}.shift", told)[:, None, None, :]
    branch = silu(layers.group_norm(f"{name}.norm_out", branch))
    branch = branch if layers.drop is None else layers.drop(branch)
    x = (x + layers.convolution(f"{name}.conv_out", branch)) * RESIDUAL_SCALE
    return attention(layers, f"{name}.attention", x) if plan.attention else x


def attention(layers: Layers, name: str, x: Any) -> Any:
    """Add self-attention of one head over all pixels. Shapes: (batch, H, W, C) -> (batch, H, W, C)"""
    xp, (batch, height, width, channels) = namespace(x), x.shape
    tokens = layers.linear(f"{name}.qkv", layers.group_norm(f"{name}.norm", x))
    tokens = xp.reshape(tokens, (batch, height * width, 3, channels))
    query, key, value = (tokens[:, :, part, :] for part in range(3))
    # coarse numbers, but a fine product: a large score that is rounded would change its exponential by far more
    scores = layers.fine(query) @ xp.matrix_transpose(layers.fine(key)) / math.sqrt(channels)
    scores = xp.exp(scores - xp.max(scores, axis=2, keepdims=True))
    mixed = layers.coarse(scores / xp.sum(scores, axis=2, keepdims=True)) @ value
    return (x + layers.linear(f"{name}.out", xp.reshape(mixed, x.shape))) * RESIDUAL_SCALE


def silu(x: Any) -> Any:
    """Return x / (1 + exp(-x)), so written that nothing overflows, nor does its derivative."""
    half = 0.5 * x
    return half + half * namespace(x).tanh(half)


def halve(x: Any) -> Any:
    """Average 2 x 2 pixels; on an odd side the last row or column averages what is there.

    Shapes: x (batch, H, W, C) -> (batch, ceil(H / 2), ceil(W / 2), C)
    """
    xp = namespace(x)
    if x.shape[1] % 2:  # the mean of a number and itself is the number
        x = xp.concat([x, x[:, -1:, :, :]], axis=1)
    if x.shape[2] % 2:
        x = xp.concat([x, x[:, :, -1:, :]], axis=2)
    batch, height, width, channels = x.shape
    return xp.mean(xp.reshape(x, (batch, height // 2, 2, width // 2, 2, channels)), axis=(2, 4))


def double(x: Any, sides: tuple[int, ...]) -> Any:
    """Repeat each pixel 2 x 2, and crop the last row or column away where `sides` has an odd one.

    Shapes: x (batch, ceil(H / 2), ceil(W / 2), C) -> (batch, H, W, C), with sides = (H, W)
    """
    xp, (batch, height, width, channels) = namespace(x), x.shape
    wide = xp.broadcast_to(x[:, :, None, :, None, :], (batch, height, 2, width, 2, channels))
    return xp.reshape(wide, (batch, 2 * height, 2 * width, channels))[:, : sides[0], : sides[1], :]
