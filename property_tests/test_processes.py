"""Several processes train one run: the same losses and weights as one, whoever began it, and one set of files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gdm import checkpoint, cli
from gdm.backends.world import Alone, share
from property_tests.runs import toml
from property_tests.support import agree

ROUNDING = 1e-12  # float64: what the order of sums over a batch leaves after six steps; seen: 5e-16, and 2e-7 in float32

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
    together(folder, "train", "many.toml", "training.shard=true", "training.accumulate=1", "-o", "three")
    same_up_to_rounding(folder / "three", folder / "six")
    grids = sorted(path.name for path in (folder / "three" / "samples").iterdir())
    assert grids == ["grouping0-00000006.png", "grouping1-00000006.png"]


def test_a_batch_that_cannot_be_shared_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(folder / "many.toml"), "training.accumulate=3", "-o", str(folder / "no")]) == 2
    assert "training.batch: expected a multiple of 1 processes x training.accumulate = 3" in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, 1, 7, 12])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_shares_are_those_of_array_split(count: int, size: int) -> None:
    for rank, expected in enumerate(np.array_split(np.arange(count), size)):
        world = Alone()
        world.rank, world.size = rank, size
        assert np.arange(count)[share(count, world)].tolist() == expected.tolist()
