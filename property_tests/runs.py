"""Models and runs that are small enough to be made in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import gdm
from gdm import backends, checkpoint, training
from gdm.config import Config, DataConfig, TrainingConfig, build_groupings, from_dict, to_dict
from gdm.loading import schedule_tensors
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


def untrained(run: Path, config: dict[str, Any], event: tuple[int, ...] = (1, 8, 8)) -> Path:
    """Write a run of digits in the folder `run`, with random weights, of which none is zero as in a new network."""
    spec = from_dict(config)
    schedule = build_groupings(spec, event).schedule
    classes = [str(digit) for digit in range(10)] if spec.data.labels else []
    backend = backends.get("torch", "cpu")
    weights = backend.export_parameters(backend.build(spec.network, schedule, classes=len(classes), seed=spec.seed))
    noise = np.random.default_rng(0)
    shaken = {name: value + 0.1 * noise.normal(size=value.shape) for name, value in weights.items()}
    tensors = {f"ema.{name}": value.astype(np.float32) for name, value in shaken.items()}
    described = {"source": "digits", "count": 1797, "hash": "0" * 64}
    facts = {"gdm_version": "0", "created": "today", "event": event, "classes": classes, "data": described}
    checkpoint.write_run(run, {**facts, "config": to_dict(spec)})
    checkpoint.save(run, 0, {**tensors, **schedule_tensors(schedule)}, {"seconds": 0, "losses": []})
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


def gaussian(schedule: gdm.Schedule, backend: str = "numpy", mask_pending: bool = False, scale: float = 1.0) -> Model:
    """Return a model whose network is the optimal one for a correlated Gaussian: all it does is known, `linear`."""
    network = gaussian_data(schedule.shape, scale).direction(schedule)
    spec = Config(training=TrainingConfig(mask_pending=mask_pending))
    return Model(network, schedule, spec, backends.get(backend, "cpu", "float64"))


def gaussian_data(shape: tuple[int, ...], scale: float = 1.0) -> gdm.oracle.GaussianMixture:
    """Return one correlated Gaussian over small events, with standard deviations around `scale`."""
    whole = mixture(shape)
    return gdm.oracle.GaussianMixture([1.0], scale * whole.means[:1], scale**2 * whole.covariances[:1])


def linear(schedule: gdm.Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and matrix of the exact flow c = mean + M z of `gaussian`, in the coordinates of the basis, flat.

    It is the Knothe-Rosenblatt map by groups: block-triangular in order of generation, with symmetric diagonal blocks,
    M_jj^2 the covariance of group j given those before it.

    Shapes: -> (d,), (d, d)
    """
    data, basis = gaussian_data(schedule.shape), schedule.basis
    d = int(np.prod(schedule.shape))
    u = basis.synthesize(np.eye(d).reshape(d, *schedule.shape)).reshape(d, d)  # its rows are the basis vectors
    covariance, matrix = u @ data.covariances[0] @ u.T, np.zeros((d, d))
    groups = [schedule.partition.indices(j) for j in range(schedule.k)]
    order = np.concatenate(groups)
    lower = np.zeros((d, d))
    lower[np.ix_(order, order)] = np.linalg.cholesky(covariance[np.ix_(order, order)])
    for own in groups:
        block = lower[np.ix_(own, own)]
        values, vectors = np.linalg.eigh(block @ block.T)
        root = (vectors * np.sqrt(values)) @ vectors.T
        matrix[:, own] = lower[:, own] @ np.linalg.solve(block, root)
    return u @ data.means[0].ravel(), matrix


def smooth(schedule: gdm.Schedule, backend: str) -> Model:
    """Return a model with a random network, which JAX compiles sooner than the exact one."""
    return Model(random_network(0, schedule), schedule, Config(), backends.get(backend, "cpu", "float64"))


def conditional(schedule: gdm.Schedule, guidable: bool = True) -> Model:
    """Return the optimal model of two classes, "a" and "b", each a Gaussian; without class it is `exact`.

    A sample's class is a number or a weight per class, as for a trained network.
    """
    data = mixture(schedule.shape)
    whole = data.direction(schedule)
    parts = [
        gdm.oracle.GaussianMixture([1.0], data.means[c : c + 1], data.covariances[c : c + 1]).direction(schedule)
        for c in (0, 1)
    ]

    def network(x_t: np.ndarray, alpha: np.ndarray, labels: np.ndarray) -> np.ndarray:
        weights = np.eye(2)[labels] if labels.ndim == 1 else labels
        hidden = 1 - weights.sum(axis=1)
        directions = [*(part(x_t, alpha) for part in parts), whole(x_t, alpha)]
        total = np.zeros_like(x_t)
        for weight, direction in zip([*weights.T, hidden], directions, strict=True):
            total += weight[:, None, None, None] * direction
        return total

    lessons = TrainingConfig(label_dropout=0.1 if guidable else 0.0)
    spec = Config(data=DataConfig(labels=True), training=lessons)
    return Model(network, schedule, spec, backends.get("numpy", "cpu", "float64"), ("a", "b"))
