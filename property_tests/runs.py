"""Models and runs that are small enough to be made in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import gdm
from gdm import backends, training
from gdm.config import Config, TrainingConfig, from_dict
from gdm.model import Model
from property_tests.problems import random_network
from property_tests.support import NAMES

BACKENDS = tuple(name for name in NAMES if name != "array_api_strict")
SMALL: dict[str, Any] = {
    "data": {"source": "digits", "labels": True},
    "schedule": {"kind": "blockwise", "grid": [2, 2]},
    "network": {"channels": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4], "dropout": 0.0},
    "training": {"steps": 3, "batch": 16, "log_every": 1, "save_every": 2, "learning_rate": 1e-2},
}


def toml(config: dict[str, Any] = SMALL) -> str:
    """Return a config as TOML."""
    lines = []
    for section, options in config.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]  # which is TOML too
    return "\n".join(lines)


def trained(run: Path) -> Path:
    """Train a small class-conditional model of digits for three steps, in the folder `run`."""
    training.train(from_dict(SMALL), run, progress=False)
    return run


def mixture(shape: tuple[int, ...]) -> gdm.oracle.GaussianMixture:
    """Return a correlated mixture of two Gaussians over small events."""
    rng = np.random.default_rng(0)
    d = int(np.prod(shape))
    roots = rng.normal(size=(2, d, d)) / np.sqrt(d)
    covariances = roots @ roots.transpose(0, 2, 1) + 0.5 * np.eye(d)
    return gdm.oracle.GaussianMixture([0.3, 0.7], rng.normal(size=(2, *shape)), covariances)


def exact(schedule: gdm.Schedule, backend: str = "numpy", mask_pending: bool = False) -> Model:
    """Return a model whose network is the optimal one for `mixture`: there is nothing to train."""
    spec = Config(training=TrainingConfig(mask_pending=mask_pending))
    network = mixture(schedule.shape).direction(schedule)
    return Model(network, schedule, spec, backends.get(backend, "cpu", "float64"))


def smooth(schedule: gdm.Schedule, backend: str) -> Model:
    """Return a model with a random network, which JAX compiles sooner than the exact one."""
    return Model(random_network(0, schedule), schedule, Config(), backends.get(backend, "cpu", "float64"))
