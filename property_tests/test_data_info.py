"""`gdm data info` says what a source holds, whatever its sizes, and draws examples that are in it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gdm import cli, data, machine
from gdm.commands.data import _examples, describe, draw_examples
from gdm.config import DataConfig
from property_tests.test_cli import complaint, said

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, height: int, width: int, channels: int = 3) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)
    return path


def fields(output: str) -> dict[str, str]:
    """Return what was printed by title, further lines appended."""
    return {match[1]: re.sub(r"\s+", " ", match[2]) for match in re.finditer(r"^(\S.*?)  +((?:.|\n )*)", output, re.M)}


def test_info_about_images_of_one_size(capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        write(f"pets/cat/{i}.png", 6, 5)
    write("pets/dog/0.png", 6, 5, channels=1)
    told = fields(said(capsys, "data", "info", "pets"))
    assert told["images"] == "4 of 5 x 6" and told["stored as"] == "5 x 6"
    assert told["channels"] == "3 (RGB); of them grey: 1"
    assert told["classes"] == "2, of 1 to 3 images cat: 3, dog: 1"
    assert told["SHA-256"] == data.load(DataConfig(source="pets", labels=True)).hash
    assert re.fullmatch(r"\d+\.\d s, \d+ images/s with \d+ threads; 0\.0 MB, kept in memory", told["read in"])
    with Image.open(told["examples"]) as picture:
        assert told["examples"] == "pets-examples.png" and min(picture.size) > 100


def test_info_about_images_of_mixed_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        write(f"mixed/{i}.png", 20, 30)
    write("mixed/odd.png", 10, 12, channels=1)
    told = fields(said(capsys, "data", "info", "mixed", "-o", "grid.pdf"))
    assert told["images"].startswith("4 of mixed sizes") and "data.size" in told["images"]
    assert told["stored as"] == f"30 x 20: 3 {'#' * 30} 12 x 10: 1 {'#' * 10}"
    assert (told["classes"], told["SHA-256"]) == ("no labels", "needs one size")
    assert Path("grid.pdf").read_bytes().startswith(b"%PDF")
    sized = fields(said(capsys, "data", "info", "mixed", "size=8", "data.channels=1", "memory=1e-9"))
    assert sized["images"] == "4 of 8 x 8" and sized["channels"] == "1 (grey); made so from colour: 3"
    assert sized["stored as"] == told["stored as"] and sized["read in"].endswith("decoded per batch")
    assert sized["SHA-256"] == data.load(DataConfig(source="mixed", size=8, channels=1)).hash


def test_many_sizes_are_counted_by_their_shorter_side(capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(20):
        write(f"many/{i:02}.png", 10 + i, 100 - i)
    told = fields(said(capsys, "data", "info", "many"))["stored as"]
    assert told.startswith("20 sizes, 81 to 100 wide, 10 to 29 high shorter side 10 to 11: 2 ####")
    assert sum(map(int, re.findall(r": (\d+)", told))) == 20


def test_info_names_corrupt_images(capsys: pytest.CaptureFixture[str]) -> None:
    write("pets/a.png", 6, 5)
    Path("pets/b.png").write_bytes(b"text")
    assert "pets/b.png: cannot be read" in complaint(capsys, "data", "info", "pets")
    assert cli.main(["data", "info", "pets", "skip_corrupt=true"]) == 0
    output, errors = capsys.readouterr()
    assert fields(output)["left out"] == "pets/b.png"
    assert errors == "gdm: warning: 1 of 2 images cannot be read and are left out: pets/b.png\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("data inof digits", "did you mean 'info'?"),
        ("data info digit", "did you mean 'digits'?"),
        ("data info digits sise=3", "data.sise; did you mean 'size'?"),
        ("data info digits split=test", "data.split"),
        ("data info digits -o out.jpg", "out.jpg"),
        ("data info", "required: PATH"),
        ("data info nowhere.toml", "nowhere.toml"),
    ],
)
def test_mistakes_are_explained(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in complaint(capsys, *line.split())


def test_the_data_of_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.toml").write_text('[data]\nsource = "digits"\nsize = 4')
    told = fields(said(capsys, "data", "info", "a.toml"))
    assert told["images"] == "1797 of 4 x 4" and told["classes"].startswith("10, of 174 to 183 images 0: 178, 1: 182")
    assert fields(said(capsys, "data", "info", "a.toml", "labels=false"))["classes"] == "no labels"


def test_examples_are_of_the_class_that_their_row_names() -> None:
    labels = RNG.integers(0, 40, 300)
    labels[labels == 7] = 8  # a class without images
    pixels = np.zeros((300, 1, 2, 2), np.uint8)
    names = tuple(f"class {i}" for i in range(40))
    chosen, rows = _examples(data.Dataset(pixels, labels, names), columns=10, rows=20)
    assert chosen.shape == (20, 10) and "class 7" not in rows
    for row, name in zip(chosen, rows, strict=True):
        shown = row[row >= 0]
        assert {names[labels[i]] for i in shown} == {name}
        assert len(set(shown.tolist())) == len(shown) == min(10, (labels == names.index(name)).sum())
    chosen, rows = _examples(data.Dataset(pixels), columns=10, rows=20)
    assert rows == [] and len(set(chosen.ravel().tolist())) == 100


@pytest.mark.parametrize("shape", [(3, 700, 300), (1, 2, 900), (1, 1, 1)])
def test_examples_of_any_shape_can_be_drawn(shape: tuple[int, int, int]) -> None:
    dataset = data.Dataset(RNG.integers(0, 256, (2, *shape), dtype=np.uint8))
    draw_examples(dataset, Path("a.png"))
    with Image.open("a.png") as picture:
        assert max(picture.size) < 1000
    assert describe(dataset, DataConfig(), False, 1.0)


def test_a_machine_has_a_core_and_some_memory() -> None:
    assert machine.cores() >= 1
    assert machine.free_memory() > 10**6
