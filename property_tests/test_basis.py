"""A basis is an orthogonal matrix U: coordinates are U^T x, and U diagonalises the blur it is named after."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from gdm import Basis
from gdm.errors import BasisError, DTypeError, GDMError, ShapeError
from property_tests.support import EVENTS, LIBRARIES, Library, agree, arrays, events, refused, same_bits
from reference import bases

Shape = tuple[int, ...]

NAMES = ("pixel", "cosine", "blur", "haar")
libraries = pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
names = st.sampled_from(NAMES)
shapes = events() | st.sampled_from([(6,), (3, 4)])
any_shape = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7))
sigmas = st.floats(0.2, 0.84)
LINES: dict[str, Callable[[int], np.ndarray]] = {
    "pixel": np.eye,
    "cosine": bases.dct_matrix,
    "blur": bases.dst_matrix,
    "haar": bases.haar_matrix,
}


def rotation(n: int, seed: int) -> np.ndarray:
    """Return a random orthogonal n x n matrix."""
    return np.linalg.qr(arrays(seed, n, n))[0]


@st.composite
def any_basis(draw: st.DrawFn) -> Basis:
    """Draw any basis, one from a matrix over some of the last axes too."""
    shape = draw(shapes)
    name = draw(st.sampled_from([*NAMES, "matrix", *["opponent"] * (len(shape) == 3 and shape[0] == 3)]))
    if name == "opponent":
        return Basis.opponent(shape)
    if name != "matrix":
        return Basis.named(name, shape)
    axis, seed = draw(st.integers(0, len(shape) - 1)), draw(st.integers(0, 99))
    return Basis.from_matrix(shape, rotation(math.prod(shape[axis:]), seed))


def reference_matrix(name: str, shape: Shape) -> np.ndarray:
    """Return U of a whole event, (d, d), from the reference."""
    line = LINES[name]
    if len(shape) == 1:
        return line(*shape)
    return bases.image_matrix(line(shape[-2]), line(shape[-1]), math.prod(shape[:-2]))


def matrix(basis: Basis, lib: Library) -> np.ndarray:
    """Return U of a whole event, (d, d): its columns are the synthesised unit vectors."""
    units = np.eye(math.prod(basis.shape)).reshape(-1, *basis.shape)
    return lib.host(basis.synthesize(lib.array(units))).reshape(len(units), -1).T


# U


@libraries
@given(any_basis())
def test_u_is_orthogonal_and_analyze_is_its_transpose(lib: Library, basis: Basis) -> None:
    U, d = matrix(basis, lib), math.prod(basis.shape)
    agree(U.T @ U, np.eye(d), 1e-13)
    units = lib.array(np.eye(d).reshape(-1, *basis.shape))
    agree(lib.host(basis.analyze(units)).reshape(d, d), U, 1e-13)


@libraries
@given(names, shapes)
def test_u_is_the_reference_matrix(lib: Library, name: str, shape: Shape) -> None:
    agree(matrix(Basis.named(name, shape), lib), reference_matrix(name, shape), 1e-13)


@libraries
@given(any_basis(), st.integers(0, 99))
def test_analyze_and_synthesize_invert_each_other(lib: Library, basis: Basis, seed: int) -> None:
    x = arrays(seed, 2, *basis.shape)
    check = same_bits if basis.name == "pixel" else agree
    check(basis.synthesize(basis.analyze(lib.array(x))), x)
    check(basis.analyze(basis.synthesize(lib.array(x))), x)


@libraries
@given(events(), st.integers(0, 99))
def test_cosine_and_blur_are_scipys_transforms(lib: Library, shape: Shape, seed: int) -> None:
    x = arrays(seed, 2, *shape)
    for basis, transform, kind in ((Basis.cosine(shape), scipy.fft.dctn, 2), (Basis.blur(shape), scipy.fft.dstn, 1)):
        agree(basis.analyze(lib.array(x)), transform(x, kind, axes=(-2, -1), norm="ortho"), 1e-13)


@given(st.integers(1, 700))
@settings(max_examples=8)
def test_large_transforms_keep_their_digits(r: int) -> None:
    """Angles are reduced before the cosine: the error of a 512-point transform is that of a small one."""
    agree(Basis.cosine((r,)).factors[0].T, scipy.fft.dct(np.eye(r), norm="ortho", axis=0), 3e-15)
    agree(Basis.blur((r,)).factors[0].T, scipy.fft.dst(np.eye(r), 1, norm="ortho", axis=0), 3e-15)


@libraries
@given(any_basis(), st.integers(0, 99))
def test_float32_stays_float32(lib: Library, basis: Basis, seed: int) -> None:
    x = lib.array(arrays(seed, 2, *basis.shape).astype(np.float32))
    for y in (basis.analyze(x), basis.synthesize(x)):
        assert y.dtype == x.dtype and type(y) is type(x)
    agree(basis.synthesize(basis.analyze(x)), lib.host(x), 1e-5)


@libraries
@given(events(), st.integers(1, 2), st.integers(0, 99))
def test_a_matrix_acts_on_the_last_axes(lib: Library, shape: Shape, axes: int, seed: int) -> None:
    n = math.prod(shape[-axes:])
    U, x = rotation(n, seed), arrays(seed + 1, 2, *shape)
    basis = Basis.from_matrix(shape, U)
    flat = x.reshape(2, -1, n)
    agree(basis.analyze(lib.array(x)), np.einsum("ni,bcn->bci", U, flat).reshape(x.shape))
    agree(basis.synthesize(lib.array(x)), np.einsum("ni,bci->bcn", U, flat).reshape(x.shape))


# The blur that a basis diagonalises


def off_diagonal(W: np.ndarray, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return U^T W U as its diagonal and the rest."""
    D = U.T @ W @ U
    return np.diag(D), D - np.diag(np.diag(D))


@libraries
@given(events(), sigmas)
def test_the_blur_basis_diagonalises_the_zero_padded_blur(lib: Library, shape: Shape, sigma: float) -> None:
    """W = U D U^T (A.4) for the blur of each channel, whose eigenvalues fall along `order`."""
    channels, height, width = shape
    basis = Basis.blur(shape, sigma)
    W = np.kron(np.eye(channels), bases.blur_matrix_2d(height, width, sigma))
    eigenvalues, rest = off_diagonal(W, matrix(basis, lib))
    agree(rest, np.zeros_like(rest), 1e-13)
    falling = eigenvalues.reshape(channels, -1)[0][np.argsort(basis.order[0].ravel())]
    assert (np.diff(falling) < 1e-12).all()


@libraries
@given(events(), st.floats(0.2, 9))
def test_the_cosine_basis_diagonalises_reflecting_blurs(lib: Library, shape: Shape, sigma: float) -> None:
    """Of any width, wider than the image too."""
    channels, height, width = shape
    kernel = np.exp(-(np.arange(-13, 14) ** 2) / (2 * sigma**2))
    W = np.kron(*(bases.reflecting_matrix(n, list(kernel / kernel.sum())) for n in (height, width)))
    _, rest = off_diagonal(np.kron(np.eye(channels), W), matrix(Basis.cosine(shape), lib))
    agree(rest, np.zeros_like(rest), 1e-13)


# Orders of frequency


def haar_ranks(height: int, width: int) -> np.ndarray:
    """Rank Haar coordinates by the sum of the squared inverse supports (a constant's is 0), ties by (i + j, i, j)."""

    def scale(n: int, i: int) -> float:
        return 0.0 if i == 0 else 1 / np.count_nonzero(bases.haar_matrix(n)[:, i]) ** 2

    down, across = [scale(height, i) for i in range(height)], [scale(width, j) for j in range(width)]
    pairs = sorted(np.ndindex(height, width), key=lambda ij: (round(down[ij[0]] + across[ij[1]], 12), sum(ij), ij))
    ranks = np.empty((height, width), np.int64)
    for rank, pair in enumerate(pairs):
        ranks[pair] = rank
    return ranks


@given(any_shape, sigmas)
def test_orders_are_the_reference_ranks(shape: Shape, sigma: float) -> None:
    """The same in every channel."""
    _, height, width = shape
    for basis, ranks in (
        (Basis.pixel(shape), np.arange(height * width).reshape(height, width)),
        (Basis.cosine(shape), bases.cosine_ranks(height, width)),
        (Basis.blur(shape), bases.blur_ranks(height, width)),
        (Basis.blur(shape, sigma), bases.blur_ranks(height, width, sigma)),
    ):
        same_bits(basis.order, np.broadcast_to(ranks, shape), repr(basis))


@given(any_shape)
def test_the_haar_order_is_by_support(shape: Shape) -> None:
    same_bits(Basis.haar(shape).order, np.broadcast_to(haar_ranks(*shape[1:]), shape))


@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_ties_of_large_images_are_true_ties(size: tuple[int, int]) -> None:
    same_bits(Basis.cosine((1, *size)).order[0], bases.cosine_ranks(*size))
    same_bits(Basis.blur((1, *size)).order[0], bases.blur_ranks(*size))


@given(st.integers(1, 30))
def test_orders_of_a_sequence_rise(n: int) -> None:
    for name in ("pixel", "cosine", "blur"):
        same_bits(Basis.named(name, (n,)).order, np.arange(n))


@given(events(), st.data())
def test_a_matrix_has_the_order_given(shape: Shape, data: st.DataObject) -> None:
    n = math.prod(shape[1:])
    order = data.draw(st.permutations(range(n)))
    same_bits(Basis.from_matrix(shape, np.eye(n)).order.reshape(-1, n), [range(n)] * shape[0])
    same_bits(Basis.from_matrix(shape, np.eye(n), order).order.reshape(-1, n), [order] * shape[0])


# Cost


@libraries
@pytest.mark.parametrize("name", NAMES)
def test_a_large_image_needs_one_small_matrix_per_axis(lib: Library, name: str) -> None:
    """O(r^3) work and two r x r matrices; the r^2 x r^2 one would have 34 GB."""
    shape = (3, 256, 240)
    basis = Basis.named(name, shape)
    assert [f.shape for f in basis.factors] == ([] if name == "pixel" else [(256, 256), (240, 240)])
    x = arrays(0, 1, *shape)
    agree(basis.synthesize(basis.analyze(lib.array(x))), x)


@libraries
def test_opponent_colours_act_on_the_channels(lib: Library) -> None:
    """U is the 3 x 3 matrix of every pixel; the first coordinate is the intensity, and grey has no other."""
    basis = Basis.opponent((3, 2, 4))
    lines = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3], [2], [6]])
    agree(matrix(basis, lib), np.kron(lines.T, np.eye(8)), 1e-13)
    grey = np.repeat(arrays(0, 2, 1, 2, 4), 3, axis=1)
    coordinates = lib.host(basis.analyze(lib.array(grey)))
    agree(coordinates, np.concatenate([np.sqrt(3) * grey[:, :1], np.zeros((2, 2, 2, 4))], axis=1))


# Values and errors


def test_equal_bases_are_equal() -> None:
    made = [Basis.named(name, shape) for name in NAMES for shape in EVENTS]
    again = [Basis.named(name, list(shape)) for name in NAMES for shape in EVENTS]
    assert made == again and list(map(hash, made)) == list(map(hash, again))
    assert len(set(made)) == len(made)
    shape = EVENTS[0]
    assert Basis.pixel(shape) != Basis.from_matrix(shape, np.eye(16)) != np.eye(16)
    assert Basis.from_matrix(shape, np.eye(16)) != Basis.from_matrix(shape, np.eye(16), range(16)[::-1])
    assert Basis.from_matrix(shape, rotation(16, 0)) != Basis.from_matrix(shape, rotation(16, 1))
    assert repr(made[0]) == "Basis.pixel((1, 4, 4))"


def test_bases_are_frozen() -> None:
    U = rotation(4, 0)
    basis = Basis.from_matrix((1, 4), U)
    kept, U[0] = U.copy(), 0
    same_bits(basis.factors[0], kept)
    for other in (copy.deepcopy(basis), pickle.loads(pickle.dumps(basis))):
        assert other == basis and hash(other) == hash(basis)
        assert not other.order.flags.writeable and not other.factors[0].flags.writeable
    for array in (*basis.factors, basis.order):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


SHEAR = np.array([[1.0, 1.0], [0.0, 1.0]])
REFUSED: list[tuple[type[GDMError], Callable[[], Any], tuple[str, ...]]] = [
    (BasisError, lambda: Basis.opponent((1, 4, 4)), ("expected an RGB image's shape", "(1, 4, 4)")),
    (BasisError, lambda: Basis.named("cosin", (1, 2, 2)), ("'cosin'", "did you mean 'cosine'?", "haar")),
    *(
        (BasisError, lambda name=name, shape=shape: Basis.named(name, shape), ("event shape such as", str(shape)))
        for name in NAMES
        for shape in ((), (0,), (1, 0, 4), (1, -2, 4))
    ),
    (BasisError, lambda: Basis.blur((1, 4, 4), 0.0), ("sigma > 0", "got 0.0")),
    (BasisError, lambda: Basis.blur((1, 4, 4), -1.0), ("sigma > 0", "got -1.0")),
    (BasisError, lambda: Basis.blur((1, 4, 4), math.nan), ("sigma > 0", "got nan")),
    (BasisError, lambda: Basis.blur((1, 99, 2), 0.85), ("sigma = 0.85", "use sigma < 0.84", "Basis.cosine")),
    (BasisError, lambda: Basis.from_matrix((1, 2, 2), np.eye(3)), ("one of [4, 4, 2]", "got (3, 3)")),
    (BasisError, lambda: Basis.from_matrix((2, 3), np.ones((3, 2))), ("n x n", "got (3, 2)")),
    (BasisError, lambda: Basis.from_matrix((2,), np.ones(2)), ("n x n", "got (2,)")),
    (BasisError, lambda: Basis.from_matrix((2,), SHEAR), ("1.0e+00", "np.linalg.qr")),
    (BasisError, lambda: Basis.from_matrix((2,), (1 + 1e-6) * np.eye(2)), ("2.0e-06", "np.linalg.qr")),
    (BasisError, lambda: Basis.from_matrix((2,), np.full((2, 2), np.nan)), ("nan",)),
    (BasisError, lambda: Basis.from_matrix((2,), np.eye(2), (0, 0)), ("each rank 0 to 1 once", "(0, 0)")),
    (BasisError, lambda: Basis.from_matrix((2,), np.eye(2), (0,)), ("each rank 0 to 1 once",)),
    (DTypeError, lambda: Basis.cosine((2,)).analyze([[1.0, 2.0]]), ("expected an array", "got list")),  # type: ignore[type-var]
]


@pytest.mark.parametrize(("kind", "call", "words"), REFUSED)
def test_errors_say_what_was_expected_and_what_came(
    kind: type[GDMError], call: Callable[[], Any], words: tuple[str, ...]
) -> None:
    with refused(kind, *words):
        call()


@libraries
@pytest.mark.parametrize("name", NAMES)
def test_arrays_that_do_not_fit_are_refused(lib: Library, name: str) -> None:
    basis = Basis.named(name, (1, 4, 4))
    for act, letter in ((basis.analyze, "x"), (basis.synthesize, "c")):
        with refused(ShapeError, f"{letter}: expected (batch, 1, 4, 4)", "got (2, 1, 4, 3)", "for this shape"):
            act(lib.array(np.zeros((2, 1, 4, 3))))
        with refused(ShapeError, "got (1, 4, 4)", "add a batch axis"):
            act(lib.array(np.zeros((1, 4, 4))))
        with refused(DTypeError, f"{letter}: expected floating-point numbers", "int64", "x / 127.5 - 1"):
            act(lib.array(np.zeros((2, 1, 4, 4), np.int64)))


def test_the_widest_blur_that_can_be_inverted() -> None:
    """exp(-1 / 2 sigma^2) < 1/2 keeps every eigenvalue positive whatever the size: sigma < 0.849."""
    agree(Basis.blur((1, 500, 500), 0.84).order.max(), 500 * 500 - 1)
