"""Several processes train one run: the same losses and weights as one, whoever began it, and one set of files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import distributed
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

from gdm import backends, checkpoint, cli
from gdm.backends.torch import Torch
from gdm.backends.torch.sharding import fill, gathered_anew, shard
from gdm.backends.world import Alone, share
from gdm.config import NetworkConfig, from_dict
from gdm.preparation import batches, prepare, take_step
from gdm.schedule import Schedule
from property_tests.runs import SMALL, toml
from property_tests.support import agree, same_bits

ROUNDING = (
    1e-12  # float64: what the order of sums over a batch leaves after six steps; seen: 5e-16, and 2e-7 in float32
)

CONFIG = {
    "data": {"source": "digits", "labels": True, "flip": True},
    "schedule": {"kind": "blockwise", "grid": [2, 2], "order": "random"},
    "network": {"channels": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4], "dropout": 0.0},
    "training": {
        "steps": 6, "batch": 8, "accumulate": 2, "log_every": 1, "save_every": 3,
        "augment": 0.3, "label_dropout": 0.2, "sample_every": 6, "sample_steps": 4,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a config, many.toml, and what one process makes of it in three and in six steps."""
    path = tmp_path_factory.mktemp("processes")
    (path / "many.toml").write_text('precision = "float64"\n' + toml(CONFIG) + '\n[[groupings]]\nkind = "rows"\n')
    for steps, run in ((3, "three"), (6, "six")):
        assert cli.main(["train", str(path / "many.toml"), f"training.steps={steps}", "-o", str(path / run)]) == 0
    return path


def together(folder: Path, *words: str) -> None:
    """Run `gdm` in two processes that talk through gloo."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "gdm"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    result = subprocess.run(
        [*launcher, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.count("sample it") == 1  # number 0 speaks


def same_up_to_rounding(ours: Path, theirs: Path) -> None:
    one, other = checkpoint.latest(ours), checkpoint.latest(theirs)
    assert one.step == other.step == 6 and one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        agree(tensor, other.tensors[name], ROUNDING, name)
    losses = [[line["loss"] for line in checkpoint.read_metrics(run)] for run in (ours, theirs)]
    agree(np.array(losses[0]), np.array(losses[1]), ROUNDING)


def test_two_processes_begin_and_one_goes_on(folder: Path) -> None:
    together(folder, "train", "many.toml", "training.steps=3", "-o", "begun")
    assert cli.main(["train", str(folder / "many.toml"), "-o", str(folder / "begun")]) == 0
    same_up_to_rounding(folder / "begun", folder / "six")


def test_one_process_begins_and_two_go_on_with_the_weights_spread_over_them(folder: Path) -> None:
    changes = "training.shard=true", "training.accumulate=1", "training.sample_every=2"
    together(folder, "train", "many.toml", *changes, "-o", "three")
    same_up_to_rounding(folder / "three", folder / "six")
    grids = sorted(path.name for path in (folder / "six" / "samples").iterdir())
    assert grids == ["grouping0-00000006.png", "grouping1-00000006.png"]
    for name in grids:  # the second ones of these processes, by the weights of now
        one, other = (np.asarray(Image.open(folder / run / "samples" / name), int) for run in ("three", "six"))
        assert np.abs(one - other).max() <= 1  # to rounding


def test_a_batch_that_cannot_be_shared_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(folder / "many.toml"), "training.accumulate=3", "-o", str(folder / "no")]) == 2
    assert "training.batch: expected a multiple of 1 processes x training.accumulate = 3" in capsys.readouterr().err


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A process group of one, in which weights can be spread and gradients exchanged."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_spread_weights_are_read_as_they_are_now(group: None) -> None:
    """A network that was called, whose weights then change, computes with the new ones, and gives them out."""
    backend, schedule = backends.get("torch", "cpu"), Schedule.rows((1, 8, 8), 2)
    spec = NetworkConfig(channels=8, multipliers=(1,), blocks=1, attention=())
    spread, plain = (backend.build(spec, schedule, seed=seed) for seed in (0, 1))
    shard(spread)
    parameters = dict(spread.named_parameters())  # in pieces, as a trainer holds them
    inputs = torch.ones(2, 1, 8, 8), torch.full((2, 2), 0.5)
    with torch.no_grad():
        plain.unet.head.weight.fill_(0.1)  # not the zeros of a new network
        spread(*inputs)
        weights = backend.export_parameters(plain)
        for name, value in weights.items():
            fill(parameters[name], value)
        gathered_anew(spread)
        same_bits(spread(*inputs).numpy(), plain(*inputs).numpy())
    gathered_anew(spread)
    for name, value in backend.export_parameters(spread).items():
        same_bits(value, weights[name], name)


@pytest.mark.parametrize("compiling", ["off", "on"])
def test_gradients_are_exchanged_once_a_step(group: None, compiling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many parts a batch has: compiled or not, all but the last wait."""
    world, exchanged = Alone(), []
    world.size = 2  # as far as the trainer knows
    monkeypatch.setattr(Torch, "world", lambda _: world)
    monkeypatch.setattr(Torch, "compile", lambda _, function: torch.compile(function, backend="eager"))
    training = {**SMALL["training"], "compile": compiling, "accumulate": 4}
    ready = prepare(from_dict({**SMALL, "training": training}))

    mean: Any = default_hooks.allreduce_hook
    ready.trainer.exchanging.register_comm_hook(exchanged, lambda seen, bucket: (seen.append(1), mean(None, bucket))[1])
    with batches(ready, 0) as batch:
        for step in range(2):
            take_step(ready, step, batch(), [])
    assert len(exchanged) == 2  # all gradients fit into one bucket


@pytest.mark.parametrize("count", [0, 1, 7, 12])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_shares_are_those_of_array_split(count: int, size: int) -> None:
    for rank, expected in enumerate(np.array_split(np.arange(count), size)):
        world = Alone()
        world.rank, world.size = rank, size
        assert np.arange(count)[share(count, world)].tolist() == expected.tolist()
