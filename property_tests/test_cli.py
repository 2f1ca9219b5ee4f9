"""The commands do what they say, and a mistake is answered in one line that says what to do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gdm
from gdm import checkpoint, cli, config, loading, training, writers
from gdm.backends.torch import Torch
from gdm.commands import evaluate, info
from gdm.pixels import to_uint8
from property_tests.runs import SMALL, toml, untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a config, small.toml, and its run, run."""
    path = tmp_path_factory.mktemp("cli")
    (path / "small.toml").write_text(toml())
    assert cli.main(["train", str(path / "small.toml"), "--run", str(path / "run")]) == 0
    return path


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a command that succeeds; return what it printed."""
    status = cli.main(argv)
    output, errors = capsys.readouterr()
    assert status == 0, errors
    return output


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a command that fails; return its one line on stderr."""
    status = cli.main(argv)
    output, errors = capsys.readouterr()
    assert status == 2
    assert output == "" or argv[0] == "train"
    assert re.fullmatch(r"gdm: [^\n]+\n", errors), errors
    return errors


def test_training_goes_on_where_it_stopped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(folder / "again")
    output = said(capsys, "train", "small.toml", "training.steps=2", "--run", run, "training.log_every=2")
    assert "step 2" in output and f"gdm sample {run}" in output
    assert "step 3" in said(capsys, "train", "small.toml", "--run", run)
    assert "step 3, " in (idle := said(capsys, "train", "small.toml", "--run", run)) and "nan" not in idle
    assert checkpoint.steps(Path(run))[-1] == 3
    assert "network.channels" in complaint(capsys, "train", "small.toml", "network.channels=16", "--run", run)
    assert "--no-resume" not in complaint(capsys, "train", "small.toml", "--run", run, "--no-resume")


def test_a_run_is_named_after_its_config(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "runs/small" in said(capsys, "train", "small.toml", "training.steps=1", "--backend", "torch")
    assert (folder / "runs" / "small" / "run.json").is_file()


def test_samples_are_written_where_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("-n", "9", "--steps", "2,1,1,1", "--solver", "ab2", "--seed", "4")
    output = said(capsys, "sample", "run", *options, "-o", "out/all.npz")
    assert "images 0 to 8 of seed 4" in output and "2, 1, 1, 1: 5 network calls" in output
    assert output.splitlines()[-1] == "out/all.npz"
    archive = np.load("out/all.npz")
    images = archive["images"]
    assert images.shape == (9, 1, 8, 8) and images.dtype == np.uint8
    assert archive["labels"].tolist() == [*"012345678"]
    some = ("-n", "3", "--first", "6", "--batch", "2", "-o")
    said(capsys, "sample", "run", *options, *some, "part.npz")
    near(np.load("part.npz")["images"], images[6:])
    said(capsys, "sample", "run", *options, *some, "part.zip")
    with zipfile.ZipFile("part.zip") as archive, Image.open(archive.open("00000/img00000007.png")) as picture:
        near(np.asarray(picture), images[7, 0])
    said(capsys, "sample", "run", *options, *some, "part.png")
    with Image.open("part.png") as picture:
        assert picture.size[0] > 100
    assert "run/samples-seed0.png" in said(capsys, "sample", "run", "-n", "2", "--steps", "4", "--label", "7")
    assert "256 images at most" in said(capsys, "sample", "run", "-n", "257", "--steps", "4", "-o", "many.png")


def near(got: np.ndarray, expected: np.ndarray) -> None:
    """Raise unless images are the same to rounding, of which a byte shows one at most."""
    assert got.shape == expected.shape and np.abs(got.astype(int) - expected).max() <= 1


def test_a_folder_of_samples_is_gone_on_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("sample", "run", "--steps", "4", "--batch", "4", "-o", "many")
    assert "already" not in said(capsys, *command, "-n", "3")
    before = (folder / "many" / "000001.png").stat().st_mtime_ns
    assert "3 of them already there" in said(capsys, *command, "-n", "5")
    assert (folder / "many" / "000001.png").stat().st_mtime_ns == before
    assert "5 of them already there" in said(capsys, *command, "-n", "5")
    said(capsys, *command, "-n", "5", "-o", "once")
    for number in range(5):
        with Image.open(f"many/{number:06d}.png") as got, Image.open(f"once/{number:06d}.png") as expected:
            near(np.asarray(got), np.asarray(expected))
    for changes, words in (
        (("--seed", "1"), "seed = 0"),
        (("--steps", "5"), "steps = [1, 1, 1, 1]"),
        (("schedule.order=reverse",), "schedule.order = ''"),
        (("--label", "3"), "label = None"),
    ):
        assert words in complaint(capsys, *command, *changes)


def test_two_processes_make_the_same_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("sample", "run", "--steps", "4", "--device", "cpu", "-n", "6")
    said(capsys, *command, "--batch", "3", "-o", "alone")
    twice = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "gdm"]
    root = str(Path(cli.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "MASTER_PORT": "0"}
    run = [*twice, *command, "-o", "together"]
    done = subprocess.run(run, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes") == 1
    names = sorted(path.name for path in (folder / "alone").iterdir())
    assert names == ["000000.png", *[f"{i:06d}.png" for i in range(1, 6)], "dataset.json", "samples.json"]
    for name in names:  # batches of three, here as there: the same sums in the same order, to the bit
        assert (folder / "together" / name).read_bytes() == (folder / "alone" / name).read_bytes(), name


def test_an_older_checkpoint_is_sampled_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = said(capsys, "sample", "run", "-n", "1", "--steps", "4", "--checkpoint", "2", "-o", "older.png")
    assert "after 2 training steps" in output and (folder / "older.png").exists()


def test_samples_follow_other_schedules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"kind": "rows", "groups": 2, "order": "random"}
    several = {**SMALL, "groupings": [rows], "training": {**SMALL["training"], "label_dropout": 0.1}}
    untrained(folder / "several", several)
    loaded = loading.load("several")
    fours = gdm.Schedule.blockwise((1, 8, 8), grid=(2, 2), order="spiral")
    twos = gdm.Schedule.rows((1, 8, 8), 2, order="bottom-to-top", intervals=[(0.4, 1), (0, 0.4)])
    changes = ["schedule.order=bottom-to-top", "schedule.intervals=[[0.4,1],[0,0.4]]"]
    for options, schedule, words in (
        (["schedule.order=spiral"], fours, "blockwise, order = spiral"),
        (["--grouping", "1", *changes], twos, "rows, order = bottom-to-top, intervals = [[0.4, 1.0], [0.0, 0.4]]"),
        (["schedule.kind=vanilla"], gdm.Schedule.vanilla((1, 8, 8)), "schedule: vanilla\n"),
        (["--grouping", "1"], gdm.Schedule.rows((1, 8, 8), 2), "rows, order = top-to-bottom (the natural"),
    ):
        output = said(capsys, "sample", "several", "-n", "2", "--steps", "4", "-o", "other.npz", *options)
        assert words in output, output
        near(np.load("other.npz")["images"], to_uint8(np.asarray(loaded.generate(2, steps=4, schedule=schedule))))
    guided = said(capsys, "sample", "several", "-n", "2", "--steps", "4", "--guidance", "3", "-o", "other.npz")
    assert "4 network calls, guidance 3" in guided
    near(np.load("other.npz")["images"], to_uint8(np.asarray(loaded.generate(2, steps=4, guidance=3))))
    assert "expected 0 to 1, got 2" in complaint(capsys, "sample", "several", "--grouping", "2")
    for command in re.findall(r"gdm (sample [^#\n]*)", said(capsys, "info", "several")):
        assert "samples-seed0.png" in said(capsys, *command.replace("-n 64", "").split(), "-n", "1", "--steps", "4")


def test_info_gives_each_command_as_many_steps_as_it_has_groups() -> None:
    spec = config.from_dict(
        {
            "schedule": {"kind": "autoregressive"},
            "groupings": [{"kind": "vanilla"}],
            "data": {"labels": True},
            "training": {"label_dropout": 0.1},
        }
    )
    lines = info._sampling(Path("run"), spec, gdm.Schedule.autoregressive((1, 9, 9)), ["a"])
    assert "--steps 81" in lines["guided"] and "--steps 64" in lines["grouping 1"]


def test_the_network_is_compiled_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = set()

    def compiling(_: Torch, network: Any) -> Any:
        return lambda x_t, *told: (shapes.add(tuple(x_t.shape)), network(x_t, *told))[1]

    monkeypatch.setattr(Torch, "compile", compiling)
    command = ("sample", "run", "-n", "5", "--batch", "3", "--steps", "4", "-o", "compiled.npz")
    said(capsys, *command)
    images = np.load("compiled.npz")["images"]
    assert not shapes  # "auto" compiles on a GPU alone
    said(capsys, *command, "--compile", "on")
    assert shapes == {(3, 1, 8, 8)}
    near(np.load("compiled.npz")["images"], images)


def test_info_says_what_a_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    output = said(capsys, "info", "run")
    assert "4 of pixels" in output and "16, 16, 16, 16" in output
    assert re.search(r"digits: 1797 images, SHA-256 [0-9a-f]{16}", output)
    assert re.search(r"unet, .* [\d,]{5,} parameters", output)
    assert re.search(r"trained +3 of 3 steps in \d+:\d\d:\d\d, loss \d", output)
    command = re.search(r"gdm (sample run .*)", output)
    assert command and "samples-seed0.png" in said(capsys, *command[1].replace("-n 64", "-n 1").split())
    assert "gdm train small.toml" in said(capsys, "info", "small.toml")
    listed = said(capsys, "info", "small.toml", "training.steps=7", "--all")
    for key, value in config.flat(config.load("small.toml", ["training.steps=7"])).items():
        assert re.search(rf"^{re.escape(key)} +{re.escape(json.dumps(value))}$", listed, re.MULTILINE)
    assert "training.steps " in said(capsys, "info", "run", "--all")
    assert "key=value is for a config" in complaint(capsys, "info", "run", "training.steps=7")


@pytest.mark.parametrize("what", ["schedule", "basis", "process", "groups", "run"])
def test_plots_of_a_run(what: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "plot", what, "run", "-n", "2", "--steps", "4") == f"run/{what}.png\n"
    with Image.open(folder / "run" / f"{what}.png") as picture:
        assert min(picture.size) > 100


def test_plots_of_a_config(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "plot", "schedule", "small.toml", "schedule.kind=rows") == "small-schedule.png\n"
    assert said(capsys, "plot", "basis", "small.toml", "-o", "deep/basis.pdf") == "deep/basis.pdf\n"
    assert (folder / "deep" / "basis.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("smaple run", "did you mean 'sample'?"),
        ("sample run --sedd 4", "'--sedd'; did you mean '--seed'? (see `gdm sample --help`)"),
        ("sample run --see 4", "'--seed'"),
        ("sample", "required: RUN (see"),
        ("train", "required: CONFIG.toml (see"),
        ("sample run --checkpoint 1", "one of (2, 3), got 1"),
        ("sample run other", "expected schedule.KEY=VALUE, got 'other'"),
        ("sample run training.steps=3", "'training.steps=3'; other settings are fixed"),
        ("sample run schedule.ordr=spiral", "schedule.ordr; did you mean 'order'?"),
        ("sample run schedule.order=spirl", "did you mean 'spiral'?"),
        ("sample run schedule.kind=rows schedule.groups=3", "network's 4 are a refinement"),
        ("sample run schedule.path=trigonometric", "linear"),
        ("sample run --grouping 1", "expected 0 to 0, got 1"),
        ("sample run --guidance 2", "training.label_dropout"),
        ("sample run --guidance much", "expected a number, got 'much'"),
        ("sample run --precision float46", "did you mean 'float64'?"),
        ("sample run --compile yes", "auto, on, off"),
        ("sample run --solver eular", "did you mean 'euler'?"),
        ("sample run --steps 2", "at least 4"),
        ("sample run --steps 4,4", "4 of them"),
        ("sample run --steps many", "whole number from 1, got 'many'"),
        ("sample run -n 0", "whole number from 1, got '0'"),
        ("sample run --seed -1", "got '-1'"),
        ("sample run --label seven", "'seven'"),
        ("sample run -n 1 --steps 4 -o out.jpg", ".png, .zip, .npz"),
        ("sample run --backend numpy --precision bfloat16", "'bfloat16'"),
        ("train small.toml --backend numpy", "training: expected backend 'torch' or 'jax', got 'numpy'"),
        ("sample run --backend torhc", "did you mean 'torch'?"),
        ("sample run --device cuda:77", "cuda:77"),
        ("sample nowhere", "`gdm train`"),
        ("info nowhere", "nowhere"),
        ("info .", "run.json"),
        ("plot shedule run", "did you mean 'schedule'?"),
        ("plot schedule run schedule.kind=rows", "key=value"),
        ("plot process small.toml", "small.toml"),
        ("plot basis run -o basis.jpg", "basis.jpg"),
        ("train nowhere.toml", "nowhere.toml"),
        ("train small.toml training.stps=4", "training.stps; did you mean 'steps'?"),
        ("train small.toml training.steps=many", "training.steps: expected an integer"),
        ("train small.toml training.steps", "key=value"),
        ("train small.toml --training.steps=4", "unknown option '--training.steps'"),
        ("train small.toml schedule.grid=[9,9]", "grid"),
        ("train small.toml data.source=nowhere", "data.source"),
    ],
)
def test_mistakes_are_explained_in_one_line(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in complaint(capsys, *line.split())


def test_a_damaged_checkpoint_is_passed_over_aloud(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "train", "small.toml", "--run", "damaged")
    newest = folder / "damaged" / "checkpoints" / "step-00000003.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    assert cli.main(["info", "damaged"]) == 0
    output, errors = capsys.readouterr()
    assert "2 of 3 steps" in output
    assert errors.startswith("gdm: warning: ") and "step-00000003.safetensors is damaged" in errors


LEAVES = [
    f"{name} {part}".strip()
    for name, command in cli.COMMANDS.items()
    for part in getattr(command, "COMMANDS", ("",))  # a command of several holds them
]


@pytest.mark.parametrize("command", LEAVES)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command.split(), "--help"])
    assert stopped.value.code == 0
    assert f"\n  gdm {command} " in capsys.readouterr().out
    assert f"  {command.split()[0]}" in said(capsys)


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    assert cli.main(["train", "small.toml"]) == 130
    assert capsys.readouterr().err == "gdm: interrupted\n"


def test_a_terminated_command_leaves_no_half_of_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    (folder / "half").mkdir()

    def half(*_: object, **__: object) -> bytes:
        assert [*(folder / "half").iterdir()], "nothing was begun"
        signal.raise_signal(signal.SIGTERM)
        return b""

    monkeypatch.setattr(writers, "_png", half)
    assert cli.main(["sample", "run", "-n", "1", "--steps", "4", "-o", "half/all.zip"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not [*(folder / "half").iterdir()] and signal.getsignal(signal.SIGTERM) == before


def test_help_loads_no_framework() -> None:
    heavy = "{'torch', 'jax', 'matplotlib', 'PIL', 'sklearn', 'scipy', 'safetensors', 'tqdm'}"
    code = f"import sys, gdm.cli; print(gdm.cli.main([])); print(sorted({heavy} & sys.modules.keys()))"
    root = Path(cli.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n0\n[]\n"), done.stdout


def test_a_command_of_several_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((), ("--help",)):
        output = said(capsys, "evaluate", *words)
        assert "usage: gdm evaluate COMMAND" in output
        for name, command in evaluate.COMMANDS.items():
            assert f"{name}  " in output and (command.__doc__ or "").splitlines()[0] in output
    assert "did you mean 'frechet'?" in complaint(capsys, "evaluate", "frechte", "run")
    assert "gdm evaluate frechet --help" in complaint(capsys, "evaluate", "frechet", "run", "--refrence", "digits")
