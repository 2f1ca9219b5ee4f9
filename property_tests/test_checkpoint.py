"""What a run writes is there as a whole or not at all, and damage never goes unnoticed."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gdm import checkpoint, files
from gdm.errors import CheckpointError

STATE = {"network.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "ema.weight": np.ones(3)}

dtypes = st.one_of(arrays.floating_dtypes(endianness="<"), arrays.integer_dtypes(), arrays.boolean_dtypes())
tensors = arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, min_side=0, max_side=4))
layouts = st.sampled_from([np.asarray, np.transpose, lambda a: a[..., ::-1] if a.ndim else a])


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Raise unless both hold the same names, types, shapes and bits."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert (array.dtype, array.shape) == (other[name].dtype, other[name].shape), name
        assert array.tobytes() == other[name].tobytes(), name


def two_checkpoints(run: Path) -> Path:
    """Save steps 1 and 2; return the tensors of step 2."""
    for step in (1, 2):
        checkpoint.save(run, step, {**STATE, "step": np.array(step)}, {"images": step})
    return run / "checkpoints" / "step-00000002.safetensors"


@settings(max_examples=40)
@given(st.dictionaries(st.from_regex(r"[a-z]+(\.[a-z0-9_]+)*", fullmatch=True), tensors, max_size=3), layouts)
def test_what_is_loaded_is_what_was_saved(state: dict[str, np.ndarray], layout: Any) -> None:
    """Bit for bit, whatever the memory layout of the array that was handed in."""
    state = {name: layout(array) for name, array in state.items()}
    native = {name: array.astype(array.dtype.newbyteorder("=")) for name, array in state.items()}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), 7, state, {"note": "x", "list": [1, 2.5]})
        loaded = checkpoint.latest(Path(folder))
    assert (loaded.step, loaded.info) == (7, {"note": "x", "list": [1, 2.5]})
    same(loaded.tensors, native)
    assert all(array.flags.writeable for array in loaded.tensors.values())


@settings(max_examples=40)
@given(st.data())
def test_any_altered_byte_or_truncation_is_detected(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        path = two_checkpoints(run)
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] ^= data.draw(st.integers(1, 255))
        else:
            del content[place:]
        path.write_bytes(content)
        with pytest.warns(RuntimeWarning, match=re.escape(path.name)):
            loaded = checkpoint.latest(run)
    assert loaded.step == 1
    same(loaded.tensors, {**STATE, "step": np.array(1)})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"schema_version": 1}', b"\xff"])
def test_a_damaged_record_is_passed_over(tmp_path: Path, content: bytes) -> None:
    two_checkpoints(tmp_path).with_suffix(".json").write_bytes(content)
    with pytest.warns(RuntimeWarning, match="step-00000002"):
        assert checkpoint.latest(tmp_path).step == 1


def test_tensors_of_another_step_are_detected(tmp_path: Path) -> None:
    path = two_checkpoints(tmp_path)
    for suffix in (".safetensors", ".json"):
        source = path.with_suffix(suffix)
        source.with_name(f"step-00000009{suffix}").write_bytes(source.read_bytes())
    with pytest.warns(RuntimeWarning, match="expected step 2 .* got step 9"):
        assert checkpoint.latest(tmp_path).step == 2


def test_missing_tensors_and_a_missing_record(tmp_path: Path) -> None:
    path = two_checkpoints(tmp_path)
    path.unlink()
    with pytest.warns(RuntimeWarning, match="cannot read"):
        assert checkpoint.latest(tmp_path).step == 1
    path.with_suffix(".json").unlink()  # no record, no checkpoint, no warning
    path.with_name("step-by-step.json").write_text("a note of somebody's")
    assert checkpoint.steps(tmp_path) == (1,)


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a checkpoint, got none"):
        checkpoint.latest(tmp_path)
    two_checkpoints(tmp_path)
    for path in (tmp_path / "checkpoints").glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.warns(RuntimeWarning), pytest.raises(CheckpointError, match=r"damaged \(steps \[2, 1\]\)"):
        checkpoint.latest(tmp_path)


# Saves step 2 over and over, in a forked child that is killed at its n-th call of the kind that matters.
KILLER = """
import os, sys
from pathlib import Path
import numpy as np
from gdm import checkpoint, files

calls = 0

def killing(call, last):
    def counted(*arguments):
        global calls
        calls += 1
        if calls == last:
            os._exit(9)
        return call(*arguments)
    return counted

for last in range(1, 99):
    run = Path(sys.argv[1]) / str(last)
    checkpoint.save(run, 1, {"step": np.array(1)}, {})
    if (child := os.fork()) == 0:
        for name in ("open", "fsync", "replace", "unlink"):
            setattr(os, name, killing(getattr(os, name), last))
        checkpoint.save(run, 2, {"step": np.array(2)}, {}, keep=1)
        os._exit(0)
    finished = os.waitpid(child, 0)[1] == 0
    loaded = checkpoint.latest(run)
    print(loaded.step, loaded.tensors["step"])
    checkpoint.rewind(run, loaded.step)
    assert not list(run.glob("**/.*")), "rewind leaves no temporary files"
    if finished:
        break
"""


def test_a_kill_at_any_moment_leaves_a_checkpoint(tmp_path: Path) -> None:
    """The old one before the record is in place, the new one after; never neither, never a mixture."""
    command = [sys.executable, "-W", "error", "-c", KILLER, str(tmp_path)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert lines == sorted(lines) and set(lines) == {"1 1", "2 2"} and len(lines) > 10, lines


def test_a_file_is_on_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could leave the new name on an empty file; a kill, as above, cannot show this."""
    calls = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, c=call: (calls.append(n), c(*args)))
    files.write_atomic(tmp_path / "file", b"content")
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, the folder that holds the name


def test_a_full_disk_is_an_error_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    two_checkpoints(tmp_path)
    before = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the kernel refuses to write files beyond this
    try:
        with pytest.raises(CheckpointError, match=r"cannot write .*step-00000003.*; free some space"):
            checkpoint.save(tmp_path, 3, {"large": np.zeros(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == before
    assert checkpoint.latest(tmp_path).step == 2


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for run in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(CheckpointError, match="choose a folder that you may write to"):
            checkpoint.save(run, 1, STATE, {})
        with pytest.raises(CheckpointError, match="choose a folder that you may write to"):
            checkpoint.append_metrics(run, 1, {"loss": 1.0})
        with pytest.raises(CheckpointError, match="cannot write"):
            checkpoint.write_run(run, {})


@settings(max_examples=20)
@given(st.lists(st.integers(0, 10**9), unique=True, min_size=1, max_size=6).map(sorted), st.integers(1, 4))
def test_the_last_n_are_kept(saved: list[int], keep: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for step in saved:
            checkpoint.save(Path(folder), step, {}, {}, keep=keep)
        assert checkpoint.steps(Path(folder)) == tuple(saved[-keep:])
        assert len(list((Path(folder) / "checkpoints").iterdir())) == 2 * len(saved[-keep:])


def test_a_damaged_later_checkpoint_does_not_push_out_a_good_one(tmp_path: Path) -> None:
    two_checkpoints(tmp_path).write_bytes(b"")
    checkpoint.save(tmp_path, 1, STATE, {}, keep=1)
    with pytest.warns(RuntimeWarning):
        assert checkpoint.latest(tmp_path).step == 1


def test_rewind_forgets_what_came_after(tmp_path: Path) -> None:
    path = two_checkpoints(tmp_path)
    for step in range(5):
        checkpoint.append_metrics(tmp_path, step, {"loss": 1 / (step + 1)})
    before = checkpoint.read_metrics(tmp_path)
    (path.parent / ".step-00000003.json.1.tmp").write_text("left by a kill")
    (path.parent / "step-00000003.safetensors").write_text("left by a kill")
    checkpoint.rewind(tmp_path, 1)
    left = sorted(file.name for file in path.parent.iterdir())
    assert left == ["step-00000001.json", "step-00000001.safetensors"]
    assert checkpoint.read_metrics(tmp_path) == before[:2]


def test_only_plain_numbers_are_saved(tmp_path: Path) -> None:
    for array in (np.array(["text"]), np.array([None]), np.zeros(3, np.longdouble), np.zeros(3, complex)):
        with pytest.raises(CheckpointError, match=r"weight: expected numbers of at most 64 bits, got "):
            checkpoint.save(tmp_path, 1, {"weight": array}, {})
    with pytest.raises(CheckpointError, match="keep=0"):
        checkpoint.save(tmp_path, 1, STATE, {}, keep=0)
    assert checkpoint.steps(tmp_path) == ()


@given(st.data())
def test_a_torn_log_is_a_shorter_log(data: st.DataObject) -> None:
    """Cut the file anywhere: what is read is a prefix, and what is appended then comes after it."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        for step in range(3):
            checkpoint.append_metrics(run, step, {"loss": 0.1 * step, "rate": 1e-3})
        whole, path = checkpoint.read_metrics(run), run / "metrics.jsonl"
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        kept = checkpoint.read_metrics(run)
        assert kept == whole[: len(kept)] and len(kept) >= content[:cut].count(b"\n")
        checkpoint.append_metrics(run, 3, {"loss": 7.0})
        assert checkpoint.read_metrics(run) == [*kept, {"step": 3, "loss": 7.0}]


def test_the_log_is_standard_json(tmp_path: Path) -> None:
    values = {"nan": math.nan, "inf": -math.inf, "float32": np.float32(0.5), "int": np.int64(3)}
    checkpoint.append_metrics(tmp_path, 1, values)
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 1, "nan": None, "inf": None, "float32": 0.5, "int": 3}
    assert checkpoint.read_metrics(tmp_path / "elsewhere") == []


def test_run_json_round_trip(tmp_path: Path) -> None:
    description = {"config": {"seed": 0}, "order": np.arange(3), "shape": (1, 8, 8), "name": "ü"}
    checkpoint.write_run(tmp_path / "run", description)
    assert checkpoint.read_run(tmp_path / "run") == {
        "config": {"seed": 0}, "order": [0, 1, 2], "shape": [1, 8, 8], "name": "ü",
    }  # fmt: skip


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no run\.json; expected the folder of a run"):
        checkpoint.read_run(tmp_path)
    with pytest.raises(CheckpointError, match="is no folder"):
        checkpoint.read_run(tmp_path / "missing")
    for content, problem in [("{", "is damaged"), ("[]", "without a schema_v"), ("{}", "without a schema_v")]:
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(CheckpointError, match=problem):
            checkpoint.read_run(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 99}')
    with pytest.raises(CheckpointError, match="got 99; upgrade gdm"):
        checkpoint.read_run(tmp_path)


def test_write_atomic_keeps_the_old_content_when_the_writer_fails(tmp_path: Path) -> None:
    def fail(file: Any) -> None:
        file.write(b"half")
        raise RuntimeError("the writer's own mistake")

    path = tmp_path / "deep" / "file"
    files.write_atomic(path, b"old")
    with pytest.raises(RuntimeError, match="own mistake"):
        files.write_atomic(path, fail)
    assert path.read_bytes() == b"old"
    with open(path, "rb") as reader:  # who has the old file open reads the old content, not half of each
        files.write_atomic(path, lambda file: file.write(b"new"))
        assert (reader.read(), path.read_bytes()) == (b"old", b"new")
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_multiples_of_keep_every_stay(tmp_path: Path) -> None:
    """The latest two and every checkpoint at a multiple of 4 steps are kept."""
    for step in range(1, 10):
        checkpoint.save(tmp_path, step, {"w": np.zeros(1)}, {}, keep=2, keep_every=4)
    assert checkpoint.steps(tmp_path) == (4, 8, 9)
    with pytest.raises(CheckpointError, match="keep_every >= 0"):
        checkpoint.save(tmp_path, 10, {}, {}, keep_every=-1)
