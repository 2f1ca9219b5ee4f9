"""JAX on several devices and in several processes: the same images, each device with its part of the rows.

What needs four devices, or two processes, is a function here that processes of their own call; a test reports on it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import gdm
from gdm import backends, checkpoint, cli, training
from gdm.backends.jax import Jax, memory, mesh, processes
from gdm.backends.world import Alone
from gdm.config import from_dict
from gdm.errors import BackendError, ConfigError
from gdm.preparation import prepare
from property_tests.runs import SMALL, smooth, untrained
from property_tests.support import agree, refused, same_bits

ROUNDING = 1e-12  # float64: what the order of sums over a batch leaves after six steps
LESSONS: dict[str, Any] = {
    "backend": "jax",
    "precision": "float64",
    "data": {"source": "digits", "labels": True, "flip": True},
    "schedule": {"kind": "blockwise", "grid": [2, 2], "order": "random"},
    "groupings": [{"kind": "rows"}],
    "network": {"channels": 8, "multipliers": [1], "blocks": 1, "attention": [], "dropout": 0.3},
    "training": {
        "steps": 6, "batch": 16, "accumulate": 2, "log_every": 1, "save_every": 3,
        "augment": 0.3, "label_dropout": 0.2, "sample_every": 0, "sample_steps": 4,
    },
}  # fmt: skip
ROOT = Path(__file__).parent.parent
SAMPLE = "-n", "5", "--steps", "4", "--backend", "jax"

# Four devices


OPTIONS: dict[str, Any] = {"steps": 4, "batch": 5}  # of 8 rows, as four divides it


def images_are_those_of_one_device(run: Path) -> None:
    """And those of NumPy: with guidance, told as two halves; with a trajectory; of a count that four does not divide."""
    four, one = (gdm.load(run, "jax", device, "float64") for device in ("cpu", "cpu:1"))
    assert (four.backend.device, four.backend.parts) == ("cpu x 4", 4)
    assert (one.backend.device, one.backend.parts) == ("cpu:1", 1)
    got, expected = (model.generate(6, **OPTIONS) for model in (four, one))
    agree(got, expected)
    assert [got.devices(), expected.devices()] == [{jax.devices()[0]}, {jax.devices()[1]}]
    host = gdm.load(run, "numpy", precision="float64")
    guided: dict[str, Any] = {"guidance": 2.0, "trajectory": True, **OPTIONS}
    agree(*(model.generate(6, **guided) for model in (four, host)))
    agree(*(model.complete(host.generate(3, **OPTIONS), [0], steps=4, labels=1) for model in (four, host)))


def every_device_does_its_part_by_one_program(_: Path) -> None:
    seen = []

    @dataclass(frozen=True)
    class Halving:
        trajectory = False

        def __call__(self, network: Any, told: Any, x: Any) -> Any:
            seen.append((told.shape, x.shape))
            return network(x) + told[:2] - told[2:]

    backend, x = backends.get("jax"), np.arange(8.0)
    told = np.concatenate([x, 3 * x])  # twice the rows, one half after the other
    for _turn in range(2):
        got = backend.whole(Halving())(_half, backend.asarray(told), backend.asarray(x))
        same_bits(got, x / 2 - 2 * x)
    assert seen == [((4,), (2,))]


def _half(x: Any) -> Any:
    return x / 2


def a_network_is_copied_once_and_anew_when_it_changes(run: Path) -> None:
    model, host = (gdm.load(run, name, precision="float64") for name in ("jax", "numpy"))
    placed, put = [], jax.device_put

    def counting(value: Any, where: Any) -> Any:
        placed.extend([value] if value is model.network else [])
        return put(value, where)

    jax.device_put = counting
    first, again = (np.asarray(model.generate(5, **OPTIONS)) for _ in range(2))
    changed = {name: 0.9 * value for name, value in host.backend.export_parameters(host.network).items()}
    for each in (model, host):
        each.backend.import_parameters(each.network, changed)
    other = np.asarray(model.generate(5, **OPTIONS))
    jax.device_put = put
    same_bits(first, again)
    agree(other, host.generate(5, **OPTIONS))
    assert len(placed) == 2 and np.abs(first - other).max() > 1e-3


def arrays_go_where_they_are_to(_: Path) -> None:
    row = mesh.over(reversed(jax.devices()))
    for shape, split in {(8, 3): 0, (3, 8): 1, (4, 12, 5): 1, (8, 8): 0, (3, 5): None, (): None, (0, 4): 1}.items():
        values = np.arange(float(np.prod(shape))).reshape(shape)
        array = jax.device_put(values, mesh.copies(row) if split is None else mesh.rows(row, split))
        part = [length // (4 if axis == split else 1) for axis, length in enumerate(shape)]
        assert [shard.data.shape for shard in array.addressable_shards] == [tuple(part)] * 4
        same_bits(mesh.whole(array), values)
    batch = np.arange(24).reshape(8, 3).astype(np.uint8)
    array = mesh.upload(row, batch)
    same_bits(mesh.whole(array), batch)
    assert array.dtype == np.uint8 and array.sharding == mesh.rows(row)


def a_backend_takes_all_devices_of_a_kind_or_one(_: Path) -> None:
    for name in (None, "auto", "cpu"):
        backend = Jax(name)
        assert backend.devices == jax.devices() == [*backend.local.devices.flat] == [*backend.mesh.devices.flat]
        assert [backend.batch_for(print, lambda count: (), most) for most in (5, 50000)] == [5, 256]
    for number in range(4):
        backend = Jax(f"cpu:{number}")
        assert backend.device == f"cpu:{number}" and backend.devices == [jax.devices()[number]]
        assert backend.mesh.size == backend.local.size == 1
    for name in ("cpu:4", "cpu:-1", "cuda", "gpu:0", "nonsense"):
        with refused(BackendError, "expected one of cpu:0, cpu:1, cpu:2, cpu:3", name):
            Jax(name)
    assert Jax().peak_memory() is None
    Jax().wait()


def trained(run: Path, name: str, **changes: Any) -> checkpoint.Checkpoint:
    """Train on the devices of this name, in the folder `name` beside `run`."""
    options = {**LESSONS["training"], **changes}
    folder = run.parent / "trained" / name
    training.train(from_dict({**LESSONS, "device": name.split()[0], "training": options}), folder, progress=False)
    return checkpoint.latest(folder)


def same_up_to_rounding(ours: checkpoint.Checkpoint, theirs: checkpoint.Checkpoint) -> None:
    assert ours.step == theirs.step and ours.tensors.keys() == theirs.tensors.keys()
    for name, tensor in ours.tensors.items():
        agree(tensor, theirs.tensors[name], ROUNDING, name)


def training_is_that_of_one_device(run: Path) -> None:
    """The losses and all tensors: dropout and every other random number belong to a sample, wherever it is."""
    one = trained(run, "cpu:1")
    same_up_to_rounding(trained(run, "cpu copied"), one)
    same_up_to_rounding(trained(run, "cpu spread", shard=True), one)
    trained(run, "cpu begun", steps=3, shard=True)
    same_up_to_rounding(trained(run, "cpu begun"), one)
    losses = [
        [line["loss"] for line in checkpoint.read_metrics(run.parent / "trained" / name)]
        for name in ("cpu:1", "cpu copied", "cpu spread")
    ]
    assert len(losses[0]) == 6
    agree(np.array(losses[1:]), np.array([losses[0]] * 2), ROUNDING)


def every_device_holds_what_it_should(_: Path) -> None:
    """A copy of the weights, or a quarter, also after a step; a quarter of the batch."""
    for shard, parts in ((False, 1), (True, 4)):
        options = {**LESSONS["training"], "shard": shard}
        trainer = prepare(from_dict({**LESSONS, "device": "cpu", "training": options})).trainer
        for _turn in range(2):
            for vector in (trainer.training.weights, trainer.training.average, trainer.training.moments.nu):
                assert [4 * len(piece.data) for piece in vector.addressable_shards] == [4 * len(vector) // parts] * 4
            trainer.step(np.zeros((16, 1, 8, 8), np.uint8), np.zeros(16, np.int64), 0, 1e-3, 0.9)
    with refused(ConfigError, "a multiple of 4 devices x training.accumulate = 3", "got 16", "one device: cpu:0"):
        prepare(from_dict({**LESSONS, "training": {**LESSONS["training"], "accumulate": 3}}))


ON_FOUR = (
    images_are_those_of_one_device,
    training_is_that_of_one_device,
    every_device_holds_what_it_should,
    every_device_does_its_part_by_one_program,
    a_network_is_copied_once_and_anew_when_it_changes,
    arrays_go_where_they_are_to,
    a_backend_takes_all_devices_of_a_kind_or_one,
)

# Two processes


def processes_tell_each_other(_: Path) -> None:
    world = backends.get("jax").world()
    first = world.rank == 0
    assert world is Jax("cpu").world() and world.size == 2 and jax.process_index() == world.rank
    for flags in ((False, False), (True, False), (False, True), (True, True)):
        assert world.any(flags[world.rank]) == any(flags)
    same_bits(world.mean(np.array([1 / 3, 5e-324]) * (1 + 2 * world.rank)), np.array([2 / 3, 1e-323]))  # float64
    same_bits(world.mean(np.array(world.rank)), np.array(0.5))
    assert world.mean(np.empty(0)).shape == (0,)
    for counts in ((2, 2), (0, 3), (3, 0), (0, 0), (1, processes._MOST)):  # the last in more than one message
        own = np.full((counts[world.rank], 2), world.rank, np.uint8)
        found = world.gather(own)
        assert [part.shape for part in found] == ([(count, 2) for count in counts] if first else [])
        for rank, part in enumerate(found):
            assert part.dtype == np.uint8 and (part == rank).all()
    world.wait()
    assert isinstance(world, processes.Processes) and not world._service.key_value_dir_get_bytes(
        "gdm/"
    )  # all forgotten


def arrays_are_whole_in_every_process(_: Path) -> None:
    backend = Jax()
    row, rank = backend.mesh, backend.world().rank
    assert (row.size, backend.local.size, backend.parts) == (4, 2, 2)
    own = np.arange(12).reshape(4, 3).astype(np.uint8) + 100 * rank
    batch = np.concatenate([own - 100 * rank, own - 100 * rank + 100])
    array = mesh.upload(row, own)
    same_bits(mesh.whole(array), batch)
    piece = jax.jit(lambda x: x.T, out_shardings=mesh.rows(row, 1))(array)
    same_bits(mesh.whole(piece), batch.T)
    total = jax.jit(lambda x: x.sum(0), out_shardings=mesh.copies(row))(array)
    same_bits(mesh.whole(total), batch.sum(0))
    one = Jax("cpu:1")
    assert one.devices == [jax.local_devices()[1]] and one.mesh.size == 2  # one of each process


def a_signal_is_heard(_: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    processes.join()
    os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def images_are_shared(run: Path) -> None:
    assert cli.main(["sample", str(run), *SAMPLE, "--batch", "2", "-o", str(run / "two")]) == 0


def training_is_shared(run: Path) -> None:
    """Begun by two processes with the weights in pieces, gone on with by them with copies."""
    trained(run, "cpu two", steps=3, shard=True)
    trained(run, "cpu two", sample_every=6)


IN_TWO = (
    a_signal_is_heard,
    processes_tell_each_other,
    arrays_are_whole_in_every_process,
    training_is_shared,
    images_are_shared,
)


# Reports


def report(checks: tuple[Callable[[Path], None], ...], run: Path, to: Path) -> None:
    """Write what became of each check: nothing, or how it failed. After one that fails, other processes wait in vain."""
    outcome = {check.__name__: "not tried" for check in checks}
    for check in checks:
        try:
            check(run)
            outcome[check.__name__] = ""
        except Exception:
            outcome[check.__name__] = traceback.format_exc()
            if jax.process_count() > 1:
                break
    to.write_text(json.dumps(outcome))
    if any(outcome.values()):
        os._exit(1)  # and do not wait for them


def launch(checks: str, run: Path, devices: int, count: int = 1) -> list[dict[str, str]]:
    """Let `count` processes report, each with so many devices."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={devices}"
    shared = {**os.environ, "XLA_FLAGS": flags, "JAX_ENABLE_X64": "1", "PYTHONPATH": str(ROOT)}
    several = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": str(count)}
    started = []
    for rank in range(count):
        own = {**several, "JAX_PROCESS_ID": str(rank)} if count > 1 else {}
        code = f"from property_tests.test_jax_devices import *; report({checks}, Path({str(run)!r}), "
        code += f"Path({str(run / f'report{rank}')!r}))"
        command = [sys.executable, "-c", code]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(command, env={**shared, **own}, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        )
    began = time.monotonic()
    while any(process.poll() is None for process in started) and not any(process.poll() for process in started):
        if time.monotonic() - began > 900:  # they may share the machine with much else
            break
        time.sleep(0.05)
    for process in started:
        process.kill()
    told = [process.communicate()[0] for process in started]
    reports = [run / f"report{rank}" for rank in range(count)]
    found = [json.loads(path.read_text()) for path in reports if path.exists()]
    assert found, "\n".join(told)[-3000:]
    if len(found) == count > 1 and not any(found[0].values()):
        assert [text.count("images 0 to 4 of seed 0") for text in told] == [1, 0]  # number 0 speaks
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = {**SMALL["network"], "multipliers": [1], "attention": []}
    config = {**SMALL, "network": small, "training": {**SMALL["training"], "label_dropout": 0.1}}
    return untrained(tmp_path_factory.mktemp("devices"), config)


@pytest.fixture(scope="module")
def on_four(run: Path) -> dict[str, str]:
    return launch("ON_FOUR", run, devices=4)[0]


@pytest.fixture(scope="module")
def in_two(run: Path) -> list[dict[str, str]]:
    return launch("IN_TWO", run, devices=2, count=2)


@pytest.mark.parametrize("check", ON_FOUR, ids=lambda check: check.__name__)
def test_on_four_devices(check: Callable[[Path], None], on_four: dict[str, str]) -> None:
    assert on_four[check.__name__] == "", on_four[check.__name__]


@pytest.mark.parametrize("check", IN_TWO, ids=lambda check: check.__name__)
def test_in_two_processes(check: Callable[[Path], None], in_two: list[dict[str, str]]) -> None:
    for rank, outcome in enumerate(in_two):
        assert outcome[check.__name__] == "", f"process {rank}: {outcome[check.__name__]}"


def test_two_processes_train_as_one_device(run: Path, on_four: dict[str, str], in_two: list[dict[str, str]]) -> None:
    """The run of the four devices' report is on one, too."""
    folder = run.parent / "trained"
    same_up_to_rounding(checkpoint.latest(folder / "cpu two"), checkpoint.latest(folder / "cpu:1"))
    assert [len(checkpoint.read_metrics(folder / name)) for name in ("cpu two", "cpu:1")] == [6, 6]
    assert (folder / "cpu two" / "samples" / "grouping1-00000006.png").exists()


def test_two_processes_write_the_files_of_one(run: Path, in_two: list[dict[str, str]]) -> None:
    assert cli.main(["sample", str(run), *SAMPLE, "-o", str(run / "one")]) == 0
    names = [sorted(path.name for path in (run / folder).iterdir()) for folder in ("one", "two")]
    assert names[0] == names[1] and sum(name.endswith(".png") for name in names[0]) == 5
    for name in names[0]:
        if name.endswith(".png"):
            one, two = (np.asarray(Image.open(run / folder / name), int) for folder in ("one", "two"))
            assert np.abs(one - two).max() <= 1  # to rounding


# What the environment announces


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2"}, True),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, True),  # incomplete: to be told, not to be passed over
        ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "1"}, False),
        ({"JAX_NUM_PROCESSES": "2"}, False),
        ({"SLURM_STEP_NUM_TASKS": "2", **dict.fromkeys(processes._SLURM, "2")}, True),
        ({"SLURM_STEP_NUM_TASKS": "1", **dict.fromkeys(processes._SLURM, "2")}, False),
        (dict.fromkeys(processes._SLURM, "2"), False),  # a batch script: not within srun
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://h:1"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://h:1"}, False),
    ],
)  # fmt: skip
def test_processes_join_where_several_are_announced(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*os.environ]:
        if name.startswith(("JAX_COORD", "JAX_NUM", "JAX_PROC", "SLURM", "OMPI")):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.announced() is expected
    if not expected:
        assert isinstance(Jax().world(), Alone) and not jax.distributed.is_initialized()


def test_a_wrong_launch_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as torchrun:
        torchrun.setenv("WORLD_SIZE", "2")
        with refused(BackendError, "expected JAX_COORDINATOR_ADDRESS", "got torchrun's WORLD_SIZE=2"):
            Jax()
        torchrun.setenv("WORLD_SIZE", "1")
        assert isinstance(Jax().world(), Alone)
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    jax.devices()
    with refused(BackendError, "make the backend before any JAX computation"):
        Jax()
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with refused(BackendError, "JAX_NUM_PROCESSES: expected a number", "'two'", "JAX_PROCESS_ID=0"):
        Jax()
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.setattr("jax._src.xla_bridge.backends_are_initialized", lambda: False)
    with refused(BackendError, "got JAX_NUM_PROCESSES=2, JAX_PROCESS_ID=None", "must be defined"):
        Jax()
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    with refused(BackendError, "JAX_PROCESS_ID=2", "process_id < num_processes"):
        Jax()


# Memory


def test_what_lacks_memory_is_told_from_other_errors() -> None:
    error = jax.errors.JaxRuntimeError
    backend = Jax("cpu")
    for lacking in (MemoryError(), error("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")):
        assert backend.is_out_of_memory(lacking)
    for other in (error("INVALID_ARGUMENT: RESOURCE"), RuntimeError("RESOURCE_EXHAUSTED"), ValueError("memory")):
        assert not backend.is_out_of_memory(other)


@pytest.mark.parametrize("reason", ["RESOURCE_EXHAUSTED: Out of memory", "INTERNAL: no kernel"])
def test_only_a_batch_that_does_not_fit_is_halved(reason: str) -> None:
    one = smooth(gdm.Schedule.rows((1, 2, 3), 2), "jax")

    def small(x_t: Any, alpha: Any) -> Any:
        if len(x_t) > 2:
            raise jax.errors.JaxRuntimeError(reason)
        return one.network(x_t, alpha)

    if reason.startswith("RESOURCE"):
        with pytest.warns(RuntimeWarning, match="halving"):
            got = replace(one, network=small).generate(5, steps=4)
        agree(got, one.generate(5, steps=4))
    else:
        with pytest.raises(jax.errors.JaxRuntimeError, match="no kernel"):
            replace(one, network=small).generate(5, steps=4)


def test_a_batch_is_what_the_plan_of_a_program_fits_into_a_device() -> None:
    """A sample takes 7 + 3 bytes; 70 % of the free memory is used. Few samples are not worth a program."""
    looked: list[int] = []

    def program(count: int) -> Any:
        looked.append(count)
        plan = SimpleNamespace(temp_size_in_bytes=7 * count, output_size_in_bytes=3 * count)
        return SimpleNamespace(compile=lambda: SimpleNamespace(memory_analysis=lambda: plan))

    def device(limit: int) -> Any:
        return SimpleNamespace(
            memory_stats=lambda: {"bytes_limit": limit, "bytes_in_use": 100, "peak_bytes_in_use": limit}
        )

    assert memory.batch_for(device(100), program, 64) == 64 and not looked
    assert [memory.batch_for(device(limit), program, 500) for limit in (2100, 10**6, 100)] == [128, 500, 1]
    assert memory.batch_for(SimpleNamespace(memory_stats=lambda: None), program, 500) == 64
    assert memory.peak([device(5), device(7)]) == 7


def test_the_plan_of_a_network_is_in_bytes_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the memory takes four times the samples; and a result has to fit in. A network is planned once."""
    backend, found, plans = Jax("cpu"), [], []

    def network(x: Any) -> Any:
        plans.append(len(x))
        return x[:, ::-1] @ x[0]

    for free in (2**17, 2**19):
        stats = {"bytes_limit": free, "bytes_in_use": 0}
        monkeypatch.setattr(backend, "_device", SimpleNamespace(memory_stats=lambda stats=stats: stats))
        found.append(backend.batch_for(network, lambda count: (np.ones((count, 9, 9)),), 10**6))
    assert found[1] == 4 * found[0] > 4 and len(plans) == 1
