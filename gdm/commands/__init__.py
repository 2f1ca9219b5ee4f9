"""The commands of `gdm`, a module each, and the arguments that several of them take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from typing import get_args

from gdm import extractors
from gdm.config import Precision
from gdm.errors import nearest
from gdm.solver import SOLVERS

BACKENDS = ("torch", "jax", "numpy")


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Return an argparse type that accepts these names, and suggests the nearest for others."""
    known = tuple(names)

    def check(text: str) -> str:
        if text not in known:
            expected = f"expected one of {', '.join(known)}"
            raise argparse.ArgumentTypeError(f"{expected}, got {text!r}{nearest(text, known)}")
        return text

    return check


def extractor_name(text: str) -> str:
    """An argparse type: the name of an extractor, or MODULE:FUNCTION."""
    return text if ":" in text else one_of((*extractors.NAMES, "MODULE:FUNCTION"))(text)


def whole(text: str) -> int:
    """An argparse type: a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """An argparse type: a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def several(text: str) -> int:
    """An argparse type: a whole number from 2, since one has no deviation."""
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number from 2, got {text!r}")
    return int(text)


def none_or_several(text: str) -> int:
    """An argparse type: 0, or a whole number from 2."""
    return 0 if text == "0" else several(text)


def number(text: str) -> float:
    """An argparse type: a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return value


def step_budget(text: str) -> int | tuple[int, ...]:
    """An argparse type: a number of steps in all, or one per group, as in 16,16,8,8."""
    return tuple(positive(part.strip()) for part in text.split(",")) if "," in text else positive(text)


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add --backend and --device."""
    backend = f"who computes: {', '.join(BACKENDS)} (the config's)"
    parser.add_argument("--backend", type=one_of(BACKENDS), metavar="NAME", help=backend)
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, ... (the best there is)")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --checkpoint, --backend, --device and --precision: which network of a run, and who computes it."""
    older = "of this training step, if the run kept one (the latest)"
    parser.add_argument("--checkpoint", type=whole, metavar="STEP", help=older)
    add_backend(parser)
    precisions = get_args(Precision)
    precision = f"of the network: {', '.join(precisions)} (as trained)"
    parser.add_argument("--precision", type=one_of(precisions), metavar="NAME", help=precision)


def add_sampling(parser: argparse.ArgumentParser, solver: str) -> None:
    """Add --seed, --steps and --solver, with this default."""
    seed, steps = "the same seed gives the same images (0)", "in all, or one per group: 16,16,8,8 (64)"
    names = f"{', '.join(SOLVERS)} ({solver})"
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help=seed)
    parser.add_argument("--steps", type=step_budget, default=64, metavar="N", help=steps)
    parser.add_argument("--solver", type=one_of(SOLVERS), default=solver, metavar="NAME", help=names)
