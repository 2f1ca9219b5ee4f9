"""A model gives the same images whatever the batch, is what was trained, and says what it cannot do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gdm
from gdm import checkpoint, errors, model
from property_tests.runs import BACKENDS, SMALL, exact, smooth, trained
from property_tests.support import agree, refused, same_bits

SCHEDULE = gdm.Schedule.blockwise((1, 4, 4), grid=(2, 2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("model") / "run")


@pytest.fixture(scope="module")
def loaded(run: Path) -> model.Model:
    return model.load(run)


@pytest.mark.parametrize("name", BACKENDS)
def test_images_follow_from_seed_and_index_alone(name: str) -> None:
    one = smooth(SCHEDULE, name)
    host = one.backend.to_numpy
    whole = host(one.generate(5, seed=3, steps=8, batch=2))
    assert whole.shape == (5, 1, 4, 4)
    agree(host(one.generate(1, seed=3, first=4, steps=8)), whole[4:])
    z = one.backend.asarray(gdm.draw_latents(3, range(5), SCHEDULE.shape))
    agree(host(gdm.generate(one.network, z, SCHEDULE, steps=8)), whole)


@given(order=st.permutations(range(4)), pair=st.sampled_from([[0, 1], [0, 2], [1, 3]]))
def test_a_network_serves_other_orders_and_unions_of_its_groups(order: list[int], pair: list[int]) -> None:
    one = exact(SCHEDULE)
    merged = gdm.Schedule.from_labels(np.where(np.isin(SCHEDULE.partition.labels, pair), 1, 0))
    for other in (SCHEDULE.reorder(order), merged, gdm.Schedule.vanilla(SCHEDULE.shape)):
        agree(one.generate(2, steps=8, schedule=other), exact(other).generate(2, steps=8))


def test_a_schedule_that_splits_the_networks_groups_is_refused() -> None:
    one = exact(SCHEDULE)
    with refused(errors.PartitionError, "refinement"):
        one.generate(1, steps=16, schedule=gdm.Schedule.autoregressive(SCHEDULE.shape))
    with refused(errors.ValueRangeError, "trigonometric", "linear"):
        one.generate(1, schedule=gdm.Schedule.vanilla(SCHEDULE.shape, path="trigonometric"))


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "jax"])  # slow to compile
def test_decode_inverts_encode(name: str) -> None:
    one = exact(SCHEDULE, name)
    images = one.backend.to_numpy(one.generate(3, steps=16, batch=2))
    latents = one.encode(images, steps=96, solver="rk4", batch=2)
    agree(one.backend.to_numpy(one.decode(latents, steps=96, solver="rk4")), images, 1e-5)


def test_complete_keeps_what_is_known_to_the_bit() -> None:
    one = exact(SCHEDULE)
    images = one.generate(3, seed=1, steps=8)
    filled = one.complete(images, known=[0, 1], seed=2, steps=8, batch=2)
    kept = np.isin(SCHEDULE.partition.labels, [0, 1])
    same_bits(filled[:, kept], images[:, kept])
    assert (filled[:, ~kept] != images[:, ~kept]).all()


def test_a_trajectory_runs_from_noise_to_the_images() -> None:
    one = exact(SCHEDULE)
    states = one.generate(3, steps=8, batch=2, trajectory=True)
    assert states.shape == (5, 3, 1, 4, 4)
    agree(states[0], gdm.draw_latents(0, range(3), SCHEDULE.shape), 1e-6)
    agree(states[-1], one.generate(3, steps=8))


def test_masked_models_keep_earlier_groups_to_the_bit() -> None:
    one = exact(SCHEDULE, mask_pending=True)
    z = gdm.draw_latents(0, range(2), SCHEDULE.shape)
    later = SCHEDULE.partition.labels >= 2
    other = gdm.latents.resample(SCHEDULE, z, gdm.draw_latents(1, range(2), SCHEDULE.shape), groups=[2, 3])
    before, after = one.decode(z, steps=8), one.decode(other, steps=8)
    same_bits(after[:, ~later], before[:, ~later])
    assert (after[:, later] != before[:, later]).all()


def test_loading_gives_the_averaged_weights(run: Path, loaded: model.Model) -> None:
    saved = checkpoint.latest(run)
    averages = {name[4:]: value for name, value in saved.tensors.items() if name.startswith("ema.")}
    parameters = loaded.backend.export_parameters(loaded.network)
    assert parameters.keys() == averages.keys()
    for name, value in averages.items():
        same_bits(parameters[name], value, name)
    assert loaded.step == saved.step == SMALL["training"]["steps"]
    same_bits(loaded.generate(2, steps=4), model.load(str(run)).generate(2, steps=4))
    assert loaded.generate(1, steps=4).requires_grad is False


def test_classes_are_given_by_number_or_name_and_taken_in_turn(loaded: model.Model) -> None:
    def generate(labels: Any) -> Any:
        return loaded.generate(3, steps=4, first=9, labels=labels)

    same_bits(generate([9, 0, 1]), generate(None))
    same_bits(generate(["9", "0", "1"]), generate(None))
    same_bits(generate(5), generate("5"))
    assert not np.array_equal(generate(5), generate(6))


@pytest.mark.parametrize(
    ("labels", "words"),
    [("seven", ("'seven'", "0 to 9")), (10, ("10",)), (-1, ("-1",)), ([1, 2], ("1 or 3", "got 2"))],
)
def test_classes_that_are_not_there_are_refused(loaded: model.Model, labels: Any, words: tuple[str, ...]) -> None:
    with refused(errors.ValueRangeError, "labels", *words):
        loaded.generate(3, steps=4, labels=labels)


def test_what_does_not_fit_is_refused(loaded: model.Model) -> None:
    with refused(errors.ShapeError, "(batch, 1, 8, 8)", "(2, 3, 8, 8)"):
        loaded.encode(np.zeros((2, 3, 8, 8), np.float32), labels=0)
    with refused(errors.DTypeError, "uint8"):
        loaded.encode(np.zeros((2, 1, 8, 8), np.uint8), labels=0)
    with refused(errors.ValueRangeError, "labels", "None"):
        loaded.encode(np.zeros((2, 1, 8, 8), np.float32))
    with refused(errors.ValueRangeError, "data.labels=true"):
        exact(SCHEDULE).generate(1, labels=0)
    with refused(errors.ValueRangeError, "at least 1 image", "0"):
        loaded.generate(0)
    with refused(errors.BudgetError, "at least 4"):
        loaded.generate(1, steps=3)


def test_folders_that_are_no_whole_runs_are_refused(run: Path, tmp_path: Path) -> None:
    with refused(errors.CheckpointError, "no folder", "gdm train"):
        model.load(tmp_path / "nothing")
    with refused(errors.CheckpointError, "no run.json"):
        model.load(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(run / "run.json", bare)
    with refused(errors.CheckpointError, "expected a checkpoint, got none"):
        model.load(bare)


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("schedule", "order", [3, 2, 1, 0], ("schedule.labels", "run.json")),
        ("schedule", "intervals", [[0.9, 1], [0.5, 0.9], [0.2, 0.5], [0, 0.2]], ("schedule.intervals",)),
        ("network", "channels", 16, ("expected shape",)),
    ],
)
def test_a_run_whose_description_was_changed_is_refused(
    run: Path, tmp_path: Path, section: str, key: str, value: Any, words: tuple[str, ...]
) -> None:
    changed = Path(shutil.copytree(run, tmp_path / "run"))
    described = json.loads((changed / "run.json").read_text())
    described["config"][section][key] = value
    (changed / "run.json").write_text(json.dumps(described))
    with refused(errors.CheckpointError, *words):
        model.load(changed)


def test_backends_without_networks_are_refused(run: Path) -> None:
    with refused(errors.UnsupportedError, "numpy", "torch"):
        model.load(run, backend="numpy")
    with refused(errors.BackendError, "'torhc'", "'torch'"):
        model.load(run, backend="torhc")
    with refused(errors.BackendError, "device"):
        model.load(run, device="cuda:77")
