"""A dry run takes real steps and writes nothing; a run that goes on says what it now is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdm import checkpoint, cli, trial
from gdm.config import from_dict
from property_tests.runs import SMALL, toml


def test_what_a_run_takes_is_measured() -> None:
    spec = from_dict({**SMALL, "training": {**SMALL["training"], "steps": 1000, "minutes": 0.0}})
    found = trial.measure(spec, seconds=0.0, least=3)
    assert found.steps == 3 and found.speed > 0 and found.memory
    assert abs(found.seconds - 1000 * 16 / found.speed) < 1e-6 * found.seconds
    assert found.parameters == sum(value.numel() for value in found.ready.trainer.parameters.values())
    brief = trial.measure(
        from_dict({**SMALL, "training": {**SMALL["training"], "steps": 10**9, "minutes": 0.5}}), seconds=0.0
    )
    assert brief.seconds == 30


def test_a_dry_run_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trial.measure, "__kwdefaults__", {"seconds": 0.0, "least": 1})
    Path("small.toml").write_text(toml())
    assert cli.main(["train", "small.toml", "--dry-run", "data=digits"]) == 0
    said = capsys.readouterr().out
    for words in (
        "parameters",
        "1797 images of 1 x 8 x 8",
        "GiB at most on cpu",
        "images/s over 1 steps of 16",
        "nothing is written",
    ):
        assert words in said
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_a_run_that_goes_on_says_how_long_it_now_is(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(toml())
    for steps in ("2", "4"):
        assert (
            cli.main(["train", str(tmp_path / "small.toml"), f"training.steps={steps}", "-o", str(tmp_path / "run")])
            == 0
        )
    described = checkpoint.read_run(tmp_path / "run")
    assert described["config"]["training"]["steps"] == 4 and described["data"]["count"] == 1797
