"""Parameters side by side in one vector, so that what an optimiser does to each is one loop and not one for each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gdm.arrays import namespace

Shapes = Mapping[str, tuple[int, ...]]


def length(shapes: Shapes, pieces: int) -> int:
    """Return how long a vector of parameters of these shapes is: what is left over by equal pieces is filled up."""
    return pieces * -(-sum(map(math.prod, shapes.values())) // pieces)


def pack(values: Mapping[str, Any], shapes: Shapes, size: int) -> Any:
    """Return arrays by name, in the order of `shapes`, as one vector, with zeros at its end.

    Shapes: values of `shapes` -> (size,)
    """
    parts = [values[name] for name in shapes]
    xp = namespace(*parts)
    rest = xp.zeros(size - sum(math.prod(part.shape) for part in parts), dtype=parts[0].dtype)
    return xp.concat([*(xp.reshape(part, (-1,)) for part in parts), rest])


def unpack(vector: Any, shapes: Shapes) -> dict[str, Any]:
    """Return the arrays of a vector: the inverse of `pack`."""
    ends = np.cumsum([math.prod(shape) for shape in shapes.values()]).tolist()
    starts = [0, *ends[:-1]]
    xp = namespace(vector)
    named = zip(shapes.items(), starts, ends, strict=True)
    return {name: xp.reshape(vector[start:end], shape) for (name, shape), start, end in named}
