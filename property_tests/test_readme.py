"""What the README shows, runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gdm import config, training
from gdm.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TINY = ("network.channels=8", "network.blocks=1", "training.steps=2", "training.log_every=1", "training.minutes=0")


@pytest.fixture
def beside_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples and a barely trained run in runs/digits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # features of real images are kept there
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    training.train(config.load("examples/configs/digits.toml", TINY), Path("runs/digits"), progress=False)
    return tmp_path


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_examples_run(code: str, beside_a_run: Path) -> None:
    exec(compile(code, "README.md", "exec"), {})


def test_commands_run(beside_a_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^gdm (.+)$", README, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line)
        smaller = [*TINY] if words[0] == "train" else []
        assert main([*words, *smaller]) == 0, f"gdm {line}: {capsys.readouterr().err}"


def test_names_in_the_tables_exist() -> None:
    """Every `gdm.name`, `Class.name` and file in backticks is there."""
    import gdm

    for dotted in re.findall(r"`(?:gdm\.)?((?:Schedule|Basis|Partition|objective|latents|oracle)\.\w+)", README):
        owner: object = gdm
        for name in dotted.split("."):
            owner = getattr(owner, name)
    for path in re.findall(r"`((?:gdm|reference|benchmarks|property_tests|examples)/[\w/.]*)`", README):
        assert (ROOT / path).exists(), path
