"""Many images: the same whoever makes them, and on disk as a whole, in the layout that others read."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import gdm
from gdm import data, errors, rounds, writers
from gdm.backends.world import Alone
from gdm.config import DataConfig
from gdm.pixels import to_uint8
from gdm.rounds import Made
from property_tests.runs import conditional
from property_tests.support import refused, same_bits

SCHEDULE = gdm.Schedule.rows((1, 4, 4), 2)
RECIPE = {"seed": 0, "steps": (4, 4), "schedule.kind": "rows"}


class Turns(Alone):
    """Processes that take turns, the last first: what they send waits for number 0."""

    def __init__(self, rank: int, size: int, sent: list[list[np.ndarray]]) -> None:
        self.rank, self.size, self.sent = rank, size, sent

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        self.sent[self.rank].append(values)
        return [sent[len(self.sent[0]) - 1] for sent in self.sent] if self.rank == 0 else []


@settings(max_examples=8)
@given(n=st.integers(1, 9), size=st.integers(1, 4), batch=st.integers(1, 4), first=st.integers(0, 3))
def test_images_do_not_depend_on_who_makes_them(n: int, size: int, batch: int, first: int) -> None:
    one, numbers = conditional(SCHEDULE), range(first, first + n)
    sent: list[list[np.ndarray]] = [[] for _ in range(size)]
    made: list[Made] = []
    for rank in reversed(range(size)):
        made = [*rounds.in_rounds(one, numbers, Turns(rank, size, sent), batch=batch, steps=4, guidance=2)]
        assert not made or rank == 0
    assert [number for part in made for number in part.numbers] == [*numbers]
    assert max(len(part) for parts in sent for part in parts) <= batch
    labels = np.arange(first, first + n) % 2
    same_bits(np.concatenate([part.labels for part in made if part.labels is not None]), labels)
    whole = to_uint8(one.generate(n, first=first, steps=4, guidance=2, labels=labels))
    apart = np.abs(np.concatenate([part.images for part in made]).astype(int) - whole)
    assert apart.max() <= 1 and (apart == 0).mean() > 0.99  # to rounding, which may fall on either side


def batches(*numbers: int, shape: tuple[int, ...] = (3, 4, 5), classes: int = 3) -> Iterator[Made]:
    """Yield images, two at a time, whose pixels follow from their numbers."""
    for start in range(0, len(numbers), 2):
        chunk = numbers[start : start + 2]
        images = np.stack([np.random.default_rng(i).integers(0, 256, shape, np.uint8) for i in chunk])
        yield Made(chunk, images, np.array(chunk) % classes if classes else None)


def images_of(*numbers: int, **options: Any) -> np.ndarray:
    return np.concatenate([made.images for made in batches(*numbers, **options)])


def labels_of(numbers: Any) -> np.ndarray:
    return np.array(numbers) % 3


def pixels(path: Any) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_a_zip_has_the_layout_of_edm(tmp_path: Path) -> None:
    writers.write_zip(tmp_path / "a.zip", batches(0, 999, 1000))
    names = ["00000/img00000000.png", "00000/img00000999.png", "00001/img00001000.png"]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == [*names, "dataset.json"]
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        for name, image in zip(names, images_of(0, 999, 1000), strict=True):
            same_bits(pixels(archive.open(name)), image.transpose(1, 2, 0))
        labels = json.loads(archive.read("dataset.json"))["labels"]
        assert labels == [[name, number] for name, number in zip(names, (0, 0, 1), strict=True)]
    writers.write_zip(tmp_path / "b.zip", batches(0, 999, 1000))
    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()
    read = data.load(DataConfig(source=str(tmp_path / "a.zip"), labels=True))
    same_bits(read.images, images_of(0, 999, 1000))
    assert read.labels is not None and read.labels.tolist() == [0, 0, 1]
    writers.write_zip(tmp_path / "c.zip", batches(5, shape=(1, 4, 4), classes=0))
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert archive.namelist() == ["00000/img00000005.png"]
        same_bits(pixels(archive.open("00000/img00000005.png")), images_of(5, shape=(1, 4, 4))[0, 0])


def test_an_array_is_what_the_data_loader_reads(tmp_path: Path) -> None:
    path, names = tmp_path / "a.npz", ("ant", "bee", "cat")
    writers.write_npz(path, batches(4, 5, 6, shape=(3, 4, 4)), 3, (3, 4, 4), names)
    read = data.load(DataConfig(source=str(path), labels=True))
    same_bits(read.images, images_of(4, 5, 6, shape=(3, 4, 4)))
    assert read.labels is not None and [read.classes[i] for i in read.labels] == ["bee", "cat", "ant"]
    writers.write_npz(path, batches(4, classes=0), 1, (3, 4, 5), ())
    with np.load(path) as archive:
        assert archive.files == ["images"]


def test_a_file_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[Made]:
        yield from batches(0, 1)
        raise errors.ValueRangeError("NaN")

    for write in (
        lambda: writers.write_zip(tmp_path / "a.zip", broken()),
        lambda: writers.write_npz(tmp_path / "a.npz", broken(), 4, (3, 4, 5), ()),
        lambda: writers.write_grid(tmp_path / "a.png", broken()),
    ):
        with refused(errors.ValueRangeError, "NaN"):
            write()
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "file").touch()
    with refused(errors.CheckpointError, "cannot write"):
        writers.write_zip(tmp_path / "file" / "a.zip", batches(0))


def test_a_folder_is_filled_with_what_it_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    assert writers.lacking(folder, range(3), RECIPE) == [0, 1, 2]
    writers.write_folder(folder, batches(0, 1, 2), RECIPE, labels_of)
    assert writers.lacking(folder, range(5), RECIPE) == [3, 4]
    whole = (folder / "000001.png").read_bytes()
    (folder / "000001.png").write_bytes(whole[:-1])
    (folder / "000002.png").write_bytes(b"")
    assert writers.lacking(folder, range(4), RECIPE) == [1, 2, 3]
    writers.write_folder(folder, batches(1, 2, 1_000_000), RECIPE, labels_of)
    assert (folder / "000001.png").read_bytes() == whole
    assert writers.lacking(folder, [0, 1, 2, 1_000_000], RECIPE) == []
    names = ["000000.png", "000001.png", "000002.png", "1000000.png"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "dataset.json", "samples.json"])
    labels = json.loads((folder / "dataset.json").read_text())["labels"]
    assert labels == [[name, number] for name, number in zip(names, (0, 1, 2, 1), strict=True)]
    same_bits(pixels(folder / names[3]), images_of(1_000_000)[0].transpose(1, 2, 0))
    same_bits(data.load(DataConfig(source=str(folder))).images, images_of(0, 1, 2, 1_000_000))


def test_a_folder_of_other_images_is_refused(tmp_path: Path) -> None:
    writers.write_folder(tmp_path, batches(0), RECIPE, labels_of)
    for changed in ({**RECIPE, "seed": 1}, {**RECIPE, "seed.of": 1}, {"steps": (4, 4), "schedule.kind": "rows"}):
        with refused(errors.ConfigError, "seed", "samples.json", "-o"):
            writers.lacking(tmp_path, [0], changed)
    (tmp_path / "samples.json").unlink()
    with refused(errors.ConfigError, "no samples.json"):
        writers.lacking(tmp_path, [0], RECIPE)


def test_a_grid_shows_all_images(tmp_path: Path) -> None:
    writers.write_grid(tmp_path / "a.png", batches(0, 1, 2, shape=(3, 32, 32)))
    sheet = pixels(tmp_path / "a.png")
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        cell = sheet[4 + 68 * row :, 4 + 68 * column :][:64:2, :64:2]
        same_bits(cell, images_of(number, shape=(3, 32, 32))[0].transpose(1, 2, 0))


@pytest.mark.parametrize("name", ["a.jpg", "a.tar.gz"])
def test_files_of_other_kinds_are_refused(name: str, tmp_path: Path) -> None:
    with refused(errors.ValueRangeError, ".npz", name):
        writers.checked_output(tmp_path / name)
    (tmp_path / name).mkdir()
    assert writers.checked_output(tmp_path / name) == tmp_path / name
