"""A configuration is what the file and the overrides say, or an error that names the key."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdm
from gdm import config
from gdm.errors import ConfigError

EXAMPLES = sorted((Path(__file__).parent.parent / "examples" / "configs").glob("*.toml"))
SECTIONS = (config.DataConfig, config.ScheduleConfig, config.NetworkConfig, config.TrainingConfig)
KEYS = [(section.section, field.name) for section in SECTIONS for field in dataclasses.fields(section)]

counts = st.integers(1, 10**6)
fractions = st.floats(0, 1, exclude_max=True)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=["Cc", "Cs"]))


@st.composite
def schedules(draw: st.DrawFn) -> config.ScheduleConfig:
    """A schedule section that sets only options of its own kind."""
    kind = draw(st.sampled_from(typing.get_args(config.Kind)))
    options = {
        "grid": st.lists(counts, min_size=1, max_size=3),
        "groups": counts,
        "factor": st.integers(2, 9),
        "inverse": st.booleans(),
        "edges": st.lists(counts, min_size=1, max_size=3),
        "basis": st.sampled_from(["cosine", "blur", "haar"]),
        "order": st.lists(st.integers(0, 9), max_size=4),
        "intervals": st.lists(st.tuples(fractions, fractions), max_size=3),
        "path": st.sampled_from(["linear", "trigonometric"]),
    }
    return config.ScheduleConfig(
        kind=kind, **{key: draw(value) for key, value in options.items() if config._uses(kind, key)}
    )


configs = st.builds(
    config.Config,
    device=texts,
    seed=st.integers(0, 2**63 - 1),
    data=st.builds(config.DataConfig, source=texts, size=counts, channels=st.sampled_from([0, 1, 3])),
    schedule=schedules(),
    network=st.builds(config.NetworkConfig, dropout=fractions, attention=st.lists(counts, max_size=3)),
    training=st.builds(config.TrainingConfig, minutes=st.integers(0, 60), ema=fractions, batch=counts),
)


def load(text: str, overrides: list[str]) -> config.Config:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_text(text, encoding="utf-8")
        return config.load(path, overrides)


def message(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        config.from_dict(raw)
    return str(caught.value)


@given(configs)
def test_dict_and_json_round_trip(original: config.Config) -> None:
    plain = config.to_dict(original)
    assert json.loads(json.dumps(plain)) == plain
    assert config.from_dict(plain) == original
    assert hash(config.from_dict(plain)) == hash(original)


@given(configs)
def test_overrides_can_say_everything(original: config.Config) -> None:
    """Each value, written as TOML after its dotted key, on top of an empty file."""
    plain = config.to_dict(original)
    flat = {key: value for key, value in plain.items() if not isinstance(value, dict)}
    for section in ("data", "schedule", "network", "training"):
        flat |= {f"{section}.{key}": value for key, value in plain[section].items()}
    overrides = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in flat.items()]
    assert load("", overrides) == original


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    assert config.load(path).training.steps > 0


def test_there_are_examples() -> None:
    assert EXAMPLES


@given(st.sampled_from(KEYS), st.data())
def test_a_typo_names_the_nearest_key(dotted: tuple[str, str], data: st.DataObject) -> None:
    section, key = dotted
    place = data.draw(st.integers(0, len(key) - 1))
    typo = key[:place] + key[place] + key[place:]
    text = message({section: {typo: 1}})
    assert text.startswith(f"unknown key {section}.{typo}; did you mean {key!r}? known keys: ")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"training": {"steps": "many"}}, "training.steps: expected an integer, got 'many' (str)"),
        ({"training": {"steps": True}}, "training.steps: expected an integer, got True (bool)"),
        ({"training": {"steps": 10.0}}, "training.steps: expected an integer, got 10.0 (float)"),
        ({"training": {"steps": 0}}, "training.steps: expected a value at least 1, got 0"),
        ({"training": {"ema": 1}}, "training.ema: expected a value at least 0 and below 1, got 1.0"),
        ({"training": {"clip": float("nan")}}, "training.clip: expected a finite number, got nan (float)"),
        ({"training": {"clip": float("inf")}}, "training.clip: expected a finite number, got inf (float)"),
        ({"training": {"learning_rate": 0}}, "training.learning_rate: expected a value above 0, got 0.0"),
        ({"training": 3}, "training: expected a table of keys, got 3 (int)"),
        ({"data": {"labels": 1}}, "data.labels: expected true or false, got 1 (int)"),
        ({"data": {"source": 7}}, "data.source: expected text, got 7 (int)"),
        ({"data": {"channels": 2}}, "data.channels: expected one of 0, 1, 3, got 2"),
        ({"data": {"channels": True}}, "data.channels: expected one of 0, 1, 3, got True"),
        ({"schedule": {"grid": 3}}, "schedule.grid: expected a list, got 3 (int)"),
        ({"schedule": {"grid": [2, 0]}}, "schedule.grid[1]: expected a value at least 1, got 0"),
        ({"schedule": {"intervals": [[0]]}}, "schedule.intervals[0]: expected 2 entries, got [0]"),
        (
            {"network": {"multipliers": []}},
            "network.multipliers: expected a value with at least one level, got ()",
        ),
        ({"seed": -1}, "seed: expected a value from 0 to 2^63 - 1, got -1"),
    ],
)
def test_a_wrong_value_names_its_key(raw: dict[str, Any], expected: str) -> None:
    assert message(raw) == expected


def test_a_wrong_choice_names_the_nearest() -> None:
    assert message({"schedule": {"kind": "row"}}).endswith("got 'row'; did you mean 'rows'?")


def test_a_bare_key_is_told_its_section() -> None:
    assert "did you mean 'training.steps'?" in message({"steps": 5})
    assert "did you mean 'data.channels' or 'network.channels'?" in message({"channels": 5})
    with pytest.raises(ConfigError, match="did you mean 'training.steps'"):
        load("", ["steps=5"])


def test_numbers_become_the_declared_type() -> None:
    training = config.from_dict({"training": {"learning_rate": 1, "minutes": 2}}).training
    assert [type(training.learning_rate), type(training.minutes)] == [float, float]
    assert config.ScheduleConfig(grid=[3, 3]).grid == (3, 3)  # type: ignore[arg-type]


def test_a_section_is_frozen_and_checked_when_made() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.Config().seed = 3  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"training\.batch"):
        dataclasses.replace(config.TrainingConfig(), batch=0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("my/folder", "my/folder"),
        ("C:\\images", "C:\\images"),
        ("a=b", "a=b"),
        ('"quoted text"', "quoted text"),
        ("", ""),
        ('"x"\nseed = 3', '"x"\nseed = 3'),
    ],
)
def test_text_needs_no_quotes(text: str, value: str) -> None:
    assert load("", [f"data.source={text}"]).data.source == value


@pytest.mark.parametrize("override", ["steps", "=3", "", "training.steps"])
def test_an_override_is_key_and_value(override: str) -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        load("", [override])


def test_later_overrides_win_over_earlier_ones_and_the_file() -> None:
    loaded = load("[training]\nsteps = 1\nbatch = 2", ["training.steps=3", "training.steps=4"])
    assert (loaded.training.steps, loaded.training.batch) == (4, 2)


def test_overrides_do_not_hide_a_broken_file() -> None:
    with pytest.raises(ConfigError, match=r"training: expected a table of keys, got 3"):
        load("training = 3", ["training.steps=4"])
    with pytest.raises(ConfigError, match=r"unknown key a\.b"):
        load("", ["a.b.c=4"])


def test_an_option_of_another_kind_is_an_error() -> None:
    text = message({"schedule": {"kind": "rows", "edges": [3]}})
    assert text.startswith("schedule.edges has no effect for schedule.kind = 'rows': it is for bands")
    assert "schedule.grid has no effect" in message({"schedule": {"kind": "rows", "grid": [2, 2]}})
    assert "training.label_dropout has no effect" in message({"training": {"label_dropout": 0.1}})
    with pytest.raises(ConfigError, match=r"schedule\.grid has no effect"):
        config.ScheduleConfig(kind="rows", grid=(3, 3))
    with pytest.raises(ConfigError, match=r"schedule\.order_seed has no effect"):
        config.ScheduleConfig(order_seed=3)


def test_overriding_the_kind_drops_the_options_of_the_old_one() -> None:
    text = '[schedule]\nkind = "blockwise"\ngrid = [4, 4]\npath = "trigonometric"'
    expected = config.ScheduleConfig(kind="rows", groups=3, path="trigonometric")
    assert load(text, ["schedule.kind=rows", "schedule.groups=3"]).schedule == expected
    with pytest.raises(ConfigError, match=r"schedule\.grid has no effect"):
        load(text, ["schedule.grid=[3, 3]", "schedule.kind=rows"])


def test_files_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match=r"no-such\.toml \(No such file"):
        config.load("no-such.toml")
    with pytest.raises(ConfigError, match="is not valid TOML.*line 2"):
        load("seed = 1\nseed = = 2", [])


def test_a_byte_order_mark_is_no_error() -> None:
    assert load("\ufeffseed = 3", []).seed == 3


SHAPE = (3, 8, 8)
SAME = {
    "vanilla": ({}, gdm.Schedule.vanilla(SHAPE)),
    "blockwise": ({"grid": (2, 4), "order": "reverse"}, gdm.Schedule.blockwise(SHAPE, (2, 4), "reverse")),
    "rows": ({"groups": 3, "order": (2, 0, 1)}, gdm.Schedule.rows(SHAPE, 3, (2, 0, 1))),
    "columns": ({"groups": 4, "order": "random", "order_seed": 5}, gdm.Schedule.columns(SHAPE, 4, seed=5)),
    "cascade": ({"stages": 3, "inverse": True}, gdm.Schedule.cascade(SHAPE, stages=3, inverse=True)),
    "autoregressive": ({"path": "trigonometric"}, gdm.Schedule.autoregressive(SHAPE, path="trigonometric")),
    "channels": ({"intervals": ((0.6, 1), (0.3, 0.5), (0, 0.2))},
                 gdm.Schedule.channels(SHAPE, intervals=((0.6, 1), (0.3, 0.5), (0, 0.2)))),
    "colour": ({"order": (1, 0)}, gdm.Schedule.colour(SHAPE, (1, 0))),
    "bands": ({"edges": (4, 9), "basis": "haar"}, gdm.Schedule.bands(SHAPE, (4, 9), "haar")),
}  # fmt: skip


@pytest.mark.parametrize("kind", typing.get_args(config.Kind))
def test_build_schedule_is_the_constructor(kind: config.Kind) -> None:
    options, schedule = SAME[kind]
    assert config.build_schedule(config.ScheduleConfig(kind=kind, **options), SHAPE) == schedule


@pytest.mark.parametrize("kind", ["blockwise", "rows", "columns", "channels", "autoregressive"])
def test_a_random_order_comes_from_its_seed(kind: config.Kind) -> None:
    built = config.build_schedule(config.ScheduleConfig(kind=kind, order="random", order_seed=5), SHAPE)
    plain = config.build_schedule(config.ScheduleConfig(kind=kind), SHAPE)
    order = gdm.Partition.elements((plain.k,), seed=5)
    assert built == plain.reorder([int(order.indices(j)[0]) for j in range(plain.k)])


def test_bands_need_edges_and_an_order_of_numbers() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.edges: expected frequency ranks"):
        config.ScheduleConfig(kind="bands")
    with pytest.raises(ConfigError, match=r"schedule\.order: expected 'random' or a list for bands"):
        config.ScheduleConfig(kind="bands", edges=(3,), order="reverse")
    with pytest.raises(ConfigError, match=r"schedule\.order: expected 'random' or a list for colour"):
        config.ScheduleConfig(kind="colour", order="reverse")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "rows", "groups": 0}, r"groupings\[1\]\.groups: expected a value at least 1, got 0"),
        ({"kind": "rowz"}, r"groupings\[1\]\.kind: .* did you mean 'rows'"),
        ({"kind": "rows", "grid": [2, 2]}, r"groupings\[1\]\.grid has no effect"),
        ({"kidn": "rows"}, r"unknown key groupings\[1\]\.kidn"),
    ],
)
def test_errors_say_which_grouping_is_wrong(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.from_dict({"groupings": [{"kind": "columns"}, wrong]})
