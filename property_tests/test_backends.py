"""Laws of the backends: arrays go there and back, loops fold, derivatives are derivatives, and errors name what is there."""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_strict
import jax
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from gdm import backends
from gdm.arrays import namespace
from gdm.backends.jax import Jax
from gdm.backends.numpy import NumPy, rows
from gdm.backends.torch import Torch, memory
from gdm.errors import BackendError, UnsupportedError
from property_tests.problems import law, seeds
from property_tests.support import DIFFERENTIABLE, LIBRARIES, Library, agree, arrays, refused, same_bits

KINDS = {"numpy": np.ndarray, "torch": torch.Tensor, "jax": jax.Array}
CLASSES = {"numpy": NumPy, "torch": Torch, "jax": Jax}

jax.config.update("jax_enable_x64", True)


class Pair(NamedTuple):
    """A tree of tables, as `gdm.solver.Tables` is one."""

    left: Any
    right: Any


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_arrays_go_there_and_back(name: str, precision: str) -> None:
    """asarray makes this backend's arrays in its precision, integers as they are; to_numpy brings them back."""
    backend = backends.get(name, device="cpu", precision=precision)
    assert (backend.name, backend.precision) == (name, precision)
    numbers, whole, yes = arrays(0, 2, 3), np.arange(4), np.array([True, False])
    for given_as in (numbers, numbers.astype(np.float32), numbers.astype(np.float16), numbers.tolist()):
        array = backend.asarray(given_as)
        assert isinstance(array, KINDS[name]) and str(array.dtype).endswith(precision)
        same_bits(backend.to_numpy(array), np.asarray(given_as).astype(precision))
        again = backend.asarray(array)
        same_bits(backend.to_numpy(again), backend.to_numpy(array))
    for values in (whole, yes):
        back = backend.to_numpy(backend.asarray(values))
        assert back.dtype == values.dtype and (back == values).all()
    other = backends.get(name, device="cpu", precision="float64" if precision == "float32" else "float32")
    assert str(backend.asarray(other.asarray(numbers)).dtype).endswith(precision)


@pytest.mark.parametrize("name", KINDS)
def test_defaults(name: str) -> None:
    """None and "auto" take the best device there is, in float32; `device` says which."""
    for device in (None, "auto"):
        backend = backends.get(name, device=device)
        assert backend.precision == "float32" and str(backend.asarray([0.5]).dtype).endswith("float32")
    assert backends.get(name, device="cpu").device.split(":")[0] == "cpu"


def test_frozen_memory_is_not_shared() -> None:
    """A tensor made from a read-only array can be written without touching the array."""
    numbers = arrays(0, 3)
    numbers.setflags(write=False)
    tensor = backends.get("torch", device="cpu", precision="float64").asarray(numbers)
    tensor += 1
    agree(tensor, numbers + 1)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_come_home(name: str) -> None:
    """to_numpy reads arrays that are part of a gradient; inference records none."""
    backend = backends.get(name, device="cpu")
    x = backend.asarray([1.0, 2.0])
    if name == "torch":
        x.requires_grad_()
        with backend.inference():
            assert not (x * 2).requires_grad
        assert (x * 2).requires_grad
    with backend.inference():
        same_bits(backend.to_numpy(x * 2), [2.0, 4.0])
    same_bits(backend.to_numpy(x * 2), [2.0, 4.0])


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_of_finds_the_backend_of_an_array(lib: Library) -> None:
    """Each array has its backend; one of any other library that follows the standard loops as NumPy does."""
    assert backends.of(lib.array(np.zeros(2))) is CLASSES.get(lib.name, NumPy)
    assert backends.of(array_api_strict.zeros(1)) is NumPy
    assert jax.jit(lambda x: int(backends.of(x) is Jax))(np.zeros(1)) == 1


@law(seed=seeds, weight=st.sampled_from([1.0, 0.5, -1 / 3]))
def test_adder_adds_a_product(lib: Library, seed: int, weight: float) -> None:
    """adder(weight) is (y, u, h) -> y + weight h u, broadcast, and leaves all three as they were."""
    y, u, h = arrays(seed, 2, 3, 4), arrays(seed + 1, 2, 3, 4), arrays(seed + 2, 1, 1, 4)
    given = [lib.array(values) for values in (y, u, h)]
    agree(lib.host(backends.of(given[0]).adder(weight)(*given)), y + weight * h * u)
    for got, values in zip(given, (y, u, h), strict=True):
        same_bits(lib.host(got), values)


@law(seed=seeds, steps=st.integers(1, 4))
def test_scan_folds_a_tree_row_by_row(lib: Library, seed: int, steps: int) -> None:
    """scan(body, carry, tables) is the loop `for row: carry = body(carry, row)`, for trees of tables with None leaves."""
    a, b, c = (arrays(seed + i, steps, 2) for i in range(3))
    left, right = arrays(seed + 3, 2), arrays(seed + 4, 2)
    tables = Pair((lib.array(a), None), Pair(lib.array(b), (lib.array(c),)))

    def body(carry: Any, row: Any) -> Any:
        (x, none), inner = row
        assert none is None and isinstance(row, Pair) and isinstance(inner, Pair)
        return carry[0] * inner.left + x, carry[1] - carry[0] * inner.right[0]

    got = backends.of(lib.array(left)).scan(body, (lib.array(left), lib.array(right)), tables)
    for n in range(steps):
        left, right = left * b[n] + a[n], right - left * c[n]
    agree(got[0], left)
    agree(got[1], right)


def test_rows_walk_to_the_shortest_table() -> None:
    """None stays None for as long as there are rows; a tuple stays a tuple, a named one itself."""
    walked = list(rows(Pair(np.arange(6).reshape(3, 2), (None, np.ones(3)))))
    assert [type(row) for row in walked] == [Pair] * 3
    assert [(row.left.tolist(), row.right) for row in walked] == [
        ([0, 1], (None, 1)),
        ([2, 3], (None, 1)),
        ([4, 5], (None, 1)),
    ]


@law(DIFFERENTIABLE, share=0.5, seed=seeds)
def test_vjp_is_the_transposed_jacobian(lib: Library, seed: int) -> None:
    """v^T J of tanh(x M) is (v (1 - tanh^2)) M^T, and the value comes along; vjp of vjp works."""
    matrix, x, v = arrays(seed, 3, 3), arrays(seed + 1, 2, 3), arrays(seed + 2, 2, 3)
    backend = backends.of(lib.array(x))
    value, pull = backend.vjp(lambda x: namespace(x).tanh(x @ lib.array(matrix)), lib.array(x))
    expected = np.tanh(x @ matrix)
    agree(value, expected)
    agree(pull(lib.array(v)), (v * (1 - expected**2)) @ matrix.T)
    agree(pull(lib.array(2 * v)), 2 * (v * (1 - expected**2)) @ matrix.T)
    _, twice = backend.vjp(lambda x: backend.vjp(lambda y: y**3, x)[1](lib.array(v)), lib.array(x))
    agree(twice(lib.array(v)), 6 * x * v * v)


@pytest.mark.parametrize("lib", [lib for lib in LIBRARIES if lib not in DIFFERENTIABLE], ids=repr)
def test_vjp_needs_derivatives(lib: Library) -> None:
    """NumPy has none, and says who has."""
    with refused(UnsupportedError, "torch or jax", "gdm.backends.get('torch')"):
        backends.of(lib.array(np.zeros(1))).vjp(lambda x: x, lib.array(np.zeros(1)))


@pytest.mark.parametrize("name", KINDS)
def test_compile_changes_nothing_but_speed(name: str) -> None:
    """The compiled function returns what the function returns."""
    backend = backends.get(name, device="cpu")

    def function(x: Any) -> Any:
        return x * x + 1

    compiled = backend.compile(function)
    if name != "torch":  # inductor needs a C compiler; torch.compile is tried in test_tracing
        same_bits(backend.to_numpy(compiled(backend.asarray([1.0, 2.0]))), [2.0, 5.0])
    assert callable(compiled) and (compiled is function) == (name == "numpy")


@pytest.mark.parametrize(
    ("name", "words"),
    [("pytorch", "'torch'"), ("Jax", "'jax'"), ("tensorflow", "numpy"), ("", "numpy"), (None, "numpy")],
)
def test_unknown_backends(name: Any, words: str) -> None:
    """The message lists the backends and guesses."""
    with refused(BackendError, "backend: expected one of ('numpy', 'torch', 'jax')", repr(name), words):
        backends.get(name)


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("numpy", "cuda"),
        ("torch", "cuda:99"),
        ("torch", "gpu"),
        ("torch", "no device"),
        ("jax", "tpu:77"),
        ("jax", "cpu:99"),
        ("jax", "cpu:x"),
    ],
)
def test_unknown_devices(name: str, device: str) -> None:
    """A device that is not there is refused when it is asked for, not at the first array."""
    with refused(BackendError, f"device of {name}: expected", repr(device)):
        backends.get(name, device=device)


@pytest.mark.parametrize("name", KINDS)
def test_unknown_precisions(name: str) -> None:
    """What there is is listed, and the nearest named: float16 is nobody's, bfloat16 is torch's and JAX's."""
    known, close = ("float32", "tf32", "bfloat16", "float64"), "bfloat16"
    if name == "numpy":
        known, close = ("float32", "float64"), "float"
    with refused(BackendError, f"precision: expected one of {known}", f"'float16'; did you mean '{close}"):
        backends.get(name, precision="float16")


def test_jax_makes_float64_only_when_told() -> None:
    """Without 64-bit mode JAX would hand out float32 silently: that is refused."""
    jax.config.update("jax_enable_x64", False)
    try:
        with refused(BackendError, "jax_enable_x64"):
            backends.get("jax", precision="float64")
    finally:
        jax.config.update("jax_enable_x64", True)


def test_a_framework_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install; an error inside gdm is not taken for a missing framework."""

    def broken(missing: str) -> Any:
        def load(module: str) -> Any:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

        return load

    monkeypatch.setattr(backends.importlib, "import_module", broken("jaxlib.xla"))
    with refused(BackendError, "'jax' needs jaxlib", 'pip install "gdm[jax]"'):
        backends.get("jax")
    monkeypatch.setattr(backends.importlib, "import_module", broken("gdm.nonsense"))
    with pytest.raises(ModuleNotFoundError, match="nonsense"):
        backends.get("jax")


# How many samples at once


def test_a_cpu_takes_64_samples_at_once() -> None:
    for name in KINDS:
        backend = backends.get(name, device="cpu")
        sizes = [backend.batch_for(print, lambda count: (), most) for most in (1, 63, 64, 50000)]  # nothing is called
        assert sizes == [1, 63, 64, 64] and backend.world().size == 1


def test_a_gpu_takes_what_fits_into_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call takes 3 bytes a sample on top of 100 that stay; 70 % of what is free, cached blocks included, is used."""
    used, calls = {"now": 0, "peak": 0, "reserved": 500}, []

    def call(count: int) -> None:
        calls.append(count)
        used["now"] = 100
        used["peak"] = max(used["peak"], 100 + 3 * count)

    def reset(_: Any) -> None:
        used["peak"] = used["now"]

    for name, function in {
        "memory_allocated": lambda _: used["now"],
        "reset_peak_memory_stats": reset,
        "synchronize": lambda _: None,
        "max_memory_allocated": lambda _: used["peak"],
        "memory_reserved": lambda _: used["reserved"],
        "mem_get_info": lambda _: (600, 8000),
    }.items():
        monkeypatch.setattr(torch.cuda, name, function)
    device = torch.device("cuda")
    assert memory.batch_for(device, call, most=50000) == 128  # of 0.7 x (600 + 400) / 3 = 233, a power of two
    assert memory.batch_for(device, call, most=5) == 5 and calls == [8, 8, 5, 5]


@pytest.mark.parametrize(
    ("free", "most", "expected"),
    [(1e12, 50000, 1024), (1e12, 700, 700), (0, 50, 1), (1000, 50, 50), (1000, 500, 64), (910, 500, 32)],
)
def test_batches_are_of_a_sensible_size(free: float, most: int, expected: int) -> None:
    assert memory.fitting(free, 10.0, most) == expected
