"""What a run is made of: a TOML file, or a nested mapping, read strictly into frozen values."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from gdm import presets
from gdm.errors import ConfigError
from gdm.strict import Limit, Section, convert, plain

if TYPE_CHECKING:
    from gdm.groupings import Groupings
    from gdm.schedule import Schedule


Natural = Annotated[int, Limit(lambda value: value >= 0, "at least 0")]
Count = Annotated[int, Limit(lambda value: value >= 1, "at least 1")]
Seed = Annotated[int, Limit(lambda value: 0 <= value < 2**63, "from 0 to 2^63 - 1")]
NotNegative = Annotated[float, Limit(lambda value: value >= 0, "at least 0")]
Positive = Annotated[float, Limit(lambda value: value > 0, "above 0")]
Probability = Annotated[float, Limit(lambda value: 0 <= value <= 1, "from 0 to 1")]
Fraction = Annotated[float, Limit(lambda value: 0 <= value < 1, "at least 0 and below 1")]

NO_SEED = -1
OrderSeed = Annotated[int, Limit(lambda value: NO_SEED <= value < 2**63, "from 0 to 2^63 - 1, or -1 for none")]

Precision = Literal["float32", "tf32", "bfloat16", "float64"]
Kind = Literal["vanilla", "blockwise", "rows", "columns", "cascade", "autoregressive", "channels", "colour", "bands"]

# The options that only some kinds of schedule read. Setting one for another kind is an error, not a no-op.
_CUT = ("blockwise", "rows", "columns", "channels", "colour", "bands")
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


@dataclass(frozen=True, slots=True)
class DataConfig(Section):
    """Which images to train on, and how they are brought to one shape; see `gdm.data.load`."""

    section: ClassVar[str] = "data"
    source: str = "digits"  # a folder, zip, .npz, CIFAR-10 tarball, IDX, hf:NAME; relative to the current directory
    split: str = "train"  # which part, where a source has several: CIFAR-10 and IDX "train" or "test"
    size: Natural = 0  # pixels: resize the shorter side and crop the centre; 0 = as stored
    channels: Literal[0, 1, 3] = 0  # 1 = grey, 3 = RGB, 0 = as the data
    labels: bool = False  # read class labels, for a class-conditional model
    flip: bool = False  # mirror half of the training images, left to right
    skip_corrupt: bool = False  # leave out images that cannot be read, with a warning, instead of stopping
    workers: Natural = 0  # threads that decode images; 0 = one per core
    memory: NotNegative = (
        0.0  # gigabytes of images to keep decoded; more are decoded per batch; 0 = half of what is free
    )


@dataclass(frozen=True, slots=True)
class ScheduleConfig(Section):
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
    order: str | tuple[Natural, ...] = ""  # group numbers in order of generation, or a name; "random": one per sample
    order_seed: OrderSeed = NO_SEED  # with order = "random": one order for all samples, drawn from this seed
    intervals: tuple[tuple[float, float], ...] = ()  # (start, end) in order of generation; empty = equal
    overlap: bool = False  # intervals may overlap
    path: Literal["linear", "trigonometric"] = "linear"

    def __post_init__(self) -> None:
        Section.__post_init__(self)
        _reject_unused(self.kind, [f.name for f in fields(self) if getattr(self, f.name) != f.default])
        if self.order_seed != NO_SEED and self.order != "random":
            remedy = 'it is for schedule.order = "random"; remove it or change the order'
            raise ConfigError(f"schedule.order_seed has no effect for {self.order!r}: {remedy}")
        if self.kind == "bands" and not self.edges:
            raise ConfigError("schedule.edges: expected frequency ranks, such as [30, 100], got ()")
        if self.kind in ("bands", "colour") and isinstance(self.order, str) and self.order not in ("", "random"):
            expected = f"expected 'random' or a list for {self.kind}, like [1, 0]"
            raise ConfigError(f"schedule.order: {expected}, got {self.order!r}")

    @property
    def shuffled(self) -> bool:
        """Whether every training sample has an order of generation of its own."""
        return self.order == "random" and self.order_seed == NO_SEED

    def check_given(self, keys: Collection[str]) -> None:
        """Refuse options that the kind does not use, even with their default values."""
        _reject_unused(self.kind, keys)


@dataclass(frozen=True, slots=True)
class NetworkConfig(Section):
    """The size of the network."""

    section: ClassVar[str] = "network"
    kind: Literal["unet"] = "unet"
    channels: Count = 128  # features at full resolution
    multipliers: Annotated[tuple[Count, ...], Limit(bool, "with at least one level")] = (2, 2, 2)
    blocks: Count = 4  # residual blocks per level
    attention: tuple[Count, ...] = (16,)  # resolutions, in pixels, that have self-attention
    dropout: Fraction = 0.13
    conditioning: Literal["map", "film"] = "map"  # A(t) as input planes, or through the embedding
    space: Literal["pixel", "frequency"] = "pixel"  # bands: what the network sees and predicts; A.1 says pixels


@dataclass(frozen=True, slots=True)
class TrainingConfig(Section):
    """How long, how fast and towards which loss."""

    section: ClassVar[str] = "training"
    steps: Count = 10_000
    minutes: NotNegative = 0.0  # stop after this much wall-clock time; 0 = never
    batch: Count = 128
    learning_rate: Positive = 1e-3
    warmup: Natural = 0  # steps of linear warm-up
    decay: Literal["constant", "linear"] = "constant"  # of the learning rate, after the warm-up
    ema: Fraction = 0.999  # decay per step of the averaged weights
    ema_half_life: Natural = 0  # images after which a weight counts half in the average, instead of `ema`; 0 = off
    ema_ramp_up: Positive = 0.05  # the half-life is at most this share of the images seen
    augment: Probability = 0.0  # of each geometric transformation, which the network is told (Karras et al. 2022)
    label_dropout: Fraction = 0.0  # share of samples whose class is hidden, for guidance
    weighting: Literal["uniform", "active", "rate"] = "uniform"
    mask_pending: bool = False  # hide the groups that are still noise from the network
    times: Literal["uniform", "stratified"] = "uniform"
    clip: NotNegative = 1.0  # largest gradient norm; 0 = off
    skip_limit: Count = 100  # steps in a row, skipped for a loss or gradient that is not finite, that end the run
    accumulate: Count = 1  # parts in which a process computes its share of a batch, to fit into memory
    compile: Literal["auto", "on", "off"] = "auto"  # the network on torch; "auto": on a GPU; JAX always compiles
    shard: bool = False  # spread weights, averages and moments over the processes (torch: FSDP) or devices (JAX)
    save_every: Count = 1000  # steps between checkpoints
    keep: Count = 3  # latest checkpoints that are kept
    keep_every: Natural = 0  # steps; checkpoints at multiples of it are kept for ever; 0 = none
    log_every: Count = 50  # steps between lines of the log
    sample_every: Natural = 1000  # steps between grids of samples from fixed latents; 0 = none
    sample_steps: Count = 32  # network calls for each of them


@dataclass(frozen=True, slots=True)
class Config(Section):
    """A whole run. Frozen, hashable, valid by construction.

    Raises: ConfigError for a value of a wrong type or out of range, naming its dotted key

    >>> Config(training=TrainingConfig(steps=500)).training.steps
    500
    """

    backend: Literal["numpy", "torch", "jax"] = "torch"
    device: str = "auto"
    precision: Precision = "float32"  # "tf32", "bfloat16": float32 weights, faster products in the network
    seed: Seed = 0
    data: DataConfig = field(default_factory=DataConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    groupings: tuple[ScheduleConfig, ...] = ()  # further schedules; each sample follows one of all, drawn at random
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        Section.__post_init__(self)
        if self.training.label_dropout and not self.data.labels:
            raise ConfigError("training.label_dropout has no effect without classes: set data.labels=true or remove it")


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
    override(raw, overrides)
    return from_dict(raw)


def from_dict(mapping: Mapping[str, Any]) -> Config:
    """Build a `Config` from nested mappings; what is absent is the preset's or keeps its default. Inverse of `to_dict`.

    Raises: ConfigError for an unknown key, a wrong type or range
    """
    return convert("config", presets.apply(mapping), Config)


def to_dict(config: Config) -> dict[str, Any]:
    """Return nested dicts of lists, numbers and text, ready for JSON. Inverse of `from_dict`."""
    tables = plain(config)
    groupings = [_used(table) for table in tables["groupings"]]
    return tables | {"schedule": _used(tables["schedule"]), "groupings": groupings}


def flat(config: Config) -> dict[str, Any]:
    """Return every setting by its dotted key, those of `to_dict`."""
    rows: dict[str, Any] = {}
    for key, value in to_dict(config).items():
        rows |= {f"{key}.{name}": entry for name, entry in value.items()} if isinstance(value, dict) else {key: value}
    return rows


def build_groupings(config: Config, shape: tuple[int, ...]) -> Groupings:
    """Return the schedules that the network of `config` learns; errors as `build_schedule`."""
    from gdm.groupings import Groupings

    sections = (config.schedule, *config.groupings)
    members = tuple(build_schedule(section, shape) for section in sections)
    return Groupings(members, tuple(section.shuffled for section in sections))


def build_schedule(config: ScheduleConfig, shape: tuple[int, ...]) -> Schedule:
    """Return the schedule that `config` names for events of `shape`, (channels, height, width).

    Where every training sample has an order of its own, it is the one in the natural order.

    Raises: GDMError from the schedule's own checks, when the groups or intervals do not fit the shape

    >>> build_schedule(ScheduleConfig(kind="rows", groups=4), (1, 8, 8)).k
    4
    """
    from gdm.schedule import Schedule  # here, so that reading a config loads no array library

    timing: dict[str, Any] = {"intervals": config.intervals or None, "path": config.path}
    name = None if config.shuffled else config.order or None
    order: dict[str, Any] = {"order": name, "seed": config.order_seed if name == "random" else None}
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
        case "colour":
            return Schedule.colour(shape, order["order"], **cut)
        case "bands":
            return Schedule.bands(shape, config.edges, config.basis, order["order"], **cut)


def _uses(kind: str, key: str) -> bool:
    return kind in _USED_BY.get(key, (kind,))


def _used(table: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a `[schedule]` that its kind reads."""
    return {key: value for key, value in table.items() if _uses(table["kind"], key)}


def _reject_unused(kind: str, keys: Iterable[str]) -> None:
    """Refuse options of `[schedule]` that would change nothing."""
    for key in keys:
        if not _uses(kind, key):
            kinds = ", ".join(_USED_BY[key])
            remedy = f"it is for {kinds}; remove it or change the kind"
            raise ConfigError(f"schedule.{key} has no effect for schedule.kind = {kind!r}: {remedy}")


def override(raw: dict[str, Any], overrides: Sequence[str]) -> None:
    """Write `key=value` texts, with dotted keys, into the tables of a config; `data=PATH` is short for data.source.

    Raises: ConfigError for a text of another form
    """
    values = dict(map(_parsed, overrides))
    kind, schedule = values.get("schedule.kind"), raw.get("schedule")
    if isinstance(kind, str) and isinstance(schedule, dict):
        raw["schedule"] = {key: value for key, value in schedule.items() if _uses(kind, key)}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        table = raw.setdefault(section, {}) if section else raw
        if not isinstance(table, dict):
            remedy = f"write [{section}] in the file"
            raise ConfigError(f"{section}: expected a table of keys, got {table!r}; {remedy}")
        table[name] = value


def _parsed(text: str) -> tuple[str, Any]:
    """Split `key=value`; the value is TOML if it can be, else text."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals):
        raise ConfigError(f"override {text!r}: expected key=value, for example training.steps=2000")
    key = "data.source" if key == "data" else key
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return key, value
    return key, parsed["value"] if parsed.keys() == {"value"} else value
