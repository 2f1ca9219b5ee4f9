"""Settings that go together: those published with the network (edm), smaller batches (author), a laptop's (small).

A preset fills in what a config leaves out, so every number can still be overridden: `preset = "edm"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gdm.errors import ConfigError, nearest

_DDPMPP = {"channels": 128, "multipliers": [2, 2, 2], "blocks": 4, "attention": [16]}  # 55.7 M parameters at 32 x 32

PRESETS: dict[str, dict[str, Any]] = {
    # Karras et al. 2022, table 7, CIFAR-10: 10 million images of warm-up, an average with a half-life of half a million.
    "edm": {
        "network": {**_DDPMPP, "dropout": 0.13},
        "training": {
            "batch": 512,
            "steps": 390_625,  # 200 million images
            "learning_rate": 1e-3,
            "warmup": 19_531,
            "ema_half_life": 500_000,
            "ema_ramp_up": 0.05,
            "augment": 0.12,
            "clip": 0.0,
        },
    },
    # The other settings in use for this paper: the same network, smaller batches, flips instead of augmentation.
    "author": {
        "data": {"flip": True},
        "network": {**_DDPMPP, "dropout": 0.13},
        "training": {
            "batch": 128,
            "steps": 400_000,
            "learning_rate": 2e-4,
            "warmup": 5000,
            "ema": 0.9999,
            "clip": 1.0,
        },
    },
    # A laptop's: a million parameters or so, learnt in minutes to an hour.
    "small": {
        "network": {"channels": 32, "multipliers": [1, 2], "blocks": 1, "attention": [14, 16], "dropout": 0.0},
        "training": {
            "batch": 64,
            "steps": 10_000,
            "learning_rate": 2e-3,
            "warmup": 200,
            "decay": "linear",
            "ema": 0.999,
            "times": "stratified",
        },
    },
}


def apply(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of a config with its preset, if it names one, filled in below what is written.

    Raises: ConfigError for an unknown name
    """
    raw = dict(raw)
    name = raw.pop("preset", None)
    if name is None:
        return raw
    if name not in PRESETS:
        known = ", ".join(map(repr, PRESETS))
        raise ConfigError(f"preset: expected one of {known}, got {name!r}{nearest(str(name), PRESETS)}")
    for section, values in PRESETS[name].items():
        table = raw.get(section, {})
        raw[section] = {**values, **table} if isinstance(table, Mapping) else table
    return raw
