"""Sums in one pass over memory: a fresh array of images costs more than the arithmetic that fills it.

`add_scaled` and `add_matmul` take a term that the caller has just made and gives away. Eager PyTorch writes the
sum into it; every other library, a compiler and a transformation get the plain expression.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from gdm.arrays import namespace


def adder(weight: float) -> Callable[[Any, Any, Any], Any]:
    """Return (y, u, h) -> y + weight * h * u, elementwise and broadcast; a backend may do it in one operation."""
    if weight == 1:
        return lambda y, u, h: y + h * u
    return lambda y, u, h: y + (weight * h) * u


def add_scaled(own: Any, scale: Any, x: Any) -> Any:
    """Return own + scale * x, x of the shape of `own` and `scale` broadcast to it."""
    return own.addcmul_(scale, x) if _eager(own, scale, x) else own + scale * x


def add_matmul(own: Any, a: Any, b: Any) -> Any:
    """Return own + a b. Shapes: (..., n, m), (..., n, r), (r, m) -> (..., n, m)"""
    if _eager(own, a, b):
        own.reshape(-1, own.shape[-1]).addmm_(a.reshape(-1, a.shape[-1]), b)
        return own
    return own + namespace(own, a, b).matmul(a, b)


def _eager(*arrays: Any) -> bool:
    """Tell whether these are plain PyTorch tensors of one type, neither traced nor transformed."""
    torch: Any = sys.modules.get("torch")
    if torch is None or torch.compiler.is_compiling():
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return all(type(x) is torch.Tensor and x.dtype == arrays[0].dtype and not wrapped(x) for x in arrays)
