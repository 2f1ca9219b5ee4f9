"""A log file is not a screen: where there is no terminal, progress is a line now and then."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import pytest

from gdm import progress, training
from property_tests.test_training import TINY, with_training


class Screen(io.StringIO):
    """A terminal, or a file, that keeps what is written."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def watched(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> Screen:
    """Return what stands in for stderr, by a clock that each look moves on by a second."""
    screen = Screen(terminal)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr("tqdm.std.time", itertools.count(1e9).__next__)
    return screen


def test_in_a_log_file_training_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute apart, with what was said last; each on a line of its own."""
    screen = watched(monkeypatch, terminal=False)
    with progress.training_bar(10, 200, True) as bar:
        for step in range(11, 201):
            bar.update()
            bar.set_postfix_str(f"loss {step}", refresh=False)
    text = screen.getvalue()
    lines = text.splitlines()
    assert "\r" not in text and text.endswith("\n")
    steps = [int(re.match(r"train: (\d+) of 200 steps, \d+ %", line)[1]) for line in lines]  # type: ignore[index]
    assert steps[0] == 10 and steps[-1] == 200
    assert 5 <= len(steps) <= 8  # a clock of 190 s and more, as tqdm looks at it
    assert all("loss" in line for line in lines[1:]) and "loss 200" in lines[-1]


def test_a_log_file_is_not_filled_by_every_logged_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(monkeypatch, terminal=False)
    training.train(with_training(TINY, steps=4, log_every=1), tmp_path, progress=True)
    first, last = screen.getvalue().splitlines()
    assert first.startswith("train: 0 of 4 steps") and re.match(r"train: 4 of 4 .* loss \d", last)


def test_on_a_terminal_a_bar_is_drawn_over_and_over(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(monkeypatch, terminal=True)
    with progress.training_bar(0, 50, True) as bar:
        for _ in range(50):
            bar.update()
    assert screen.getvalue().count("\r") > 25
    assert screen.getvalue().count("\n") == 1


def test_what_is_not_shown_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal in (False, True):
        screen = watched(monkeypatch, terminal)
        with progress.training_bar(0, 50, False) as bar:
            bar.update()
            bar.set_postfix_str("loss 1", refresh=False)
        with progress.sampling_bar(4, 0) as advance:
            advance(4)
        assert not screen.getvalue()


def test_sampling_shows_images_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4 images with 8 calls each, in two batches: what is counted is images times calls."""
    screen = watched(monkeypatch, terminal=True)
    monkeypatch.setattr(progress, "DELAY", 0.0)
    with progress.sampling_bar(4, 8) as advance:
        for count in (3, 1):
            for _ in range(8):
                advance(count)
    last = screen.getvalue().splitlines()[-1]
    assert "4 images: 100%" in last and re.search(r"16 network calls, \d+\.\d images/s", last)
