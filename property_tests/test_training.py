"""A run that was stopped goes on to the same bits; what would spoil a run is refused or stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import gdm
from gdm import checkpoint, training
from gdm.backends.torch import Torch
from gdm.canvas import image_grid
from gdm.config import Config, DataConfig, NetworkConfig, ScheduleConfig, TrainingConfig, build_groupings
from gdm.data import Dataset
from gdm.errors import ConfigError, DataError, TrainingError
from gdm.preparation import learning_rate, prepare
from property_tests.support import agree, same_bits

TINY = Config(
    seed=3,
    data=DataConfig(labels=True, flip=True),
    network=NetworkConfig(channels=8, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.1),
    training=TrainingConfig(steps=6, batch=8, save_every=2, log_every=4, warmup=2, decay="linear", ema=0.9),
)


TRAINED = pytest.mark.parametrize("backend", ["torch", "jax"])  # the backends that train


def on(backend: str, config: Config = TINY) -> Config:
    return replace(config, backend=backend)  # type: ignore[arg-type]


def with_training(config: Config, **changes: object) -> Config:
    return replace(config, training=replace(config.training, **changes))  # type: ignore[arg-type]


def run_of(config: Config, run: Path) -> checkpoint.Checkpoint:
    training.train(config, run, progress=False)
    return checkpoint.latest(run)


def same_run(ours: Path, theirs: Path) -> None:
    """Check that two runs ended with equal tensors and wrote equal logs, but for the time they took."""
    one, other = checkpoint.latest(ours), checkpoint.latest(theirs)
    assert one.step == other.step and one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        same_bits(tensor, other.tensors[name], name)
    logs = [
        [(line["step"], line["loss"], line["learning_rate"]) for line in checkpoint.read_metrics(run)]
        for run in (ours, theirs)
    ]
    assert logs[0] == logs[1] and logs[0]


@TRAINED
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mask_pending": True, "weighting": "active"},
        {"times": "stratified", "weighting": "rate", "clip": 0.0, "augment": 0.5, "label_dropout": 0.5},
    ],
    ids=["default", "masked", "augmented"],
)
def test_a_run_in_two_parts_is_the_run_in_one(backend: str, change: dict[str, object], tmp_path: Path) -> None:
    config = with_training(on(backend), decay="constant", **change)  # a linear decay would see the shorter total
    run_of(config, tmp_path / "one")
    run_of(with_training(config, steps=3), tmp_path / "two")
    run_of(config, tmp_path / "two")
    same_run(tmp_path / "one", tmp_path / "two")


@TRAINED
def test_every_step_draws_anew_and_from_the_seed(backend: str, tmp_path: Path) -> None:
    losses = []
    for seed in (3, 3, 4):
        run = tmp_path / f"run{len(losses)}"
        run_of(with_training(replace(on(backend), seed=seed), log_every=1, learning_rate=1e-12), run)
        losses.append([line["loss"] for line in checkpoint.read_metrics(run)])
    assert losses[0] == losses[1] != losses[2]
    assert len(set(losses[0])) == len(losses[0])


@TRAINED
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_stopped_process_goes_on_to_the_same_bits(backend: str, number: signal.Signals, tmp_path: Path) -> None:
    """A real process is stopped in the middle of a run: asked to, it saves and exits 0; killed, it loses a few steps."""
    config = tmp_path / "tiny.toml"
    config.write_text(
        f'backend = "{backend}"\nseed = 3\nprecision = "bfloat16"\n[data]\nlabels = true\nflip = true\n[schedule]\norder = "random"\n'
        "[network]\nchannels = 8\nmultipliers = [1]\nblocks = 1\nattention = []\ndropout = 0.1\n"
        "[training]\nsteps = 60\nbatch = 4\nsave_every = 7\nlog_every = 5\naugment = 0.3\nlabel_dropout = 0.2\n"
        "ema_half_life = 100\nsample_every = 25\nsample_steps = 4\naccumulate = 2\n"
    )
    command = [sys.executable, "-m", "gdm", "train", str(config), "--run"]
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    process = subprocess.Popen([*command, str(stopped)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not checkpoint.steps(stopped) and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, number)
    status = process.wait(60)
    reached = checkpoint.latest(stopped).step
    assert status == (0 if number == signal.SIGTERM else -number) or reached == 60
    for folder in (stopped, whole):
        subprocess.run([*command, str(folder)], check=True, capture_output=True)
    same_run(stopped, whole)


@given(st.integers(0, 30), st.integers(1, 50), st.sampled_from(["constant", "linear"]), st.integers(0, 60))
def test_the_learning_rate_warms_up_and_decays_as_written(warmup: int, length: int, decay: str, step: int) -> None:
    config = TrainingConfig(steps=warmup + length, warmup=warmup, decay=decay, learning_rate=0.5)  # type: ignore[arg-type]
    step = min(step, config.steps - 1)
    if step < warmup:
        expected = 0.5 * (step + 1) / warmup
    else:
        expected = 0.5 if decay == "constant" else 0.5 * (length - (step - warmup)) / length
    agree(learning_rate(config, step), expected, 1e-12)


@TRAINED
def test_the_average_is_that_of_the_weights(backend: str, tmp_path: Path) -> None:
    """Replay the moving average from the weights after each step."""
    run = tmp_path / "run"
    average: dict[str, np.ndarray] = {}
    for steps in range(1, 5):
        state = run_of(with_training(on(backend), steps=steps, decay="constant"), run).tensors
        weights = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
        if not average:  # at the first step the average is still the initial network: its decay is 1/10
            average = {name: state[f"ema.{name}"] for name in weights}
            continue
        decay = min(0.9, steps / (9 + steps))
        average = {name: decay * average[name] + (1 - decay) * weights[name] for name in weights}
        for name, value in average.items():
            agree(state[f"ema.{name}"], value, 1e-6, name)


@TRAINED
def test_losses_fall(backend: str, tmp_path: Path) -> None:
    config = with_training(on(backend), steps=40, batch=32, log_every=10, save_every=40, learning_rate=3e-3)
    run_of(replace(config, data=DataConfig()), tmp_path)
    losses = [line["loss"] for line in checkpoint.read_metrics(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]


def poison(run: Path, name: str, value: float) -> None:
    """Set a tensor of the latest checkpoint to a value."""
    saved = checkpoint.latest(run)
    checkpoint.save(run, saved.step, {**saved.tensors, name: np.full_like(saved.tensors[name], value)}, saved.info)


@TRAINED
def test_steps_that_are_not_finite_are_skipped_and_end_the_run(backend: str, tmp_path: Path) -> None:
    """Weights of NaN make every step one; no checkpoint is written over the last good one."""
    run_of(with_training(on(backend), steps=2, decay="constant"), tmp_path)
    poison(tmp_path, "network.unet.head.weight", np.nan)
    endless = with_training(on(backend), decay="constant", steps=50, save_every=100, log_every=5, skip_limit=5)
    with pytest.raises(TrainingError, match=r"5 steps in a row up to step 7 .* the checkpoint of step 2 is intact"):
        training.train(endless, tmp_path, progress=False)
    with pytest.raises(TrainingError, match=r"head\.weight is not finite after step 4; the checkpoint of step 2 is"):
        training.train(with_training(on(backend), decay="constant"), tmp_path, progress=False)
    assert checkpoint.steps(tmp_path) == (2,)
    assert checkpoint.read_metrics(tmp_path)[-1]["skipped"] == 2


def test_steps_that_were_skipped_before_a_run_stopped_count_once(tmp_path: Path) -> None:
    """Two were, and then stand in the checkpoint; with three more, five in a row end the run."""
    config = with_training(TINY, steps=2, decay="constant", skip_limit=5, save_every=100, log_every=1)
    saved = run_of(config, tmp_path)
    tensors = {**saved.tensors, "network.unet.head.bias": np.full(1, np.nan, np.float32)}
    checkpoint.save(tmp_path, 2, tensors, {**saved.info, "losses": [None, None], "skipped": 2, "streak": 2})
    with pytest.raises(TrainingError, match="5 steps in a row up to step 5 "):
        training.train(with_training(config, steps=50), tmp_path, progress=False)
    assert [line["skipped"] for line in checkpoint.read_metrics(tmp_path)] == [0, 0, 3, 4]


@TRAINED
def test_a_skipped_step_changes_nothing_but_the_average(backend: str) -> None:
    """A gradient that overflows leaves weights, moments and Adam's count as they were; the next step goes on."""
    ready = prepare(with_training(replace(on(backend), data=DataConfig()), clip=0.0))
    images = ready.dataset.take(np.arange(8))
    ready.trainer.step(images, None, 0, 1e-3, 0.9)
    before = {name: value.copy() for name, value in ready.trainer.state().items()}
    bias = "network.unet.head.bias"
    spoilt = {**before, bias: np.full_like(before[bias], 1e38)}  # its error squared is beyond float32
    ready.trainer.load_state(spoilt)
    assert np.isnan(float(ready.trainer.step(images, None, 1, 1e-3, 0.5)))
    for name, tensor in ready.trainer.state().items():
        if name.startswith("ema."):
            agree(tensor, (spoilt[name] + spoilt[name.replace("ema.", "network.")]) / 2, 1e-6, name)
        else:
            same_bits(tensor, spoilt[name], name)
    ready.trainer.load_state(before)
    assert np.isfinite(float(ready.trainer.step(images, None, 2, 1e-3, 0.9)))
    assert ready.trainer.state()["optimizer.step"] == 2


def test_gradients_are_computed_in_the_backends_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backward pass as well: on a GPU, its float32 products would else be coarser than asked for."""
    inside = []

    @contextmanager
    def products(_: Torch) -> Iterator[None]:
        inside.append(True)
        yield
        inside.pop()

    monkeypatch.setattr(Torch, "products", products)
    ready, seen = prepare(replace(TINY, data=DataConfig())), []
    ready.trainer.network.unet.head.weight.register_hook(lambda _: seen.append(bool(inside)))
    ready.trainer.step(ready.dataset.take(np.arange(8)), None, 0, 1e-3, 0.9)
    assert seen == [True] and not inside


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    config = with_training(TINY, steps=1)
    run_of(config, tmp_path)
    with pytest.raises(ConfigError, match=r"trained with network\.channels = 8, got 16"):
        training.train(replace(config, network=replace(config.network, channels=16)), tmp_path, progress=False)
    with pytest.raises(ConfigError, match=r"trained with schedule\.(kind|grid)"):
        training.train(replace(config, schedule=ScheduleConfig(kind="vanilla")), tmp_path, progress=False)
    for change in ({"batch": 4}, {"learning_rate": 0.5}, {"ema": 0.5}, {"augment": 0.5}, {"warmup": 3}):
        with pytest.raises(ConfigError, match=rf"trained with training\.{next(iter(change))} = "):
            training.train(with_training(config, **change), tmp_path, progress=False)
    with pytest.raises(ConfigError, match="holds a run"):
        training.train(config, tmp_path, resume=False, progress=False)
    described = checkpoint.read_run(tmp_path)
    checkpoint.write_run(tmp_path, {**described, "data": {**described["data"], "hash": "0" * 64}})
    with pytest.raises(ConfigError, match="trained on other data"):
        training.train(config, tmp_path, progress=False)


def test_an_image_that_cannot_be_read_ends_the_run_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are made ahead, in a thread; its error is that of the step that needs them, and what was saved stays."""
    made, take = [], Dataset.take

    def failing(dataset: Dataset, *chosen: np.ndarray) -> np.ndarray:
        made.append(1)
        if len(made) > 3:
            raise DataError("cat.png is gone")
        return take(dataset, *chosen)

    monkeypatch.setattr(Dataset, "take", failing)
    with pytest.raises(DataError, match=r"cat\.png is gone"):
        training.train(with_training(TINY, save_every=1), tmp_path, progress=False)
    assert checkpoint.steps(tmp_path) == (1, 2, 3) and len(made) <= 5


@TRAINED
def test_the_grids_of_a_run_are_the_samples_of_its_model(backend: str, tmp_path: Path) -> None:
    """For each grouping, by the averaged weights, which after two steps are not yet the weights."""
    config = replace(on(backend), groupings=(ScheduleConfig(kind="rows", groups=4),))
    changes = {"steps": 2, "warmup": 0, "learning_rate": 0.05, "ema": 0.5, "sample_every": 2, "sample_steps": 4}
    run_of(with_training(config, **changes), tmp_path)
    loaded = gdm.load(tmp_path, device="cpu")
    for number, member in enumerate(build_groupings(config, (1, 8, 8)).members):
        images = loaded.generate(64, seed=3, steps=4, solver="ab2", schedule=member)
        expected = image_grid(loaded.backend.to_numpy(images), tmp_path / "expected.png")
        got = np.asarray(Image.open(tmp_path / "samples" / f"grouping{number}-00000002.png"), int)
        assert np.abs(got - expected[..., 0]).max() <= 1  # to rounding


@TRAINED
def test_a_run_ends_after_its_minutes(backend: str, tmp_path: Path) -> None:
    summary = training.train(with_training(on(backend), steps=100_000, minutes=1e-4), tmp_path, progress=False)
    assert summary.reason == "minutes" and 0 < summary.step < 100_000
    assert checkpoint.latest(tmp_path).step == summary.step
