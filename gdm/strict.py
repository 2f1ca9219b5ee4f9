"""Frozen values that are read strictly: every option is declared once, as a field with a type.

`Literal` lists the choices of an option and `Limit` gives its range. A `Section` converts and checks its
fields when it is made, so one that exists is valid; every error names the dotted key (`training.steps`).
"""

from __future__ import annotations

import functools
import sys
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from gdm.errors import ConfigError, nearest


class Limit(NamedTuple):
    """What a value must satisfy beyond its type, and how an error says it."""

    holds: Callable[[Any], bool]
    words: str


class Section:
    """Fields are converted to their declared types and checked once, when the value is made."""

    __slots__ = ()
    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            object.__setattr__(self, name, convert(_dotted(self.section, name), getattr(self, name), hint))

    def check_given(self, keys: Collection[str]) -> None:
        """Check which options were given at all, after their values were found valid; none is refused here."""


def _dotted(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


@functools.cache
def _hints(section: type[Any]) -> dict[str, Any]:
    """Return the declared type of each option, by name."""
    hints = typing.get_type_hints(section, include_extras=True)
    return {f.name: hints[f.name] for f in fields(section)}


def _build(section: type[Any], raw: Mapping[str, Any]) -> Any:
    """Make a section from a table that may hold its keys and no others."""
    known = _hints(section)
    for key in raw:
        if key not in known:
            hint = _nearest_key(section, str(key)) or ";"
            name = _dotted(section.section, str(key))
            raise ConfigError(f"unknown key {name}{hint} known keys: {', '.join(known)}")
    built = section(**raw)
    built.check_given(raw.keys())
    return built


def _nearest_key(section: type[Any], key: str) -> str:
    """Suggest a key for an unknown one; for a bare name, first the sections below that have it."""
    below = [hint for hint in _hints(section).values() if _is_section(hint)]
    homes = [repr(f"{home.section}.{key}") for home in below if key in _hints(home)]
    if homes:
        return f"; did you mean {' or '.join(homes)}?"
    return nearest(key, _hints(section))


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Section)


_WORDS = {int: "an integer", float: "a finite number", bool: "true or false", str: "text", tuple: "a list"}


def convert(key: str, value: Any, hint: Any) -> Any:
    """Return `value` as the declared type: sections from tables, tuples from lists, floats from integers."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _limited(key, convert(key, value, parts[0]), parts[1])
    if origin is Literal:
        return _choice(key, value, parts)
    if origin is UnionType:  # text or a list
        return convert(key, value, parts[0] if isinstance(value, str) else parts[1])
    if origin is tuple and isinstance(value, list | tuple):
        hints = parts[:1] * len(value) if parts[-1] is ... else parts
        if len(hints) != len(value):
            raise ConfigError(f"{key}: expected {len(hints)} entries, got {value!r}")
        return tuple(_entry(f"{key}[{i}]", entry, hints[i]) for i, entry in enumerate(value))
    if _is_section(hint) and isinstance(value, Mapping):
        return _build(hint, value)
    if _fits(value, origin or hint):
        return hint(value) if hint in (int, float) else value
    expected = _WORDS.get(origin or hint, "a table of keys")
    raise ConfigError(f"{key}: expected {expected}, got {value!r} ({type(value).__name__})")


def _entry(key: str, value: Any, hint: Any) -> Any:
    """Convert an entry of a list; a section says in its errors where in the list it stands."""
    if not _is_section(hint):
        return convert(key, value, hint)
    try:
        return convert(key, value, hint)
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"{hint.section}.", f"{key}.")) from error


def _fits(value: Any, kind: Any) -> bool:
    if kind is int:
        return _is_number(value, Integral)
    if kind is float:  # the comparison refuses NaN, infinity and integers too long for a float
        return _is_number(value, Real) and -sys.float_info.max <= value <= sys.float_info.max
    return kind is not tuple and isinstance(value, kind)


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)  # to Python, True is an integer


def _limited(key: str, value: Any, limit: Limit) -> Any:
    if not limit.holds(value):
        raise ConfigError(f"{key}: expected a value {limit.words}, got {value!r}")
    return value


def _choice(key: str, value: Any, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return choice
    guess = nearest(value, choices) if isinstance(value, str) else ""
    raise ConfigError(f"{key}: expected one of {', '.join(map(repr, choices))}, got {value!r}{guess}")


def plain(value: Any) -> Any:
    """Return sections as nested dicts and tuples as lists, ready for JSON. Inverse of `convert`."""
    if isinstance(value, tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Section):
        return {name: plain(getattr(value, name)) for name in _hints(type(value))}
    return value
