"""What can go wrong. Every message says what was expected, what came, and what to do.

Each error is a `GDMError` and the builtin that Python's own code would raise, so both
`except gdm.GDMError` and `except ValueError` work as a reader expects.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GDMError(Exception):
    """The root of every error that gdm raises on purpose."""


class PartitionError(GDMError, ValueError):
    """Groups that overlap, leave holes, or do not fit their event shape."""


class BasisError(GDMError, ValueError):
    """A basis that is not orthogonal, or a blur that cannot be inverted."""


class PathError(GDMError, ValueError):
    """An interpolation path that gdm does not know."""


class IntervalError(GDMError, ValueError):
    """Time intervals that overlap, run backwards, or leave [0, 1]."""


class ShapeError(GDMError, ValueError):
    """Arrays and schedules whose shapes do not fit."""


class TimeRangeError(GDMError, ValueError):
    """A time outside its range."""


class ValueRangeError(GDMError, ValueError):
    """Values that no computation should start from: NaN, infinity, an index out of range."""


class BudgetError(GDMError, ValueError):
    """A step budget that cannot be shared among the groups, or an unknown solver."""


class DTypeError(GDMError, TypeError):
    """Integers where floating point is needed, or the reverse."""


class BackendError(GDMError, RuntimeError):
    """An unknown or missing backend, or arrays of two backends in one call."""


class UnsupportedError(GDMError, NotImplementedError):
    """A request that this backend cannot serve."""


class ConfigError(GDMError, ValueError):
    """A configuration with an unknown key, a wrong type, or a value out of range."""


class DataError(GDMError, ValueError):
    """Data that cannot be read as a set of images."""


class CheckpointError(GDMError, ValueError):
    """A run folder or a checkpoint that cannot be read or written."""


class TrainingError(GDMError, RuntimeError):
    """A training run that cannot go on."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
