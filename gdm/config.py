"""What a run is made of: a TOML file, or a nested mapping, read strictly into frozen values.

Every option is declared once, as a field whose type says what it may hold: `Literal` lists the choices,
`Limit` gives the range. A value is converted and checked when its section is made, so a `Config` that
exists is valid, and every error names the dotted key (`training.steps`).
"""

from __future__ import annotations

import functools
import sys
import tomllib
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from gdm.errors import ConfigError, nearest

if TYPE_CHECKING:
    from gdm.schedule import Schedule


class Limit(NamedTuple):
    """What a value must satisfy beyond its type, and how an error says it."""

    holds: Callable[[Any], bool]
    words: str


Natural = Annotated[int, Limit(lambda value: value >= 0, "at least 0")]
Count = Annotated[int, Limit(lambda value: value >= 1, "at least 1")]
Seed = Annotated[int, Limit(lambda value: 0 <= value < 2**63, "from 0 to 2^63 - 1")]
NotNegative = Annotated[float, Limit(lambda value: value >= 0, "at least 0")]
Positive = Annotated[float, Limit(lambda value: value > 0, "above 0")]
Fraction = Annotated[float, Limit(lambda value: 0 <= value < 1, "at least 0 and below 1")]

Kind = Literal["vanilla", "blockwise", "rows", "columns", "cascade", "autoregressive", "channels", "bands"]

# The options that only some kinds of schedule read. Setting one for another kind is an error, not a no-op.
_CUT = ("blockwise", "rows", "columns", "channels", "bands")
_USED_BY: dict[str, tuple[str, ...]] = {
    "grid": ("blockwise",),
    "groups": ("rows", "columns"),
    "factor": ("cascade",),
    "stages": ("cascade",),
    "inverse": ("cascade",),
    "edges": ("bands",),
    "basis": ("bands",),
    "order": (*_CUT, "autoregressive"),
    "order_seed": ("blockwise", "rows", "columns", "channels", "autoregressive"),
    "overlap": (*_CUT, "cascade"),
}


class _Section:
    """Fields are converted to their declared types and checked once, when the value is made."""

    __slots__ = ()
    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            object.__setattr__(self, name, _convert(_dotted(self.section, name), getattr(self, name), hint))


@dataclass(frozen=True, slots=True)
class DataConfig(_Section):
    """Which images to train on, and how they are brought to one shape; see `gdm.data.load`."""

    section: ClassVar[str] = "data"
    source: str = "digits"  # "digits", a folder of images or an .npz; relative to the current directory
    size: Natural = 0  # pixels: resize the shorter side and crop the centre; 0 = as stored
    channels: Literal[0, 1, 3] = 0  # 1 = grey, 3 = RGB, 0 = as the data
    labels: bool = False  # read class labels, for a class-conditional model
    flip: bool = False  # mirror half of the training images, left to right


@dataclass(frozen=True, slots=True)
class ScheduleConfig(_Section):
    """How an image splits into groups, and when each is generated; see `build_schedule`."""

    section: ClassVar[str] = "schedule"
    kind: Kind = "blockwise"
    grid: tuple[Count, ...] = (2, 2)  # blockwise: blocks from top to bottom, from left to right
    groups: Count = 2  # rows, columns: how many
    factor: Annotated[int, Limit(lambda value: value >= 2, "at least 2")] = 2  # cascade: ratio of the stages
    stages: Count = 2  # cascade: how many
    inverse: bool = False  # cascade: the finest stage first
    edges: tuple[Count, ...] = ()  # bands: frequency ranks where a new band begins
    basis: Literal["cosine", "blur", "haar"] = "cosine"  # bands: which frequencies
    order: str | tuple[Natural, ...] = ""  # group numbers in order of generation, or an order's name
    order_seed: Seed = 0  # which order, if order = "random"
    intervals: tuple[tuple[float, float], ...] = ()  # (start, end) in order of generation; empty = equal
    overlap: bool = False  # intervals may overlap
    path: Literal["linear", "trigonometric"] = "linear"

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        _reject_unused(self.kind, [f.name for f in fields(self) if getattr(self, f.name) != f.default])
        if self.order_seed and self.order != "random":
            remedy = 'it is for schedule.order = "random"; remove it or change the order'
            raise ConfigError(f"schedule.order_seed has no effect for {self.order!r}: {remedy}")
        if self.kind == "bands" and not self.edges:
            raise ConfigError("schedule.edges: expected frequency ranks, such as [30, 100], got ()")
        if self.kind == "bands" and isinstance(self.order, str) and self.order:
            raise ConfigError(f"schedule.order: expected a list for bands, like [1, 0], got {self.order!r}")


@dataclass(frozen=True, slots=True)
class NetworkConfig(_Section):
    """The size of the network."""

    section: ClassVar[str] = "network"
    kind: Literal["unet"] = "unet"
    channels: Count = 128  # features at full resolution
    multipliers: Annotated[tuple[Count, ...], Limit(bool, "with at least one level")] = (2, 2, 2)
    blocks: Count = 4  # residual blocks per level
    attention: tuple[Count, ...] = (16,)  # resolutions, in pixels, that have self-attention
    dropout: Fraction = 0.13
    conditioning: Literal["map", "film"] = "map"  # A(t) as input planes, or through the embedding


@dataclass(frozen=True, slots=True)
class TrainingConfig(_Section):
    """How long, how fast and towards which loss."""

    section: ClassVar[str] = "training"
    steps: Count = 10_000
    minutes: NotNegative = 0.0  # stop after this much wall-clock time; 0 = never
    batch: Count = 128
    learning_rate: Positive = 1e-3
    warmup: Natural = 0  # steps of linear warm-up
    decay: Literal["constant", "linear"] = "constant"  # of the learning rate, after the warm-up
    ema: Fraction = 0.999  # decay per step of the averaged weights
    weighting: Literal["uniform", "active", "rate"] = "uniform"
    mask_pending: bool = False  # hide the groups that are still noise from the network
    times: Literal["uniform", "stratified"] = "uniform"
    clip: NotNegative = 1.0  # largest gradient norm; 0 = off
    save_every: Count = 1000  # steps between checkpoints
    log_every: Count = 50  # steps between lines of the log


@dataclass(frozen=True, slots=True)
class Config(_Section):
    """A whole run. Frozen, hashable, valid by construction.

    Raises: ConfigError for a value of a wrong type or out of range, naming its dotted key

    >>> Config(training=TrainingConfig(steps=500)).training.steps
    500
    """

    backend: Literal["numpy", "torch", "jax"] = "torch"
    device: str = "auto"
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    seed: Seed = 0
    data: DataConfig = field(default_factory=DataConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a TOML file, then apply `key=value` overrides with dotted keys.

    A value is read as TOML, and as plain text where it is not TOML, so `data.source=my/folder` needs no
    quotes. Overriding `schedule.kind` drops the file's options that only other kinds use.

    Raises: ConfigError for a file that cannot be read, an unknown key, a wrong type or range

    Example: `load("examples/configs/digits.toml", ["training.steps=500", "schedule.grid=[4, 4]"])`
    """
    try:
        # utf-8-sig: some editors begin a file with a byte order mark, which TOML does not allow.
        raw = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        remedy = "give the path of a TOML file, for example examples/configs/digits.toml"
        raise ConfigError(f"cannot read the configuration {path} ({error.strerror}); {remedy}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    _apply(raw, dict(_override(text) for text in overrides))
    return from_dict(raw)


def from_dict(mapping: Mapping[str, Any]) -> Config:
    """Build a `Config` from nested mappings; what is absent keeps its default. Inverse of `to_dict`.

    Raises: ConfigError for an unknown key, a wrong type or range
    """
    return _convert("config", mapping, Config)


def to_dict(config: Config) -> dict[str, Any]:
    """Return nested dicts of lists, numbers and text, ready for JSON. Inverse of `from_dict`."""
    plain = _plain(config)
    plain["schedule"] = {
        key: value for key, value in plain["schedule"].items() if _uses(config.schedule.kind, key)
    }
    return plain


def build_schedule(config: ScheduleConfig, shape: tuple[int, ...]) -> Schedule:
    """Return the schedule that `config` names for events of `shape`, (channels, height, width).

    Raises: GDMError from the schedule's own checks, when the groups or intervals do not fit the shape

    >>> build_schedule(ScheduleConfig(kind="rows", groups=4), (1, 8, 8)).k
    4
    """
    from gdm.schedule import Schedule  # here, so that reading a config loads no array library

    timing: dict[str, Any] = {"intervals": config.intervals or None, "path": config.path}
    seed = config.order_seed if config.order == "random" else None
    order: dict[str, Any] = {"order": config.order or None, "seed": seed}
    cut = {**timing, "overlap": config.overlap}
    match config.kind:
        case "vanilla":
            return Schedule.vanilla(shape, **timing)
        case "blockwise":
            return Schedule.blockwise(shape, config.grid, **order, **cut)
        case "rows":
            return Schedule.rows(shape, config.groups, **order, **cut)
        case "columns":
            return Schedule.columns(shape, config.groups, **order, **cut)
        case "cascade":
            return Schedule.cascade(shape, config.factor, config.stages, config.inverse, **cut)
        case "autoregressive":
            return Schedule.autoregressive(shape, **order, **timing)
        case "channels":
            return Schedule.channels(shape, **order, **cut)
        case "bands":
            return Schedule.bands(shape, config.edges, config.basis, order["order"], **cut)


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
    if section is ScheduleConfig:
        _reject_unused(built.kind, raw)
    return built


def _nearest_key(section: type[Any], key: str) -> str:
    """Suggest a key for an unknown one; for a bare name, first the sections that have it."""
    if section is Config:
        sections = [hint for hint in _hints(Config).values() if _is_section(hint)]
        homes = [repr(f"{section.section}.{key}") for section in sections if key in _hints(section)]
        if homes:
            return f"; did you mean {' or '.join(homes)}?"
    return nearest(key, _hints(section))


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, _Section)


_WORDS = {int: "an integer", float: "a finite number", bool: "true or false", str: "text", tuple: "a list"}


def _convert(key: str, value: Any, hint: Any) -> Any:
    """Return `value` as the declared type: sections from tables, tuples from lists, floats from integers."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _limited(key, _convert(key, value, parts[0]), parts[1])
    if origin is Literal:
        return _choice(key, value, parts)
    if origin is UnionType:  # text or a list
        return _convert(key, value, parts[0] if isinstance(value, str) else parts[1])
    if origin is tuple and isinstance(value, list | tuple):
        hints = parts[:1] * len(value) if parts[-1] is ... else parts
        if len(hints) != len(value):
            raise ConfigError(f"{key}: expected {len(hints)} entries, got {value!r}")
        return tuple(_convert(f"{key}[{i}]", entry, hints[i]) for i, entry in enumerate(value))
    if _is_section(hint) and isinstance(value, Mapping):
        return _build(hint, value)
    if _fits(value, origin or hint):
        return hint(value) if hint in (int, float) else value
    expected = _WORDS.get(origin or hint, "a table of keys")
    raise ConfigError(f"{key}: expected {expected}, got {value!r} ({type(value).__name__})")


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


def _uses(kind: str, key: str) -> bool:
    return kind in _USED_BY.get(key, (kind,))


def _reject_unused(kind: str, keys: Iterable[str]) -> None:
    """Refuse options of `[schedule]` that would change nothing."""
    for key in keys:
        if not _uses(kind, key):
            kinds = ", ".join(_USED_BY[key])
            remedy = f"it is for {kinds}; remove it or change the kind"
            raise ConfigError(f"schedule.{key} has no effect for schedule.kind = {kind!r}: {remedy}")


def _override(text: str) -> tuple[str, Any]:
    """Split `key=value`; the value is TOML if it can be, else text."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals):
        raise ConfigError(f"override {text!r}: expected key=value, for example training.steps=2000")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return key, value
    return key, parsed["value"] if parsed.keys() == {"value"} else value


def _apply(raw: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Write the overrides, by dotted key, into the tables read from a file."""
    kind, schedule = overrides.get("schedule.kind"), raw.get("schedule")
    if isinstance(kind, str) and isinstance(schedule, dict):
        raw["schedule"] = {key: value for key, value in schedule.items() if _uses(kind, key)}
    for key, value in overrides.items():
        section, _, name = key.rpartition(".")
        table = raw.setdefault(section, {}) if section else raw
        if not isinstance(table, dict):
            remedy = f"write [{section}] in the file"
            raise ConfigError(f"{section}: expected a table of keys, got {table!r}; {remedy}")
        table[name] = value


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, _Section):
        return {name: _plain(getattr(value, name)) for name in _hints(type(value))}
    return value
