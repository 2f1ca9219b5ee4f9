"""Presets fill in what a config leaves out, and are the published settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdm import backends, config, presets
from gdm.config import Config, ScheduleConfig, from_dict, to_dict
from gdm.errors import ConfigError
from gdm.preparation import ema_decay


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_is_a_config_and_every_number_can_be_overridden(name: str, tmp_path: Path) -> None:
    filled = from_dict({"preset": name})
    assert filled != Config() and from_dict(to_dict(filled)) == filled
    (tmp_path / "own.toml").write_text(f'preset = "{name}"\n[network]\nchannels = 64\n')
    own = config.load(tmp_path / "own.toml", ["training.learning_rate=0.5", "data.flip=false"])
    assert (own.network.channels, own.training.learning_rate, own.data.flip) == (64, 0.5, False)
    assert (own.network.blocks, own.training.batch) == (filled.network.blocks, filled.training.batch)
    assert config.load(tmp_path / "own.toml", ["preset=small"]).training.batch == 64


def test_a_typo_names_the_nearest_preset() -> None:
    with pytest.raises(ConfigError, match="did you mean 'edm'"):
        from_dict({"preset": "emd"})


def test_the_published_settings() -> None:
    """Karras et al. 2022, table 7 and appendix F: 512, 1e-3, 10 million images of warm-up, 0.5 of half-life, 200 in all."""
    edm = from_dict({"preset": "edm"})
    training = edm.training
    assert (training.batch, training.learning_rate, training.augment, edm.network.dropout) == (512, 1e-3, 0.12, 0.13)
    assert training.warmup == round(10e6 / 512) and training.steps == 200_000_000 // 512
    assert abs(ema_decay(training, 10**6) ** (500_000 / 512) - 0.5) < 1e-9
    assert ema_decay(training, 0) == 0 and ema_decay(training, 100) < ema_decay(training, 10_000)
    author = from_dict({"preset": "author"}).training
    assert (author.batch, author.learning_rate, author.warmup, author.ema) == (128, 2e-4, 5000, 0.9999)


@pytest.mark.parametrize(
    ("side", "multipliers", "millions"), [(32, [2, 2, 2], 55.73), (64, [1, 2, 2, 2], 61.8)], ids=["CIFAR-10", "64 x 64"]
)
def test_the_number_of_parameters_is_the_published_one(side: int, multipliers: list[int], millions: float) -> None:
    spec = from_dict({"preset": "edm", "network": {"multipliers": multipliers}})
    schedule = config.build_schedule(ScheduleConfig(kind="vanilla"), (3, side, side))
    network = backends.get("torch", "cpu").build(spec.network, schedule, augmented=True)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert abs(count / 1e6 - millions) < 0.06, count
