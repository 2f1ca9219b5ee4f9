"""The commands encode, decode, edit and complete do what the functions do, and explain mistakes in a line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gdm import cli, editing, encoding, intake, latent_files, loading
from gdm.completing import complete, known_first
from gdm.pixels import to_uint8
from property_tests.runs import SMALL, untrained

BANDS: dict[str, Any] = {
    **SMALL,
    "data": {"source": "digits"},
    "schedule": {"kind": "bands", "edges": [4, 16]},
}
BLOCKS: dict[str, Any] = {**SMALL, "schedule": {"kind": "blockwise", "grid": [2, 2], "order": "random"}}
CASCADE: dict[str, Any] = {**BANDS, "schedule": {"kind": "cascade"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three runs of random weights and two pictures."""
    path = tmp_path_factory.mktemp("edit")
    for name, config in (("bands", BANDS), ("blocks", BLOCKS), ("cascade", CASCADE)):
        untrained(path / name, config)
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 8)).astype(np.uint8)
    for name, image in zip(("a", "b"), noise, strict=True):
        Image.fromarray(image).save(path / f"{name}.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 255
    Image.fromarray(mask).save(path / "right.png")
    np.savez(path / "data.npz", images=noise)
    return path


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[str, str]:
    """Run a command that succeeds; return what it printed, and on stderr."""
    status = cli.main(argv)
    output, errors = capsys.readouterr()
    assert status == 0, errors
    return output, errors


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a command that fails; return its one line on stderr."""
    status = cli.main(argv)
    _, errors = capsys.readouterr()
    assert status == 2
    assert re.fullmatch(r"gdm: [^\n]+\n", errors), errors
    return errors


def near(got: np.ndarray, expected: np.ndarray) -> None:
    """Raise unless bytes are the same to rounding."""
    assert got.shape == expected.shape and np.abs(got.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "line", ["decode bands FILE", "edit swap bands --latents FILE", "edit reconstruct bands --latents FILE"]
)
def test_latents_of_other_weights_are_told(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = loading.load("bands")
    found = encoding.encode(loaded, intake.read_images(loaded, "digits", limit=2), steps=3, solver="euler")
    argv = line.replace("FILE", "older.safetensors").split()
    for facts, words in (({"checkpoint": "0" * 64}, "encoded with other weights"), ({}, "")):
        latent_files.write(Path("older.safetensors"), replace(found, facts=facts), loaded)
        _, errors = said(capsys, *argv, "-o", "older.png")
        assert words in errors and bool(errors) == bool(words), errors


def test_images_are_encoded_and_decoded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    output, _ = said(capsys, "encode", "bands", "a.png", "b.png", "--steps", "12", "--tol", "0.05")
    assert "12 steps, 2 images: worst group" in output and re.search(r"^4:16 +12 +\d+  [\d.e-]+$", output, re.M)
    assert output.splitlines()[-1] == "bands/latents.safetensors"
    loaded = loading.load("bands")
    latents = latent_files.read("bands/latents.safetensors", loaded)
    assert latents.names == ("a.png", "b.png") and latents.facts["tolerance"] == 0.05
    assert max(latents.errors or ()) <= 0.05 and latents.facts["checkpoint"]
    said(capsys, "decode", "bands", "bands/latents.safetensors", "-o", "back.npz")
    near(np.load("back.npz")["images"], to_uint8(encoding.decode(loaded, latents)))
    said(capsys, "decode", "bands", "bands/latents.safetensors", "-o", "back", "--batch", "1")
    said(capsys, "decode", "bands", "bands/latents.safetensors", "-o", "back", "--batch", "1")
    with Image.open("back/000001.png") as picture:
        near(np.asarray(picture), np.load("back.npz")["images"][1, 0])
    output, _ = said(capsys, "decode", "bands", "bands/latents.safetensors", "--steps", "9", "--solver", "euler")
    assert "9 steps of euler" in output and Path("bands/decoded.png").exists()
    monkeypatch.setattr(encoding, "MOST", 12)
    missed, _ = said(capsys, "encode", "bands", "a.png", "--steps", "9", "--tol", "1e-9")
    assert "--tol 1e-09 is NOT reached: more than 12 steps are not tried; choose a larger one" in missed
    assert "1 image encoded" in said(capsys, "edit", "resample", "bands", "--images", "a.png", "--steps", "4")[0]


def test_latents_of_another_run_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "encode", "bands", "a.png", "--steps", "6", "-o", "own.safetensors")
    words = complaint(capsys, "decode", "blocks", "own.safetensors")
    assert "groups r0c0, r0c1, r1c0, r1c1" in words and "groups 0:4, 4:16, 16:64" in words
    assert "ending in .safetensors" in complaint(capsys, "encode", "bands", "a.png", "-o", "own.npz")
    assert "a class for each image" in complaint(capsys, "encode", "blocks", "a.png")
    assert "blocks/latents" in said(capsys, "encode", "blocks", "a.png", "--label", "7", "--steps", "8")[0]
    folder = ("decode", "bands", "own.safetensors", "-o")
    said(capsys, *folder, "held")
    assert "holds other samples" in complaint(capsys, *folder, "held", "--steps", "7")


def test_each_edit_is_that_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    """The arrays beside the picture are those of the function with the same choices."""
    loaded = loading.load("bands")
    schedule = loaded.schedule
    pictures = intake.together([intake.read_images(loaded, name) for name in ("a.png", "b.png")])
    pair = encoding.encode(loaded, pictures, steps=9)
    images = ("--images", "a.png", "b.png", "--steps", "9")
    drawn = encoding.drawn(loaded, [3], seed=2, steps=9)
    samples = ("--samples", "3", "--seed", "2", "--steps", "9")
    groups = editing.choices(schedule, ["coarse", "1,2"])
    elements = editing.choices(schedule, elements=["2", "4:16"], channels="0")
    cases = {
        ("swap", *images): editing.swap(loaded, pair),
        ("interpolate", *images, "--groups", "coarse", "--groups", "1,2", "-n", "3"): editing.interpolate(
            loaded, pair, groups, n=3
        ),
        ("traverse", *samples, "--elements", "2", "--band", "4:16", "--channel", "0", "--range", "-1", "1", "-n", "3"):
            editing.traverse(loaded, drawn, elements, values=(-1, 0, 1)),
        ("resample", *samples, "--groups", "coarse", "--groups", "1,2", "-n", "2"): editing.resample(
            loaded, drawn, groups, n=2, seed=2
        ),
        ("resample", *samples, "--fixed", "0:16"): editing.resample(
            loaded, drawn, editing.choices(schedule, ["0:16"]), fixed=True, seed=2
        ),
        ("reconstruct", *images, "--rest", "zero"): editing.reconstruct(loaded, pair, rest="zero"),
    }  # fmt: skip
    for (name, *options), expected in cases.items():
        output, _ = said(capsys, "edit", name, "bands", *options)
        assert output.splitlines()[-2:] == [f"bands/edit-{name}.npz", f"bands/edit-{name}.png"]
        held = np.load(f"bands/edit-{name}.npz")
        near(held["images"], to_uint8(expected.images))
        assert held["rows"].tolist() == list(expected.rows) and held["columns"].tolist() == list(expected.columns)
        with Image.open(f"bands/edit-{name}.png") as picture:
            assert min(picture.size) > 100


def test_edits_take_files_of_latents_and_references(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "encode", "bands", "a.png", "b.png", "--steps", "6", "-o", "two.safetensors")
    said(capsys, "edit", "swap", "bands", "--latents", "two.safetensors", "-o", "one.png")
    said(capsys, "edit", "swap", "bands", "--latents", "two.safetensors", "-o", "finer.png", "--steps", "24")
    assert (np.load("one.npz")["images"] != np.load("finer.npz")["images"]).any()
    once = ("--images", "a.png", "--reference", "b.png", "--steps", "6")
    output, _ = said(capsys, "edit", "swap", "bands", *once, "-o", "other.svg")
    assert "2 images encoded; there and back loses" in output and Path("other.svg").exists()
    near(np.load("one.npz")["images"][:, 2:], np.load("other.npz")["images"][:, 2:])


def test_completion_keeps_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, by mask, from a small image; an order that was not trained is a warning."""
    options = ("a.png", "--label", "3", "-n", "2", "--steps", "6")
    output, errors = said(capsys, "complete", "blocks", *options, "--known", "right")
    assert "known: right; all 64 known bytes as they were" in output and not errors
    held = np.load("blocks/completed.npz")["images"]
    with Image.open("a.png") as picture:
        original = np.asarray(picture)
    for column in (0, 2, 3):
        assert (held[0, column, 0, :, 4:] == original[:, 4:]).all()
    loaded = loading.load("blocks")
    images = intake.read_images(loaded, "a.png", label="3")
    near(held, to_uint8(complete(loaded, images, known_first(loaded, "right"), n=2, steps=6).images))
    said(capsys, "complete", "blocks", *options, "--mask", "right.png", "-o", "masked.png")
    near(np.load("masked.npz")["images"], held)
    output, errors = said(capsys, "complete", "cascade", "a.png", "--known", "fine", "--steps", "4")
    assert "was not trained with fine first" in errors
    _, errors = said(capsys, "complete", "cascade", "a.png", "--upscale", "--steps", "4", "-o", "large.png")
    large = np.load("large.npz")["images"]
    assert "the image is not 4 x 4 in grey" in errors  # a.png is 8 x 8
    assert (large[0, 2:, 0, ::2, ::2] == large[0, 0, 0, ::2, ::2]).all()
    assert "known coordinates are kept to" in said(capsys, "complete", "bands", "a.png", "--known", "coarse")[0]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ("edit", "swop", "bands"),
            "expected one of interpolate, swap, traverse, resample, reconstruct, got 'swop'; did you mean 'swap'?",
        ),
        (("edit", "swap", "bands", "--group", "1"), "did you mean '--groups'?"),
        (("edit", "swap", "bands", "--samples", "0,1", "--images", "a.png"), "got --images and --samples"),
        (("edit", "swap", "bands", "--samples", "0,1", "--groups", "corse"), "did you mean 'coarse'?"),
        (("edit", "swap", "bands", "--samples", "0,1", "--groups", "0:5"), "--elements"),
        (("edit", "swap", "bands", "--samples", "0,1,2"), "gdm: --samples: expected an even number of latents, got 3"),
        (("edit", "swap", "bands", "--reference", "a.png"), "--reference: expected --images"),
        (("edit", "swap", "bands", "--images", "a.png"), "gdm: --images: expected an even number of images, got 1"),
        (("edit", "resample", "bands", "--images", "a.png", "-o", "a.png"), "-o: expected another file"),
        (("complete", "bands", "a.png", "--known", "low", "-o", "a.png"), "-o: expected another file"),
        (("edit", "resample", "bands", "-o", "data.png"), "would replace data.npz, which is something else"),
        (("edit", "resample", "bands", "--fixed", "all", "--steps", "3"), "gdm: --fixed: expected some of the groups"),
        (("edit", "traverse", "bands", "--channel", "R"), "gdm: --channel: expected 0, there is only one, got 'R'"),
        (("complete", "bands", "a.png", "--known", "low", "--grouping", "1"), "expected 0, the only one of this run"),
        (("edit", "swap", "bands", "--images", "c.png"), "gdm: --images: 'c.png' does not exist"),
        (("edit", "swap", "bands", "-o", "x.txt"), ".png or .pdf or .svg"),
        (("edit", "traverse", "bands", "--elements", "64"), "gdm: --elements: expected numbers 0 to 63"),
        (("edit", "resample", "bands", "--fixed", "corse"), "gdm: --fixed: expected numbers"),
        (("encode", "bands", "c.png"), "gdm: IMAGES: 'c.png' does not exist"),
        (("complete", "blocks", "a.png", "--mask", "c.png"), "gdm: --mask: 'c.png' does not exist"),
        (("encode", "bands", "a.png", "--split", "test"), "gdm: --split: 'a.png'"),
        (("encode", "blocks", "a.png", "--label", "ten"), "gdm: --label: expected 0 to 9"),
        (("edit", "resample", "bands", "--groups", "0", "--fixed", "1"), "got both"),
        (("edit", "swap", "bands", "--guidance", "2"), "guidance"),
        (("edit", "swap", "bands", "--tol", "0.1"), "--tol is for --images"),
        (("edit", "swap", "bands", "--latents", "x.safetensors", "--label", "1"), "--label: latents of a file"),
        (("complete", "bands", "a.png"), "this run knows coarse, low"),
        (("complete", "blocks", "a.png", "--label", "1", "--known", "centre"), "left, right"),
        (("complete", "bands", "a.png", "--upscale"), "gdm: --upscale: expected a run of a cascade"),
        (("complete", "bands", "a.png", "--known", "all"), "nothing is left"),
        (("complete", "bands", "a.png", "--known", "fine", "--mask", "right.png"), "got --known and --mask"),
    ],
    ids=range(31),
)
def test_mistakes_are_explained(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], words: str) -> None:
    own = [Path(name).read_bytes() for name in ("a.png", "data.npz")]
    assert words in complaint(capsys, *argv)
    assert [Path(name).read_bytes() for name in ("a.png", "data.npz")] == own, "what was read is lost"


def test_help_lists_the_edits(capsys: pytest.CaptureFixture[str]) -> None:
    output, _ = said(capsys, "edit")
    assert "reconstruct  Decode images" in output and "Fig. 7" in output
    assert said(capsys, "edit", "--help")[0] == output
    with pytest.raises(SystemExit) as ended:
        cli.main(["edit", "swap", "--help"])
    assert ended.value.code == 0 and "gdm edit swap runs/faces" in capsys.readouterr().out
