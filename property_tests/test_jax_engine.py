"""A train step of JAX is torch's: from the same random numbers, the same loss, weights, averages and moments.

A run may therefore go from one backend to the other, and does what it would have done had it stayed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch

from gdm import checkpoint, training
from gdm.backends.jax import engine, packing
from gdm.backends.jax.draws import Random
from gdm.backends.torch import engine as torch_engine
from gdm.config import Config, from_dict
from gdm.draws import Draws, draw
from gdm.errors import CheckpointError, ConfigError
from gdm.preparation import prepare
from property_tests.runs import SMALL
from property_tests.support import agree, arrays, refused, same_bits
from property_tests.test_computing import equations

jax.config.update("jax_enable_x64", True)

ROUNDING = 1e-9  # in float64; seen after 40 steps: losses 2e-14, tensors 3e-12 of their largest number
EVERYTHING: dict[str, Any] = {
    **SMALL,
    "seed": 2**40 + 5,
    "precision": "float64",
    "schedule": {"kind": "blockwise", "grid": [2, 2], "order": "random"},
    "groupings": [{"kind": "rows"}],
    "training": {
        **SMALL["training"], "steps": 6, "save_every": 3, "augment": 0.5, "label_dropout": 0.4, "clip": 0.5,
        "weighting": "active", "mask_pending": True, "accumulate": 2,
    },
}  # fmt: skip
PLAIN: dict[str, Any] = {
    **SMALL, "backend": "jax", "network": {**SMALL["network"], "multipliers": [1], "attention": []},
}  # fmt: skip


def config(backend: str, **changes: object) -> Config:
    spec = replace(from_dict(EVERYTHING), backend=backend)  # type: ignore[arg-type]
    return replace(spec, training=replace(spec.training, **changes))  # type: ignore[arg-type]


def drawn_by_jax(seed: int, step: int, spec: Config, groupings: Any) -> Draws:
    """Return the random numbers of a step in JAX, as arrays of NumPy."""
    key = jax.random.split(jax.random.fold_in(jax.random.key(seed), step))[0]
    drawn = draw(Random(key, np.float64), spec.training.batch, groupings, spec.training)
    return jax.tree.map(np.asarray, drawn)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch draw what JAX draws."""

    def numbers(random: tuple[int, int], _: int, groupings: Any, __: Any) -> Any:
        drawn = drawn_by_jax(*random, config("jax"), groupings)
        return jax.tree.map(lambda value: torch.tensor(np.asarray(value)), drawn)

    monkeypatch.setattr(torch_engine, "Random", lambda seed, step, *_: (seed, step))
    monkeypatch.setattr(torch_engine, "draw", numbers)


def awake(ready: Any) -> Any:
    """Give a trainer weights of which none is zero or nearly, as some of a new network are; return it."""
    tensors = ready.trainer.state()
    for number, (name, value) in enumerate(sorted(tensors.items())):
        if name.startswith("network."):
            tensors[name] = value + 0.1 * arrays(number, *value.shape)
    ready.trainer.load_state(tensors)
    return ready.trainer


@pytest.mark.parametrize("clip", [0.5, 100.0], ids=["clipped", "not clipped"])
def test_a_step_is_that_of_torch(clip: float, shared: None) -> None:
    """Three steps with all there is: groupings, random orders, augmentation, hidden classes, clipping, two parts."""
    rng = np.random.default_rng(0)
    ours, theirs = (awake(prepare(config(backend, clip=clip))) for backend in ("jax", "torch"))
    for step in (0, 1, 7):
        images, labels = rng.integers(0, 256, (16, 1, 8, 8), np.uint8), rng.integers(0, 10, 16)
        losses = [float(trainer.step(images, labels, step, 1e-3, 0.9)) for trainer in (ours, theirs)]
        agree(losses[0], losses[1], ROUNDING)
    same_state(ours.state(), theirs.state())


def same_state(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys() and ours["optimizer.step"] == theirs["optimizer.step"]
    for name, value in ours.items():
        assert (value.dtype == theirs[name].dtype and abs(value).max() > 0) or name.endswith("bias"), name
        scale = abs(theirs[name]).max() + 1e-300
        agree(value / scale, theirs[name] / scale, ROUNDING, name)


@pytest.mark.parametrize(("first", "then"), [("torch", "jax"), ("jax", "torch")])
def test_a_run_goes_on_on_another_backend(first: str, then: str, shared: None, tmp_path: Path) -> None:
    """Three steps there and three here are six there, and here: the losses, and all that the checkpoint holds."""
    for folder, parts in (("mixed", [(first, 3), (then, 6)]), ("whole", [(first, 6)])):
        for backend, steps in parts:
            training.train(config(backend, steps=steps), tmp_path / folder, progress=False)
    mixed, whole = (checkpoint.latest(tmp_path / folder) for folder in ("mixed", "whole"))
    assert mixed.step == whole.step == 6
    mixed_tensors, whole_tensors = ({**found.tensors} for found in (mixed, whole))
    same_state(mixed_tensors, whole_tensors)
    losses = [[line["loss"] for line in checkpoint.read_metrics(tmp_path / folder)] for folder in ("mixed", "whole")]
    assert len(losses[0]) == 6
    agree(np.array(losses[0]), np.array(losses[1]), ROUNDING)
    assert checkpoint.read_run(tmp_path / "mixed")["config"]["backend"] == then


def test_a_step_draws_from_its_number_and_the_seed() -> None:
    """The loss differs with either and is the same for both; it is computed from all rows of the batch."""
    images, labels = np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int64)

    def loss(seed: int, step: int, images: np.ndarray = images) -> float:
        trainer = prepare(replace(config("jax"), seed=seed)).trainer
        return float(trainer.step(images, labels, step, 0.0, 1.0))

    one = loss(1, 2)
    assert one == loss(1, 2)
    assert len({one, loss(1, 3), loss(2, 2), loss(1 + 2**32, 2)}) == 4
    for row in (0, 15):
        other = images.copy()
        other[row] = 255
        assert loss(1, 2, other) != one


def test_dropout_follows_from_the_step_and_differs_in_its_parts() -> None:
    """With all else held fast, another key drops other features, and the same one the same; two equal halves differ."""
    spec = replace(config("jax"), network=replace(config("jax").network, dropout=0.5))
    trainer = awake(prepare(spec))
    recipe, parameters = trainer.recipe, packing.unpack(trainer.training.weights, trainer.recipe.shapes)
    images, labels = np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int64)
    half = jax.tree.map(
        lambda x: jax.numpy.asarray(x[:8]), (images, labels, drawn_by_jax(0, 0, spec, recipe.groupings))
    )
    twice = jax.tree.map(lambda x: jax.numpy.concatenate([x, x]), half)

    @jax.jit
    def losses(key: Any) -> list[Any]:
        parts = [engine._loss(recipe, parameters, half, jax.random.fold_in(key, part)) for part in (0, 1)]
        return [*parts, engine._accumulated(recipe, parameters, twice, key)[0]]

    (one, two, both), again, other = (losses(jax.random.key(seed)) for seed in (0, 0, 1))
    assert one != two and one == again[0] != other[0]
    agree(both, (one + two) / 2)


def test_products_are_of_the_precision_that_was_asked_for() -> None:
    """The loss in bfloat16 is near that in float32, and another; weights and moments stay float32."""
    losses = []
    for precision in ("float32", "bfloat16"):
        trainer = awake(prepare(from_dict({**PLAIN, "precision": precision})))
        images, labels = np.full((16, 1, 8, 8), 99, np.uint8), np.zeros(16, np.int64)
        losses.append(float(trainer.step(images, labels, 0, 1e-3, 0.9)))
        assert all(value.dtype == np.float32 for value in trainer.state().values())
    assert 1e-5 < abs(losses[1] / losses[0] - 1) < 2**-6  # a number of bfloat16 is within 2^-9, and here are many


@pytest.mark.parametrize(("precision", "expected"), [("float32", "HIGHEST"), ("tf32", "HIGH")])
def test_a_gpu_is_told_the_precision_of_gradients_too(
    precision: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every product of the program that a step runs, forward and backward, asks for it: by default it would be tf32."""
    trainer, programs = prepare(from_dict({**SMALL, "backend": "jax", "precision": precision})).trainer, []

    def traced(recipe: Any, *given: Any) -> Any:
        programs.append(jax.make_jaxpr(partial(engine._take_step, recipe))(*given))
        return given[0], None

    monkeypatch.setattr(engine, "_STEP", traced)
    trainer.step(np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int64), 0, 1e-3, 0.9)
    products = [found for found in equations(programs[0].jaxpr) if "precision" in found.params]
    assert {found.primitive.name for found in products} >= {"dot_general", "conv_general_dilated"}
    for found in products:
        assert re.findall(r"HIGH\w*", str(found.params["precision"])) == [expected] * 2, found


def test_a_run_in_float32_has_no_array_of_float64() -> None:
    """Where JAX has float64, as here, and where not, a program draws and computes the same."""
    spec = replace(config("jax"), precision="float32", network=replace(config("jax").network, dropout=0.5))
    trainer, numbers = prepare(spec).trainer, (np.uint32(0), 1e-3, 0.1)
    batch = (np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int32))
    step = jax.make_jaxpr(engine._take_step, static_argnums=0)
    program = step(trainer.recipe, trainer.training, batch, trainer.seed, *numbers)
    made = [var.aval for equation in equations(program.jaxpr) for var in equation.outvars]
    assert sum(found.dtype == np.float32 for found in made) > 100
    assert not [found for found in made if found.shape and found.dtype == np.float64]


@pytest.fixture
def narrow() -> Iterator[None]:
    """Let JAX have no float64, as it begins."""
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


def test_an_average_takes_in_the_share_that_it_is_told(narrow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small, where all numbers are float32; and one program serves every rate and decay, whole numbers as well."""
    trainer = awake(prepare(from_dict(PLAIN)))
    begun = trainer.state()
    given = np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int64)
    trainer.step(*given, 0, 1e-3, 0.5)
    monkeypatch.setattr(engine, "draw", None)  # for whoever would write another program
    for decay in (1 - 1e-7, 0, 1):
        zeros = {name: np.zeros_like(value) for name, value in begun.items() if name.startswith("ema.")}
        trainer.load_state({**begun, **zeros})
        trainer.step(*given, 1, 0, decay)
        for name, value in trainer.state().items():
            if name.startswith("ema."):
                weights = begun[name.replace("ema.", "network.")].astype(np.float64)
                agree(value, (1 - decay) * weights, 1e-6 * (1 - decay) * abs(weights).max(), name)


def test_the_state_before_is_used_up_and_what_was_sampled_from_is_not() -> None:
    trainer = prepare(config("jax")).trainer
    before, network = trainer.training, trainer.ema_network()
    copied = {name: np.array(value) for name, value in network.parameters.items()}
    trainer.step(np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int64), 0, 1e-3, 0.5)
    assert before.weights.is_deleted() and before.moments.mu.is_deleted()
    for name, value in network.parameters.items():
        same_bits(value, copied[name], name)
    assert any(not np.array_equal(value, copied[name]) for name, value in trainer.ema_network().parameters.items())


def test_runs_that_differ_in_how_they_are_watched_share_a_program() -> None:
    one, other = (prepare(config("jax", steps=steps, log_every=steps)).trainer for steps in (6, 9))
    assert one.recipe == other.recipe and hash(one.recipe) == hash(other.recipe)
    assert one.recipe != prepare(config("jax", clip=0.7)).trainer.recipe


def test_what_a_step_reads_of_the_training_tells_programs_apart() -> None:
    """Of a field that a program were made for and a recipe passed over, every run would have the default."""
    trainer, read = prepare(config("jax")).trainer, set()

    class Watched:
        def __getattr__(self, name: str) -> Any:
            read.add(name)
            return getattr(trainer.recipe.training, name)

    batch = (np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int32))
    recipe = trainer.recipe._replace(training=Watched())
    step = jax.make_jaxpr(lambda training: engine._take_step(recipe, training, batch, trainer.seed, 0, 1e-3, 0.1))
    step(trainer.training)
    assert read == {*engine._READ}


def test_what_does_not_fit_is_refused() -> None:
    trainer = prepare(config("jax")).trainer
    tensors = trainer.state()
    name = "optimizer.exp_avg.unet.stem.weight"
    with refused(CheckpointError, name, "is missing"):
        trainer.load_state({key: value for key, value in tensors.items() if key != name})
    with refused(CheckpointError, name, "expected shape"):
        trainer.load_state({**tensors, name: np.zeros(3)})
    with refused(CheckpointError, "optimizer.step"):
        trainer.load_state({key: value for key, value in tensors.items() if key != "optimizer.step"})
    with refused(ConfigError, "a multiple of 1 devices x training.accumulate = 3", "got 16"):
        prepare(config("jax", accumulate=3))


@pytest.mark.parametrize("pieces", [1, 4])
def test_packing_is_undone_by_unpacking(pieces: int) -> None:
    shapes = {"a": (2, 3), "b": (), "c": (4,)}
    values = {name: arrays(number, *shape) for number, (name, shape) in enumerate(shapes.items())}
    size = packing.length(shapes, pieces)
    assert size == {1: 11, 4: 12}[pieces]
    vector = packing.pack(values, shapes, size)
    assert vector.shape == (size,) and not vector[11:].any()
    for name, value in packing.unpack(vector, shapes).items():
        same_bits(value, values[name], name)
