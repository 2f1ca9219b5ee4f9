"""The commands do what they say, and a mistake is answered in one line that says what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdm import checkpoint, cli, training
from property_tests.runs import toml


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
    assert checkpoint.steps(Path(run))[-1] == 3
    assert "network.channels" in complaint(capsys, "train", "small.toml", "network.channels=16", "--run", run)
    assert "--no-resume" not in complaint(capsys, "train", "small.toml", "--run", run, "--no-resume")


def test_a_run_is_named_after_its_config(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "runs/small" in said(capsys, "train", "small.toml", "training.steps=1", "--backend", "torch")
    assert (folder / "runs" / "small" / "run.json").is_file()


def test_samples_are_written_where_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("-n", "9", "--steps", "2,1,1,1", "--solver", "ab2", "--npz")
    output = said(capsys, "sample", "run", *options, "--seed", "4", "-o", "out")
    assert "images 0 to 8 of seed 4" in output and "2, 1, 1, 1: 5 network calls" in output
    assert output.splitlines()[-2:] == ["out/samples-seed4.png", "out/samples-seed4.npz"]
    images = np.load("out/samples-seed4.npz")["images"]
    assert images.shape == (9, 1, 8, 8) and images.dtype == np.uint8
    some = ("-n", "3", "--first", "6", "--batch", "2", "-o", "part.png")
    said(capsys, "sample", "run", *options, "--seed", "4", *some)
    part = np.load("part.npz")["images"].astype(int)
    assert np.abs(part - images[6:]).max() <= 1  # the same images, to rounding
    with Image.open("part.png") as picture:
        assert picture.size[0] > 100
    assert "run/samples-seed0.png" in said(capsys, "sample", "run", "-n", "2", "--steps", "4", "--label", "7")


def test_info_says_what_a_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    output = said(capsys, "info", "run")
    assert "4 of pixels" in output and "16, 16, 16, 16" in output
    assert re.search(r"digits: 1797 images, SHA-256 [0-9a-f]{16}", output)
    assert re.search(r"unet, .* [\d,]{5,} parameters", output)
    assert re.search(r"trained +3 of 3 steps in \d+:\d\d:\d\d, loss \d", output)
    command = re.search(r"gdm (sample run .*)", output)
    assert command and "samples-seed0.png" in said(capsys, *command[1].replace("-n 64", "-n 1").split())
    assert "gdm train small.toml" in said(capsys, "info", "small.toml")


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
        ("sample", "required: RUN"),
        ("sample run other", "other"),
        ("sample run --solver eular", "did you mean 'euler'?"),
        ("sample run --steps 2", "at least 4"),
        ("sample run --steps 4,4", "4 of them"),
        ("sample run --steps many", "whole number from 1, got 'many'"),
        ("sample run -n 0", "whole number from 1, got '0'"),
        ("sample run --seed -1", "got '-1'"),
        ("sample run --label seven", "'seven'"),
        ("sample run -n 1 --steps 4 -o out.jpg", ".png"),
        ("sample run --backend numpy", "'numpy'"),
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


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    assert f"\n  gdm {command} " in capsys.readouterr().out
    assert f"  {command}" in said(capsys)


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    assert cli.main(["train", "small.toml"]) == 130
    assert capsys.readouterr().err == "gdm: interrupted\n"


def test_help_loads_no_framework() -> None:
    heavy = "{'torch', 'jax', 'matplotlib', 'PIL', 'sklearn', 'scipy', 'safetensors', 'tqdm'}"
    code = f"import sys, gdm.cli; print(gdm.cli.main([])); print(sorted({heavy} & sys.modules.keys()))"
    root = Path(cli.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n0\n[]\n"), done.stdout
