"""A model gives the same images whatever the batch, is what was trained, and says what it cannot do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gdm
from gdm import checkpoint, errors, loading
from gdm.model import Model
from property_tests.runs import BACKENDS, SMALL, conditional, exact, mixture, smooth, trained, untrained
from property_tests.support import agree, refused, same_bits

SCHEDULE = gdm.Schedule.blockwise((1, 4, 4), grid=(2, 2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("model") / "run")


@pytest.fixture(scope="module")
def loaded(run: Path) -> Model:
    return loading.load(run)


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


ROWS, COLUMNS = gdm.Schedule.rows((1, 4, 4), 2), gdm.Schedule.columns((1, 4, 4), 2, "right-to-left")


def test_a_network_of_a_refinement_serves_every_grouping_in_every_call() -> None:
    """The network is told alpha of the 4 blocks; its model's own schedule is rows, and others are as good as their own."""
    fine = gdm.Schedule(gdm.Partition.refine(ROWS.partition, COLUMNS.partition))
    network = mixture(fine.shape).direction(fine)
    one = replace(exact(ROWS), network=network, groups=fine.partition)
    uneven = COLUMNS.with_intervals([(0.3, 1), (0, 0.3)])
    for chosen, own in ((None, ROWS), (COLUMNS, COLUMNS), (uneven, uneven), (fine, fine)):
        other = exact(own)
        images = other.generate(3, steps=8, batch=2)
        agree(one.generate(3, steps=8, batch=2, schedule=chosen), images)
        latents = other.encode(images, steps=8)
        agree(one.encode(images, steps=8, schedule=chosen), latents)
        agree(one.decode(latents, steps=8, schedule=chosen), other.decode(latents, steps=8))
        options: dict[str, Any] = {"known": [0], "seed": 2, "steps": 8}
        agree(one.complete(images, schedule=chosen, **options), other.complete(images, **options))
    with refused(errors.PartitionError, "network's 4", "k=16", "groupings"):
        one.encode(np.zeros((1, 1, 4, 4)), schedule=gdm.Schedule.autoregressive((1, 4, 4)), steps=16)


def test_a_run_of_several_groupings_is_loaded_on_their_refinement(tmp_path: Path) -> None:
    rows, columns = {"kind": "rows", "groups": 2, "order": "random"}, {"kind": "columns", "groups": 2}
    one = loading.load(untrained(tmp_path / "run", {**SMALL, "schedule": rows, "groupings": [columns]}))
    first, second = gdm.Schedule.rows((1, 8, 8), 2), gdm.Schedule.columns((1, 8, 8), 2)
    assert one.schedule == first and one.groups == gdm.Partition.refine(first.partition, second.partition)
    z = one.backend.asarray(gdm.draw_latents(0, range(2), one.schedule.shape))
    zero = torch.tensor([0, 1])
    for schedule in (first, second):

        def network(x_t: Any, alpha: Any, schedule: gdm.Schedule = schedule) -> Any:
            assert one.groups is not None
            return one.network(x_t, alpha[:, schedule.partition.parents(one.groups)], zero)

        with torch.no_grad():
            expected = gdm.generate(network, z, schedule, steps=4)
        agree(one.generate(2, steps=4, schedule=schedule), expected, 1e-5)
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    del described["config"]["groupings"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(described))
    with refused(errors.CheckpointError, "schedule.labels"):
        loading.load(tmp_path / "run")


@settings(max_examples=8)
@given(weight=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 7.5]), label=st.sampled_from(["a", "b"]))
def test_guidance_is_its_formula_in_one_call(weight: float, label: str) -> None:
    """u_none + w (u_class - u_none) at every call, of twice the batch; only one half of it where w is 0 or 1."""
    one, rows = conditional(SCHEDULE), []

    def both(x_t: Any, alpha: Any) -> Any:
        number = np.full(len(x_t), "ab".index(label))
        none = one.network(x_t, alpha, np.zeros((len(x_t), 2)))
        return none + weight * (one.network(x_t, alpha, number) - none)

    def counted(x_t: Any, alpha: Any, labels: Any) -> Any:
        rows.append(len(x_t))
        return one.network(x_t, alpha, labels)

    got = replace(one, network=counted).generate(3, steps=8, batch=2, labels=label, guidance=weight)
    agree(got, gdm.generate(both, gdm.draw_latents(0, range(3), SCHEDULE.shape).astype(float), SCHEDULE, steps=8))
    twice = 1 if weight in (0, 1) else 2
    assert rows == [2 * twice] * 8 + [twice] * 8


def test_guidance_from_none_to_the_class() -> None:
    """0 is the model without classes, 1 the one of the class; decoding inverts encoding at any other."""
    one = conditional(SCHEDULE)
    agree(one.generate(4, steps=8, guidance=0), exact(SCHEDULE).generate(4, steps=8))
    data = mixture(SCHEDULE.shape)
    alone = gdm.oracle.GaussianMixture([1.0], data.means[1:], data.covariances[1:]).direction(SCHEDULE)
    agree(one.generate(4, steps=8, labels="b"), replace(exact(SCHEDULE), network=alone).generate(4, steps=8))
    images = one.generate(2, steps=16, guidance=1.5, labels=1)
    options: dict[str, Any] = {"steps": 96, "solver": "rk4", "labels": 1, "guidance": 1.5}
    agree(one.decode(one.encode(images, **options), **options), images, 1e-5)
    filled = one.complete(images, known=[0], seed=1, labels=1, steps=8, guidance=1.5)
    assert not np.array_equal(filled, one.complete(images, known=[0], seed=1, labels=1, steps=8))


def test_guidance_that_was_not_learnt_is_refused() -> None:
    with refused(errors.UnsupportedError, "classes", "data.labels=true"):
        exact(SCHEDULE).generate(1, steps=4, guidance=2)
    with refused(errors.UnsupportedError, "got 0", "training.label_dropout=0.1"):
        conditional(SCHEDULE, guidable=False).generate(1, steps=4, guidance=0)
    with refused(errors.ValueRangeError, "guidance", "nan"):
        conditional(SCHEDULE).generate(1, steps=4, guidance=float("nan"))
    conditional(SCHEDULE, guidable=False).generate(1, steps=4, guidance=1)


def test_a_batch_that_does_not_fit_into_memory_is_halved() -> None:
    one, sizes = smooth(SCHEDULE, "torch"), []

    def small(x_t: Any, alpha: Any) -> Any:
        sizes.append(len(x_t))
        if len(x_t) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return one.network(x_t, alpha)

    with pytest.warns(RuntimeWarning, match="halving"):
        got = replace(one, network=small).generate(5, steps=4)
    agree(got, one.generate(5, steps=4))
    assert sizes == [5, 3, *[2] * 8, *[1] * 4]

    def never(x_t: Any, alpha: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.warns(RuntimeWarning), pytest.raises(torch.OutOfMemoryError):
        replace(one, network=never).generate(2, steps=4)


def test_a_compiled_network_sees_one_shape(loaded: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def compiling(network: Any) -> Any:
        return lambda *given: (shapes.append([tuple(part.shape) for part in given]), network(*given))[1]

    monkeypatch.setattr(loaded.backend, "compile", compiling)
    compiled = loaded.compiled()
    agree(compiled.generate(5, steps=4, batch=3), loaded.generate(5, steps=4, batch=3), 1e-5)
    assert shapes == [[(3, 1, 8, 8), (3, 4), (3,)]] * 8
    states = compiled.generate(4, steps=4, batch=3, trajectory=True)
    agree(states, loaded.generate(4, steps=4, batch=3, trajectory=True), 1e-5)
    x = loaded.generate(2, steps=4)
    agree(compiled.encode(x, steps=4, batch=3, labels=1), loaded.encode(x, steps=4, labels=1), 1e-5)
    assert {tuple(shape[0]) for shape in shapes} == {(3, 1, 8, 8)}


def test_a_stream_yields_any_images_batch_by_batch() -> None:
    one, counts = exact(SCHEDULE), []
    numbers = [7, 2, 3, 11, 2**60]
    parts = [*one.stream(numbers, seed=5, steps=4, solver="heun", batch=2, watch=counts.append)]
    assert [len(part) for part in parts] == [2, 2, 1]
    alone = [one.generate(1, seed=5, first=number, steps=4, solver="heun")[0] for number in numbers]
    agree(np.concatenate(parts), np.stack(alone))
    assert counts == [*[2] * 16, *[1] * 8] and one.calls(4, "heun") == 8


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


def test_loading_gives_the_averaged_weights(run: Path, loaded: Model) -> None:
    saved = checkpoint.latest(run)
    averages = {name[4:]: value for name, value in saved.tensors.items() if name.startswith("ema.")}
    parameters = loaded.backend.export_parameters(loaded.network)
    assert parameters.keys() == averages.keys()
    for name, value in averages.items():
        same_bits(parameters[name], value, name)
    assert loaded.step == saved.step == SMALL["training"]["steps"]
    same_bits(loaded.generate(2, steps=4), loading.load(str(run)).generate(2, steps=4))
    assert loaded.generate(1, steps=4).requires_grad is False


def test_any_step_that_has_a_checkpoint_can_be_loaded(run: Path) -> None:
    for step in checkpoint.steps(run):
        older = loading.load(run, step=step)
        assert older.step == step
        parameters, saved = older.backend.export_parameters(older.network), checkpoint.load(run, step).tensors
        for name, value in parameters.items():
            same_bits(value, saved[f"ema.{name}"], name)
    with refused(errors.CheckpointError, "one of (2, 3), got 1"):
        loading.load(run, step=1)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-5), ("bfloat16", 0.1)])
def test_the_network_computes_in_another_precision(run: Path, loaded: Model, precision: str, tolerance: float) -> None:
    """The images are those of float32, to its rounding or that of bfloat16 (2^-8 a product), and not to the bit."""
    other = loading.load(run, precision=precision)
    images, expected = other.generate(2, steps=4), loaded.generate(2, steps=4)
    assert other.backend.precision == precision
    agree(images, expected, tolerance)
    assert (np.asarray(images) != np.asarray(expected)).any()


def test_classes_are_given_by_number_or_name_and_taken_in_turn(loaded: Model) -> None:
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
def test_classes_that_are_not_there_are_refused(loaded: Model, labels: Any, words: tuple[str, ...]) -> None:
    with refused(errors.ValueRangeError, "labels", *words):
        loaded.generate(3, steps=4, labels=labels)


def test_what_does_not_fit_is_refused(loaded: Model) -> None:
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
        loading.load(tmp_path / "nothing")
    with refused(errors.CheckpointError, "no run.json"):
        loading.load(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(run / "run.json", bare)
    with refused(errors.CheckpointError, "expected a checkpoint, got none"):
        loading.load(bare)


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
        loading.load(changed)


def test_backends_and_devices_that_are_not_there_are_refused(run: Path) -> None:
    with refused(errors.BackendError, "'torhc'", "'torch'"):
        loading.load(run, backend="torhc")
    with refused(errors.BackendError, "device"):
        loading.load(run, device="cuda:77")
