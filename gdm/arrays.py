"""The array protocol: which library an array belongs to, and the checks that every entrance makes.

gdm's core computes with the names of the Python array API standard, found from its arguments,
so NumPy, PyTorch and JAX arrays (and any other conforming library's) come back as they went in.
Checks of *values* look at arrays that can be read at once and vanish under tracing
(`jax.jit`, `torch.compile`) or transformation (`vmap`, `grad`).
"""

from __future__ import annotations

import math
import sys
import weakref
from types import ModuleType
from typing import Any, Protocol, TypeVar

import array_api_compat
import numpy as np

from gdm.errors import BackendError, DTypeError, ShapeError, TimeRangeError, ValueRangeError


class Array(Protocol):
    """What the core needs of an array; NumPy, PyTorch and JAX arrays all have it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    @property
    def device(self) -> Any: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __add__(self, other: Any, /) -> Any: ...

    def __radd__(self, other: Any, /) -> Any: ...

    def __sub__(self, other: Any, /) -> Any: ...

    def __rsub__(self, other: Any, /) -> Any: ...

    def __mul__(self, other: Any, /) -> Any: ...

    def __rmul__(self, other: Any, /) -> Any: ...

    def __truediv__(self, other: Any, /) -> Any: ...

    def __pow__(self, other: Any, /) -> Any: ...

    def __lt__(self, other: Any, /) -> Any: ...

    def __le__(self, other: Any, /) -> Any: ...

    def __gt__(self, other: Any, /) -> Any: ...

    def __ge__(self, other: Any, /) -> Any: ...

    def __neg__(self) -> Any: ...


A = TypeVar("A", bound=Array)

_NAMESPACES: dict[type, ModuleType] = {}  # by array type: the look-up costs more than a small solver step


def namespace(*arrays: Array) -> Any:
    """Return the array-API namespace that all `arrays` share.

    Raises: DTypeError if an argument is no array; BackendError if they belong to different libraries.
    """
    xp = _namespace(arrays[0])
    for other in arrays[1:]:
        if type(other) is not type(arrays[0]) and _namespace(other) is not xp:
            names = " and ".join(sorted({_library(_namespace(x)) for x in arrays}))
            raise BackendError(f"expected arrays of one library, got {names}; convert them with backend.asarray(...)")
    return xp


def _namespace(array: Array) -> ModuleType:
    found = _NAMESPACES.get(type(array))
    if found is None:
        try:
            found = array_api_compat.array_namespace(array)
        except TypeError:
            kind = type(array).__name__
            raise DTypeError(
                f"expected an array (NumPy, PyTorch or JAX), got {kind}; wrap it, e.g. np.asarray(...)"
            ) from None
        _NAMESPACES[type(array)] = found
    return found


def _library(xp: ModuleType) -> str:
    return xp.__name__.removeprefix("array_api_compat.").split(".")[0]


def constant(value: Any, like: Array, dtype: Any = None) -> Any:
    """Return host data as an array of the library, device and (unless given) dtype of `like`."""
    xp = namespace(like)
    dtype = like.dtype if dtype is None else dtype
    if _library(xp) == "jax":  # a traced array has no device; a constant of the program needs none
        return xp.asarray(value, dtype=dtype)
    owner = _owner(value) if _library(xp) == "torch" and readable(like, wait=True) else None
    if owner is None:  # a copy: host memory is not shared
        return xp.asarray(np.array(value), dtype=dtype, device=like.device)
    return _placed(owner, value, dtype, like.device)


_PLACED: dict[int, dict[tuple[Any, ...], Any]] = {}  # by the id of the owner of host memory, while that lives


def _placed(owner: np.ndarray, value: np.ndarray, dtype: Any, device: Any) -> Any:
    """Return read-only memory as a tensor, the same one every time: a new copy would make the device wait for the host.

    Whoever asks for it may compute with it, never write to it or hand it out. It goes when the owner goes.
    """
    known = _PLACED.get(id(owner))
    if known is None:
        known = _PLACED[id(owner)] = {}
        weakref.finalize(owner, _PLACED.pop, id(owner), None).atexit = False
    key = (value.__array_interface__["data"][0], value.shape, value.strides, value.dtype, dtype, device)
    if key not in known:
        torch: Any = sys.modules["torch"]
        with torch.inference_mode(False):  # of use in every mode
            made = torch.asarray(np.array(value), dtype=dtype, device=device)
        if type(made) is not torch.Tensor:  # in a mode that only pretends, such as FakeTensorMode
            return made
        known[key] = made
    return known[key]


def _owner(value: Any) -> np.ndarray | None:
    """Return the array that owns the memory of `value` if it is read-only, as in frozen values; else None."""
    while isinstance(value, np.ndarray) and value.base is not None:
        value = value.base
    return value if isinstance(value, np.ndarray) and not value.flags.writeable else None


def frozen(array: np.ndarray) -> np.ndarray:
    """Return a contiguous copy, unless nobody else holds the array, that cannot be written to."""
    array = np.ascontiguousarray(array)
    array = array if array.base is None else array.copy()
    array.setflags(write=False)
    return array


def index(value: Any, like: Array) -> Any:
    """Return host integers as an index array (the library's default integer) beside `like`; a range is born there."""
    xp = namespace(like)
    if _library(xp) == "jax":
        return constant(value, like, np.int32)
    if isinstance(value, range):
        return xp.arange(value.start, value.stop, value.step, dtype=xp.int64, device=like.device)
    return constant(value, like, xp.int64)


def readable(x: Array, *, wait: bool = False) -> bool:
    """Tell whether the values of `x` can be looked at: not traced and, unless `wait`, in host memory.

    Reading an accelerator's memory stalls its queue, so checks inside a training step do not.
    """
    library = _library(namespace(x))
    if library == "torch":
        torch: Any = sys.modules["torch"]
        if torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x):
            return False
        return wait or x.device.type == "cpu"  # type: ignore[attr-defined]
    if library == "jax":
        if isinstance(x, sys.modules["jax"].core.Tracer):
            return False
        return wait or all(d.platform == "cpu" for d in x.devices())  # type: ignore[attr-defined]
    return True


def seen(x: A) -> A:
    """Return what a check computes with, of an array that is `readable`: without derivatives, and JAX's as NumPy's.

    While JAX traces a program, whatever it computes is traced, of values that are known as well.
    """
    library = _library(namespace(x))
    if library == "jax":
        return np.asarray(x)  # type: ignore[return-value]
    return x.detach() if library == "torch" else x  # type: ignore[attr-defined]


def extremes(x: Array) -> tuple[float, float] | None:
    """Return the smallest and largest number in `x`; None where it is empty or not `readable`."""
    if not math.prod(x.shape) or not readable(x):
        return None
    x = seen(x)
    return float(namespace(x).min(x)), float(namespace(x).max(x))


def check_event(x: Array, shape: tuple[int, ...], name: str) -> None:
    """Check that `x` is a floating-point batch of events, (batch, *shape)."""
    check_floating(x, name)
    if tuple(x.shape[1:]) != shape or len(x.shape) != len(shape) + 1:
        remedy = "add a batch axis" if tuple(x.shape) == shape else "build the schedule for this shape"
        raise ShapeError(
            f"{name}: expected (batch, {_commas(shape)}) to fit the schedule, got {tuple(x.shape)}; {remedy}"
        )


def check_floating(x: Array, name: str) -> None:
    """Check that `x` holds floating-point numbers."""
    if not namespace(x).isdtype(x.dtype, "real floating"):
        remedy = "scale 8-bit images to [-1, 1] first: x / 127.5 - 1"
        raise DTypeError(f"{name}: expected floating-point numbers, got {x.dtype}; {remedy}")


def check_finite(x: Array, name: str) -> None:
    """Check that concrete `x` holds no NaN and no infinity; waits for an accelerator."""
    if readable(x, wait=True):
        x = seen(x)
        xp = namespace(x)
        if (
            math.prod(x.shape) and not float(xp.max(xp.abs(x))) < math.inf
        ):  # so written, NaN fails; cheaper than isfinite
            bad = int(xp.count_nonzero(~xp.isfinite(x)))
            raise ValueRangeError(f"{name}: expected finite numbers, got {bad} NaN or infinite values; draw them anew")


def check_time(t: Array, batch: int | None = None) -> None:
    """Check that `t` is (batch,) floating point and, where concrete, inside [0, 1]."""
    check_floating(t, "t")
    if len(t.shape) != 1 or (batch is not None and t.shape[0] != batch):
        expected = "(batch,)" if batch is None else f"({batch},)"
        raise ShapeError(f"t: expected one time per sample, {expected}, got {tuple(t.shape)}; use t.reshape(-1)")
    found = extremes(t)
    if found and not (found[0] >= 0 and found[1] <= 1):  # so written, NaN fails
        got = "{:g} to {:g}".format(*found)
        raise TimeRangeError(f"t: expected times in [0, 1] (0 is data, 1 is noise), got {got}; rescale t")


def per_sample(orders: Array, t: Array, k: int) -> None:
    """Check that `orders` is (batch, k) integers and, where concrete, a permutation in every row."""
    xp = namespace(orders)
    if not xp.isdtype(orders.dtype, "integral"):
        raise DTypeError(f"orders: expected integers, got {orders.dtype}; give group numbers 0 to {k - 1}")
    if len(orders.shape) != 2 or orders.shape[1] != k or orders.shape[0] != t.shape[0]:
        raise ShapeError(f"orders: expected ({t.shape[0]}, {k}), one order per sample, got {tuple(orders.shape)}")
    if not readable(orders):
        return
    orders = seen(orders)
    xp = namespace(orders)
    if not bool(xp.all(xp.sort(orders, axis=1) == index(range(k), orders))):
        raise ValueRangeError(f"orders: expected every row to hold 0 to {k - 1} once each; got something else")


def _commas(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
