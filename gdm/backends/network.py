"""A network as a value: an architecture, a dict of arrays, and the function that applies them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gdm.architecture import Architecture
from gdm.conditioning import check_given, class_weights


@dataclass(frozen=True, eq=False)
class Network:
    """Predict the direction u = E[x - z | x_t] (Eq. 8) of image events; the network sees A(t), not t.

    parameters: arrays by the checkpoint's names; under JAX, a network is a pytree of them, so that jit, grad and vmap
        take one, and `dataclasses.replace(network, parameters=...)` is one with others.
    apply: (architecture, parameters, x_t, alpha, labels, warps) -> u, a pure function.

    labels: the class of each image, or a weight per class, of which all zeros means no class.
    warps: the labels of the augmentation that an image went through; None for images as they are.

    Shapes: x_t (batch, C, H, W), alpha (batch, k) in [0, 1], labels (batch,) integers or
        (batch, classes) weights, warps (batch, 9) -> (batch, C, H, W)
    Raises: ShapeError, ValueRangeError for inputs that do not fit
    """

    architecture: Architecture
    parameters: dict[str, Any]
    apply: Callable[..., Any]

    def __call__(self, x_t: Any, alpha: Any, labels: Any = None, warps: Any = None) -> Any:
        check_given(self.architecture.schedule, x_t, alpha)
        weights = class_weights(labels, x_t.shape[0], self.architecture.classes)  # here, where values can be seen
        return self.apply(self.architecture, self.parameters, x_t, alpha, weights, warps)
