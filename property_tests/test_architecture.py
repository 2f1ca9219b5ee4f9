"""Laws of the code itself: which way imports point, what is public, and that a test here can fail."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from gdm.errors import BudgetError, GDMError, ShapeError
from property_tests.problems import law
from property_tests.support import LIBRARIES, Library, agree, refused, same_bits

ROOT = Path(__file__).parent.parent
GDM = sorted((ROOT / "gdm").rglob("*.py"))
TESTS = sorted((ROOT / "property_tests").rglob("*.py"))
REFERENCE = sorted((ROOT / "reference").rglob("*.py"))

# A module imports from rows above its own, never from its own or below. A package is named once, with all it holds.
LAYERS = (
    ("errors", "frequency", "version"),
    ("arrays", "wording"),
    ("pixels", "fused", "augment"),
    ("partition", "basis", "path"),
    ("families", "corner"),
    ("schedule",),
    ("groupings", "objective", "solver", "conditioning"),
    ("architecture", "draws"),
    ("learning",),
    ("parameters",),
    ("state",),
    ("backends",),
    ("flow",),
    ("likelihood", "latents", "oracle", "metrics", "statistics", "names", "extractors"),
    ("strict", "presets", "choices"),
    ("config",),
    ("images", "files", "machine", "progress"),
    ("sources", "decoding"),
    ("gathering",),
    ("data", "checkpoint", "events", "feature_cache", "tables"),
    ("canvas", "ticks"),
    ("logbook", "sampling"),
    ("task",),
    ("model",),
    ("loading",),
    ("rounds", "preparation", "intake", "analysis", "sweep"),
    ("encoding",),
    ("resume", "writers", "fidelity", "latent_files"),
    ("training", "trial", "scores"),
    ("panels", "diagrams", "plots", "figures"),
    ("editing", "completing", "sweep_figures"),
    ("explorer",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}

PUBLIC = {
    "Basis", "GDMError", "Partition", "Schedule",
    "backends", "complete", "direction_loss", "draw_latents", "encode", "generate",
    "interpolate", "latents", "load", "log_likelihood", "oracle",
}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    """Yield the full names that a file imports when it runs, inside functions too; not those for type checkers alone."""

    def walk(node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            return
        yield node
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    for node in walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(ROOT).parts[: -node.level]) if node.level else ""
            source = ".".join(part for part in (package, node.module) if part)
            yield from (f"{source}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    """Return the name in LAYERS under which a file of gdm goes."""
    return path.relative_to(ROOT / "gdm").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", GDM, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """Errors, arrays, partitions, schedules, solvers, flows, and what is built on them: no arrow goes back."""
    name = room(path)
    if name == "__init__":
        return
    assert name in RANK, f"gdm/{name} has no place in LAYERS; give it the row below all that it imports"
    for full in imports(path):
        first, *rest = full.split(".")
        assert first not in ("reference", "property_tests"), f"{path.name} imports {full}"
        if first == "gdm":
            assert rest, f"{path.name}: import what you need from gdm's modules, not gdm"
            within = rest[0] == name and name in ("backends", "commands", "explorer", "sources")
            assert within or RANK[rest[0]] < RANK[name], f"{path.name} may not import {full}"


@pytest.mark.parametrize("path", GDM, ids=lambda path: str(path.relative_to(ROOT)))
def test_frameworks_stay_in_their_rooms(path: Path) -> None:
    """Only gdm/backends/torch imports torch, only gdm/backends/jax imports jax, only gdm/explorer/page NiceGUI."""
    for full in imports(path):
        framework = full.split(".")[0]
        if framework in ("nicegui", "starlette"):
            assert path.parent == ROOT / "gdm" / "explorer" / "page", f"{path.name} imports {full}"
        if framework in ("torch", "jax"):
            assert (ROOT / "gdm" / "backends" / framework) in path.parents, f"{path.name} imports {full}"


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.name)
def test_the_reference_shares_no_code(path: Path) -> None:
    """The paper is written twice: an agreement of the two is evidence."""
    assert not [full for full in imports(path) if full.split(".")[0] in ("gdm", "torch", "jax")]


def test_import_gdm_is_light() -> None:
    """`import gdm` loads NumPy and no framework, and nothing that draws, reads images or shows progress."""
    heavy = ("torch", "jax", "matplotlib", "PIL", "scipy", "sklearn", "safetensors", "tqdm", "numba")
    code = f"import sys, gdm; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_public_face() -> None:
    """What `gdm` offers is a list, and a change of it is a decision."""
    tree = ast.parse((ROOT / "gdm" / "__init__.py").read_text())
    names = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name for name in names if not name.startswith("_") and name != "annotations"} == PUBLIC


def public_functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods that a reader may call: not private, not inside another function."""

    def walk(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
                yield node
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from walk(node.body)

    yield from walk(ast.parse(path.read_text()).body)


@pytest.mark.parametrize("path", GDM, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_open_doors_and_no_god_files(path: Path) -> None:
    """No **kwargs that swallows a typo, a docstring on each module, and a file holds one idea: under 400 lines."""
    source = path.read_text()
    doors = [function.name for function in public_functions(path) if function.args.kwarg]
    assert not doors, f"{path.name}: **kwargs in {doors}"
    assert source.count("\n") < 400, f"{path.name} holds two ideas"
    assert path.name == "__main__.py" or ast.get_docstring(ast.parse(source)), f"{path.name} does not say what it is"


# Tests that can fail


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_comparisons_are_not_thrown_away(path: Path) -> None:
    """A comparison as a statement compares nothing; a test that is skipped holds nothing."""
    idle = {"allclose", "isclose", "array_equal", "array_equiv", "equal", "all", "any", "equals"}
    evasions = {"skip", "skipif", "importorskip", "xfail"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Compare)):
            called = getattr(node.value, "func", None)
            name = getattr(called, "attr", getattr(called, "id", None))
            assert isinstance(node.value, ast.Call) and name not in idle, (
                f"line {node.lineno} compares and tells nobody"
            )
        if isinstance(node, ast.Attribute) and "pytest" in ast.unparse(node.value):
            assert node.attr not in evasions, f"line {node.lineno} evades"


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-9]),
        ([1.0, np.nan], [1.0, 2.0]),
        ([np.nan], [np.nan]),
        ([np.inf], [1.0]),
        ([1.0], [np.inf]),
        ([1.0], 1.0),
        ([[1.0, 2.0]], [1.0, 2.0]),
        ([], [1.0]),
        ([-1.0], [1.0]),
    ],
)
def test_the_comparator_raises(lib: Library, got: Any, expected: Any) -> None:
    """Values, NaN, infinity and shapes that differ are differences, in either direction."""
    for first, second in ((lib.array(np.array(got)), expected), (lib.array(np.array(expected)), got)):
        with pytest.raises(AssertionError):
            agree(first, second)
        with pytest.raises(AssertionError):
            same_bits(first, second)


def test_the_comparator_knows_the_last_bit() -> None:
    """`agree` forgives its tolerance and no more; `same_bits` forgives nothing."""
    near = np.nextafter(1.0, 2.0)
    agree([near, -3.0], [1.0, -3.0])
    same_bits([1.0, -3.0], [1.0, -3.0])
    agree([2.0 + 2e-3], [2.0], 1e-3)
    for comparison in (
        lambda: same_bits([near], [1.0]),
        lambda: agree([2.0 + 4e-3], [2.0], 1e-3),
        lambda: agree([1e-9], [0.0]),
    ):
        with pytest.raises(AssertionError):
            comparison()


def test_refused_needs_the_right_error_and_its_words() -> None:
    """No error, another one, a bare builtin or other words are failures of the test."""

    def attempt(error: Exception | None, *words: str) -> None:
        with refused(ShapeError, *words):
            if error is not None:
                raise error

    attempt(ShapeError("expected this, got that"), "expected", "that")
    for error, words in (
        (None, ()),
        (BudgetError("expected"), ()),
        (GDMError("expected"), ()),
        (ShapeError("expected"), ("got",)),
    ):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            attempt(error, *words)
    with pytest.raises(ValueError, match="bare"):
        attempt(ValueError("bare"))


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_a_law_is_tried_and_can_fail(lib: Library, share: float) -> None:
    """`law` runs its check on each library, and a check that raises fails the test."""
    tried = []

    @law(share=share, number=st.integers(0, 1000))
    def holds(library: Library, number: int) -> None:
        tried.append((library, number))

    @law(share=share, number=st.integers(0, 1000))
    def fails(library: Library, number: int) -> None:
        raise AssertionError("as it should")

    holds(lib)
    assert {library for library, _ in tried} == {lib}
    assert len({number for _, number in tried} - {0}) >= (10 if share == 1.0 and lib.name in ("numpy", "torch") else 1)
    with pytest.raises(AssertionError, match="as it should"):
        fails(lib)


def test_a_missing_library_is_an_error() -> None:
    """A library named in GDM_TEST_BACKENDS that is not there stops the tests: they never pass without it."""
    environment = {**os.environ, "GDM_TEST_BACKENDS": "numpy no_such_library"}
    command = [sys.executable, "-c", "import property_tests.support"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode != 0 and "no_such_library" in result.stderr


@pytest.mark.parametrize("path", [path for path in GDM if ">>> " in path.read_text()], ids=lambda path: path.stem)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed
