"""Scores of a sweep: the Frechet distance to real images, or the solver's own error, which needs none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdm import fidelity
from gdm.extractors import Extractor
from gdm.feature_cache import Features
from gdm.metrics import frechet_distance
from gdm.model import Model
from gdm.sweep import Point


class Frechet:
    """The Frechet distance of n images to real ones.

    real: their features, by the same extractor; reference: what they are, for the recipe
    """

    name = "frechet"

    def __init__(
        self, extractor: Extractor, real: Features, reference: Mapping[str, Any], n: int, batch: int | None = None
    ) -> None:
        self._extractor, self._real, self._n, self._batch = extractor, real, n, batch
        by = {"name": extractor.name, "about": extractor.about, "sha256": extractor.sha256}
        self.about: Mapping[str, Any] = {"n": n, "extractor": by, "reference": dict(reference)}

    def __call__(self, model: Model, point: Point, seed: int) -> float:
        made = fidelity.of_model(
            model,
            self._n,
            self._extractor,
            seed=seed,
            steps=point.steps,
            solver=point.solver,
            batch=self._batch,
            schedule=point.schedule,
            progress=True,
        )
        if made is None:
            raise RuntimeError("a score is computed by one process")
        return frechet_distance(made.moments, self._real.moments)


class Error:
    """The root mean square distance of n images to what the same noise becomes with many small steps.

    It is in units of the image, and of the ODE alone: no data are needed, and nothing is said about the network.
    converged: steps of Heun's method for that; the solution depends on the groups and their order, not on intervals
    """

    name = "error"

    def __init__(self, n: int, converged: int, batch: int | None = None) -> None:
        self._n, self._converged, self._batch = n, converged, batch
        self.about: Mapping[str, Any] = {"n": n, "converged": converged}
        self._kept: tuple[Any, np.ndarray] | None = None  # the last solution: points of one schedule come in turn

    def __call__(self, model: Model, point: Point, seed: int) -> float:
        key = (point.schedule.partition, seed)
        if self._kept is None or self._kept[0] != key:
            even = type(point.schedule)(point.schedule.partition, None, point.schedule.basis, point.schedule.path)
            made = model.generate(
                self._n,
                seed=seed,
                steps=self._converged,
                solver="heun",
                batch=self._batch,
                schedule=even,
                progress=True,
            )
            self._kept = key, np.asarray(model.backend.to_numpy(made), np.float64)
        made = model.generate(
            self._n, seed=seed, steps=point.steps, solver=point.solver, batch=self._batch, schedule=point.schedule
        )
        away = np.asarray(model.backend.to_numpy(made), np.float64) - self._kept[1]
        return float(np.sqrt((away**2).mean()))
