"""Laws of measured distances: features in batches, extractors, the cache, and what `gdm evaluate frechet` reports."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

import gdm
from gdm import cli, extractors, feature_cache, fidelity
from gdm.backends.torch import features as networks
from gdm.data import Dataset
from gdm.errors import BackendError, ConfigError, DataError, DTypeError, GDMError, ShapeError, ValueRangeError
from gdm.extractors import Pixels
from gdm.metrics import frechet_distance, kernel_distance, moments
from gdm.pixels import to_uint8
from property_tests.problems import seeds
from property_tests.runs import SMALL, exact, untrained
from property_tests.support import agree, refused, same_bits


def bytes_of(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class Counting:
    """An extractor that knows its hash, and counts the images that it has seen."""

    name, about, device, batch = "counting", "all elements", "cpu", 16

    def __init__(self, sha256: str | None = "1") -> None:
        self.sha256, self.seen = sha256, 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        return images.reshape(len(images), -1) / 255.0


# Features


@given(seeds, st.lists(st.integers(0, 30), max_size=4), st.integers(1, 40))
def test_batches_change_nothing(seed: int, cuts: list[int], batch: int) -> None:
    """However images arrive and are cut for the extractor, their features are those of one call, all told."""
    images, told = bytes_of(seed, 30, 1, 2, 3), []
    got = fidelity.gather(np.split(images, sorted(cuts)), 30, Pixels(), batch=batch, seen=told.append)
    whole = Pixels()(images)
    agree(got.moments.mean, whole.mean(axis=0), 1e-6)
    agree(got.moments.covariance, np.cov(whole.astype(float), rowvar=False), 1e-10)
    same_bits(got.sample, whole)
    assert sum(told) == 30 and max(told) <= batch


def test_a_spread_of_features_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than there is room for, so many are kept one by one: the same ones each time, from all over the set."""
    monkeypatch.setattr(fidelity, "KEPT", 20)
    images = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1)
    kept = [
        fidelity.gather([images], 200, extractors.get(by), batch=size).sample for by, size in ((flat, 7), (flat, 64))
    ]
    same_bits(kept[0], kept[1])
    numbers = kept[0][:, 0]
    assert numbers.shape == (20,) and (np.diff(numbers) > 0).all()
    assert np.histogram(numbers, 4, (0, 200))[0].min() >= 2
    for count in (199, 201):
        with refused(ValueRangeError, f"expected {count} images"):
            fidelity.gather([images], count, Pixels())


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


def test_a_model_is_measured_by_the_bytes_that_it_writes() -> None:
    """The features of a model are those of the images that `gdm sample` would write, whatever is made at once."""
    model = exact(gdm.Schedule.blockwise((1, 2, 2), grid=(2, 1)))
    images = to_uint8(np.asarray(model.generate(9, seed=3, first=2, steps=4)))
    expected = moments([Pixels()(images)])
    for batch in (2, 9):
        got = fidelity.of_model(model, 9, Pixels(), seed=3, first=2, steps=4, batch=batch)
        assert got is not None
        agree(got.moments.covariance, expected.covariance, 1e-9)
        same_bits(got.sample, Pixels()(images))


class Other:
    """The second of two processes, which sends its images to the first."""

    rank, size = 1, 2

    def __init__(self) -> None:
        self.sent: list[np.ndarray] = []

    def mean(self, values: np.ndarray) -> np.ndarray:
        return values

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        self.sent.append(values)
        return []


def test_a_process_that_is_not_the_first_makes_its_share_and_extracts_nothing() -> None:
    model, world, extractor = exact(gdm.Schedule.blockwise((1, 2, 2), grid=(2, 1))), Other(), Counting()
    assert fidelity.of_model(model, 9, extractor, steps=4, batch=2, world=world) is None  # type: ignore[arg-type]
    images = to_uint8(np.asarray(model.generate(9, steps=4)))
    same_bits(np.concatenate(world.sent), images[[2, 3, 6, 7]])  # of each round of four, the second half
    assert extractor.seen == 0


def test_both_distances_and_their_summary() -> None:
    first, second = bytes_of(0, 90, 1, 2, 2), bytes_of(1, 80, 1, 2, 2) // 2
    a, b = (fidelity.gather([images], len(images), Pixels()) for images in (first, second))
    got = fidelity.compare(a, b, subsets=7, seed=5)
    agree(got.frechet, frechet_distance(Pixels()(first), Pixels()(second)), 1e-9)
    assert got.kernel == kernel_distance(Pixels()(first), Pixels()(second), subsets=7, seed=5)
    assert fidelity.compare(a, b, subsets=0).kernel is None
    assert fidelity.summary([1.0, 2.0, 6.0]) == (3.0, np.sqrt(7.0)) and fidelity.summary([4.0]) == (4.0, None)


# Extractors


def test_pixels_are_the_images() -> None:
    images = bytes_of(0, 3, 1, 2, 2)
    agree(Pixels()(images), images.reshape(3, 4) / 127.5 - 1, 1e-6)
    with refused(ShapeError, "16384", "data.size"):
        Pixels()(np.zeros((1, 1, 129, 128), np.uint8))


def test_any_function_is_an_extractor() -> None:
    given_one = extractors.get(flat)
    assert (given_one.name, given_one.sha256) == ("flat", None)
    assert extractors.get(Counting()).sha256 == "1" and extractors.get(Counting()).name == "counting"
    with refused(ShapeError, "(3, d)", "(3, 1, 2, 2)"):
        extractors.get(lambda images: images)(bytes_of(0, 3, 1, 2, 2))


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (np.zeros((3, 0)), ShapeError, "got (3, 0)"),
        ([[1.0], [2.0, 3.0], [4.0]], ShapeError, "rows of different lengths"),
        ([["a"], ["b"], ["c"]], DTypeError, "real numbers"),
        (np.ones((3, 2)) + 1j, DTypeError, "got complex128"),
        ([[None]] * 3, DTypeError, "got object"),
    ],
)
def test_what_are_no_features_is_refused(found: Any, kind: type[GDMError], words: str) -> None:
    """Not measured: no features are all alike, and of complex numbers only a part would be."""
    with refused(kind, "features", words):
        extractors.get(lambda _: found)(bytes_of(0, 3, 1, 2, 2))


def test_a_tensor_that_is_being_trained_gives_its_values() -> None:
    got = extractors.get(lambda x: torch.ones((len(x), 2), requires_grad=True))(bytes_of(0, 3, 1, 2, 2))
    same_bits(got, np.ones((3, 2), np.float32))


def test_a_function_of_the_users_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file in the current directory, which is not left on the path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gdm_own.py").write_text(
        "class Own:\n    flat = staticmethod(lambda x: x.reshape(len(x), -1))\nn = 1\n"
    )
    before = list(sys.path)
    images = bytes_of(0, 3, 1, 2, 2)
    same_bits(extractors.get("gdm_own:Own.flat")(images), images.reshape(3, 4))
    assert sys.path == before
    for name, words in (
        ("gdm_own:Own.flta", ("did you mean 'flat'?", "MODULE:FUNCTION")),
        ("gdm_own:n", ("a function of images", "got int")),
        ("gdm_owm:Own", ("No module named 'gdm_owm'", "MODULE:FUNCTION")),
        (":", ("MODULE:FUNCTION",)),
    ):
        with refused(ConfigError, "extractor", *words):
            extractors.get(name)


def test_extractors_that_are_not_there() -> None:
    with refused(ConfigError, "inception", "did you mean 'pixels'"):
        extractors.get("pixel")
    for other in ("pixels", "efficientnet-lite0", flat):
        with refused(ConfigError, "weights", "for 'inception'"):
            extractors.get(other, weights=Path("file"))


def test_efficientnet_sees_colour_and_size() -> None:
    """1280 features that an image of grey shares with its RGB copy; no batch changes them."""
    extractor = extractors.get("efficientnet-lite0", device="cpu")
    assert extractor.sha256 == networks.LITE0_SHA256
    images = bytes_of(0, 2, 1, 8, 8)
    found = extractor(images)
    assert found.shape == (2, 1280) and found.dtype == np.float32
    agree(extractor(np.repeat(images[1:], 3, axis=1)), found[1:], 1e-4)
    assert np.abs(found[0] - found[1]).max() > 1e-2


class FakeInception(torch.nn.Module):
    """What torch-fidelity offers, in small: loads its weights as that does, and returns a tuple of features."""

    def __init__(self, name: str, features: list[str], feature_extractor_weights_path: Any) -> None:
        super().__init__()
        assert features == ["2048"] and isinstance(
            feature_extractor_weights_path, io.BytesIO
        )  # a file it would unpickle
        self.fc = torch.nn.Linear(3, 4)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        assert x.dtype == torch.uint8 and x.shape[1] == 3
        return (self.fc(x.float().mean(dim=(2, 3))),)


@pytest.fixture
def fidelity_library(monkeypatch: pytest.MonkeyPatch) -> None:
    library: Any = types.ModuleType("torch_fidelity")
    library.FeatureExtractorInceptionV3 = FakeInception
    monkeypatch.setitem(sys.modules, "torch_fidelity", library)


class Trap:
    """An object that runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_inception_reads_tensors_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fidelity_library: None
) -> None:
    weights = {"fc.weight": torch.arange(12.0).reshape(4, 3), "fc.bias": torch.ones(4)}
    torch.save(weights, tmp_path / "own.pth")
    save_file(weights, tmp_path / "own.safetensors")
    images = bytes_of(0, 2, 1, 3, 3)
    means = images.reshape(2, 9).mean(axis=1)
    expected = means[:, None] * weights["fc.weight"].numpy().sum(axis=1) + 1
    for name in ("own.pth", "own.safetensors"):
        path = tmp_path / name
        with pytest.warns(UserWarning, match="expected the weights of FID"):
            extractor = extractors.get("inception", device="cpu", weights=path)
        agree(extractor(images), expected, 1e-5)
        assert extractor.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    torch.save({"fc.weight": weights["fc.weight"], "more": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))  # torch's own protocol
    (tmp_path / "other.pth").write_bytes(b"nothing")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("trap", "pickle", "other", "list"):
        with refused(DataError, f"{name}.pth", "download"):
            extractors.get("inception", weights=tmp_path / f"{name}.pth")
    assert not (tmp_path / "sprung").exists()
    torch.save({"fc.weight": weights["fc.weight"]}, tmp_path / "less.pth")
    with refused(DataError, "less.pth", "fc.bias"), pytest.warns(UserWarning):
        extractors.get("inception", weights=tmp_path / "less.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with refused(DataError, networks.INCEPTION_URL, "--weights"):
        extractors.get("inception")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with refused(BackendError, "gdm[fid]"):
        extractors.get("inception", weights=tmp_path / "own.pth")


# The cache


def test_features_are_kept_for_the_same_pixels_and_extractor(tmp_path: Path) -> None:
    """What comes from the cache is what went in, to the bit; a change of anything is computed anew."""
    dataset, extractor = Dataset(bytes_of(0, 40, 1, 2, 2)), Counting()
    first = fidelity.of_data(dataset, extractor, cache=tmp_path)
    again = fidelity.of_data(Dataset(bytes_of(0, 40, 1, 2, 2)), extractor, cache=tmp_path, batch=7)
    assert extractor.seen == 40
    for name in ("mean", "covariance", "count"):
        same_bits(np.asarray(getattr(again.moments, name)), np.asarray(getattr(first.moments, name)))
    same_bits(again.sample, first.sample)
    changed = bytes_of(0, 40, 1, 2, 2)
    changed[39, 0, 1, 1] ^= 1
    other = Counting("2")
    for images, by, count in ((changed, extractor, 0), (dataset.images, extractor, 20), (dataset.images, other, 0)):
        before = by.seen
        fidelity.of_data(Dataset(images), by, cache=tmp_path, count=count)  # type: ignore[arg-type]
        assert by.seen == before + (count or 40)
    assert len([*tmp_path.iterdir()]) == 4
    unknown = Counting(None)
    for _ in range(2):
        fidelity.of_data(dataset, unknown, cache=tmp_path)
    assert unknown.seen == 80 and len([*tmp_path.iterdir()]) == 4


def test_what_is_damaged_in_the_cache_is_made_anew(tmp_path: Path) -> None:
    dataset, extractor = Dataset(bytes_of(0, 40, 1, 2, 2)), Counting()
    first = fidelity.of_data(dataset, extractor, cache=tmp_path)
    fidelity.of_data(dataset, extractor, cache=tmp_path, count=30)
    whole, part = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    content = whole.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 255
    for damage in (content[: len(content) // 2], b"", bytes(flipped), part.read_bytes()):
        whole.write_bytes(damage)
        before = extractor.seen
        with pytest.warns(UserWarning, match="damaged"):
            got = fidelity.of_data(dataset, extractor, cache=tmp_path)
        assert extractor.seen == before + 40
        same_bits(got.moments.covariance, first.moments.covariance)
        assert whole.read_bytes() == content  # and mended


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not kept"):
        got = fidelity.of_data(Dataset(bytes_of(0, 9, 1, 2, 2)), Counting(), cache=tmp_path / "file" / "sub")
    assert got.moments.count == 9


def test_some_of_the_images_are_spread_and_always_the_same() -> None:
    dataset = Dataset(np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1))
    numbers = fidelity.of_data(dataset, extractors.get(flat), count=50).sample[:, 0]
    same_bits(numbers, fidelity.of_data(dataset, extractors.get(flat), count=50, batch=3).sample[:, 0])
    assert len(np.unique(numbers)) == 50 and np.histogram(numbers, 4, (0, 200))[0].min() >= 5
    with refused(ValueRangeError, "at most 200", "201"):
        fidelity.of_data(dataset, Pixels(), count=201)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert feature_cache.default_folder() == tmp_path / "gdm"
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert feature_cache.default_folder() == Path.home() / ".cache" / "gdm"


# The command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fidelity")
    untrained(path / "run", SMALL)
    return path


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def evaluated(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    got = cli.main(["evaluate", "frechet", *words])
    output, errors = capsys.readouterr()
    assert got == status, errors
    return output, errors


OPTIONS = ("--extractor", "pixels", "-n", "70", "--steps", "4", "--kid-subsets", "3", "--seed", "5")


@pytest.mark.usefixtures("here")
def test_a_run_is_measured_with_all_that_the_number_depends_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, errors = evaluated(capsys, "run", *OPTIONS, "--repeats", "2", "--batch", "32", "-o", "out/report.json")
    assert errors == "" and output.splitlines()[-1] == "out/report.json"
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["seeds"] == [5, 6] and report["repeats"] == 2
    model = gdm.load("run")
    digits = gdm.data.load(gdm.config.DataConfig(source="digits"))  # type: ignore[attr-defined]
    real = Pixels()(digits.take(np.arange(len(digits))))
    expected = []
    for seed in (5, 6):
        images = to_uint8(model.backend.to_numpy(model.generate(70, seed=seed, steps=4)))
        expected.append(frechet_distance(Pixels()(images), real))
    agree(report["frechet"]["values"], expected, 1e-3)  # a byte may be rounded the other way in another batch
    agree(report["frechet"]["mean"], np.mean(report["frechet"]["values"]))
    agree(report["frechet"]["sd"], np.std(report["frechet"]["values"], ddof=1))
    assert len(report["kernel"]["values"]) == 2 and (report["kernel"]["subsets"], report["kernel"]["size"]) == (3, 35)
    assert report["reference"]["hash"] == digits.hash and report["reference"]["count"] == 1797
    assert report["extractor"]["name"] == "pixels" and report["images"]["n"] == 70
    made = report["images"]
    assert (made["solver"], made["steps"], made["guidance"], made["calls"]) == ("euler", [1, 1, 1, 1], 1.0, 4)
    assert made["checkpoint"] == gdm.checkpoint.checksum(Path("run"), 0) and "seed" not in made  # type: ignore[attr-defined]
    for value in (*report["frechet"]["values"], report["frechet"]["mean"]):
        assert f"{value:.3f}" in output
    assert digits.hash[:16] in output and "4 network calls" in output and "70 per seed" in output


@pytest.mark.usefixtures("here")
def test_images_that_are_there_give_the_number_of_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sampled into a folder, a zip or an .npz, the images of a run are as far from real ones as from the run itself."""
    evaluated(capsys, "run", *OPTIONS, "--repeats", "1", "--batch", "70", "-o", "run.json")
    expected = json.loads((folder / "run.json").read_text())
    assert expected["frechet"]["sd"] is None
    for name in ("made", "made.zip", "made.npz"):
        sample = ["sample", "run", "-n", "70", "--steps", "4", "--seed", "5", "--batch", "70", "-o", name]
        assert cli.main(sample) == 0
        capsys.readouterr()
        evaluated(
            capsys, name, "--reference", "digits", "--extractor", "pixels", "--kid-subsets", "3", "-o", f"{name}.json"
        )
        got = json.loads((folder / f"{name}.json").read_text())
        agree(got["frechet"]["mean"], expected["frechet"]["mean"], 1e-9)
        agree(got["kernel"]["mean"], expected["kernel"]["mean"], 1e-9)
        assert ("recipe" in got["images"]) == (name == "made") and got["images"]["n"] == 70


@pytest.mark.usefixtures("here")
def test_a_report_goes_on_and_is_never_written_over(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds that are there are not generated again; other settings go to another file, or are refused with -o."""
    short = ("run", *OPTIONS, "-o", "kept/report.json")
    evaluated(capsys, *short, "--repeats", "1")
    first = json.loads((folder / "kept" / "report.json").read_text())
    drawn = []
    monkeypatch.setattr(
        fidelity, "of_model", lambda *a, of=fidelity.of_model, **k: drawn.append(k["seed"]) or of(*a, **k)
    )
    output, _ = evaluated(capsys, *short, "--repeats", "2")
    second = json.loads((folder / "kept" / "report.json").read_text())
    assert drawn == [6] and second["seeds"] == [5, 6] and "(as in kept/report.json)" in output
    for name in ("frechet", "kernel"):
        assert second[name]["values"][0] == first[name]["values"][0]
    assert second["kernel"]["deviations_of_subsets"][0] == first["kernel"]["deviations_of_subsets"][0]
    for words, told in (
        (("--solver", "ab2"), "images.solver = 'euler', as there, got 'ab2'"),
        (("--reference-n", "900"), "reference.count = 1797, as there, got 900"),
        (("--kid-subsets", "4"), "kid_subsets = 3, as there, got 4"),
    ):
        _, errors = evaluated(capsys, *short, "--repeats", "1", *words, status=2)
        assert told in errors and "-o" in errors
    assert json.loads((folder / "kept" / "report.json").read_text()) == second
    (folder / "kept" / "notes.json").write_text('{"mine": 1}')
    _, errors = evaluated(capsys, *short[:-1], "kept/notes.json", status=2)
    assert "no report" in errors
    for solver, name in (("ab2", "frechet-pixels"), ("heun", "frechet-pixels-2"), ("ab2", "frechet-pixels")):
        output, _ = evaluated(capsys, "run", *OPTIONS, "--repeats", "1", "--seed", "11", "--solver", solver)
        assert output.splitlines()[-1] == f"run/{name}.json"
        assert json.loads((folder / "run" / f"{name}.json").read_text())["images"]["solver"] == solver
    assert drawn == [6, 11, 11]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "broken",
    [
        {"seeds": []},
        {"seeds": ["5"]},
        {"seeds": [5, 5]},
        {"frechet": {"values": []}},
        {"frechet": {"values": ["1"]}},
        {"frechet": {"values": [None]}},
        {"frechet": {"values": [float("nan")]}},
        {"kernel": None},
        {"kernel": {"values": [], "deviations_of_subsets": [], "subsets": 3, "size": 35}},
        {"images": None},
    ],
    ids=str,
)
def test_a_report_that_does_not_fit_together_is_left_alone(
    broken: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "broken.json"
    path.unlink(missing_ok=True)
    line = ("run", *OPTIONS, "--repeats", "1", "-o", "broken.json")
    evaluated(capsys, *line)
    path.write_text(json.dumps({**json.loads(path.read_text()), **broken}))
    before = path.read_bytes()
    _, errors = evaluated(capsys, *line, status=2)
    assert re.fullmatch(r"gdm: broken.json holds [^\n]+\n", errors) and path.read_bytes() == before


@pytest.mark.usefixtures("here")
def test_a_run_is_the_same_wherever_it_lies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its checkpoint says what it is, and not the path by which it was called."""
    words = (*OPTIONS, "--repeats", "1", "-o", "lies.json")
    evaluated(capsys, "run", *words)
    output, _ = evaluated(capsys, str(folder / "run"), *words)
    assert "(as in lies.json)" in output


@pytest.mark.usefixtures("here")
def test_a_function_of_the_user_s_measures_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it computed before is never taken for what it computes now: it has no hash."""
    (folder / "gdm_mine.py").write_text("def flat(x):\n    return x.reshape(len(x), -1) / 127.5 - 1\n")
    words = ["run", *OPTIONS, "--repeats", "1", "--extractor"]
    evaluated(capsys, *words, "pixels", "-o", "by-name.json")
    expected = json.loads((folder / "by-name.json").read_text())["frechet"]["mean"]
    for name in ("frechet-flat", "frechet-flat-2"):
        output, _ = evaluated(capsys, *words, "gdm_mine:flat")
        assert output.splitlines()[-1] == f"run/{name}.json"
        agree(json.loads((folder / "run" / f"{name}.json").read_text())["frechet"]["mean"], expected, 1e-6)


@pytest.mark.usefixtures("here")
def test_too_few_images_are_told_before_they_are_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, though three repeats are measured."""
    few = [word if word != "70" else "9" for word in OPTIONS]
    _, errors = evaluated(capsys, "run", *few, "--repeats", "3")
    assert errors.count("9 features in 64 dimensions") == 1

    def stopped(*_: object, **__: object) -> None:
        raise ValueRangeError("stopped")

    monkeypatch.setattr(fidelity, "of_model", stopped)
    _, errors = evaluated(capsys, "run", *few, "--seed", "9", status=2)
    assert "9 features in 64 dimensions" in errors and errors.endswith("gdm: stopped\n")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("rum",), ("rum does not exist", "did you mean 'run'", "npz")),
        (("run", "--extractor", "pixles"), ("did you mean 'pixels'",)),
        (
            ("run", "--extractor", "pixels", "--reference", "digit"),
            ("--reference: 'digit' does not exist", "did you mean 'digits'"),
        ),
        (("run", "--extractor", "pixels", "--weights", "x"), ("for 'inception'",)),
        (("run", "--extractor", "inception", "--weights", "none.pth"), ("none.pth", networks.INCEPTION_URL)),
        (("run", "--extractor", "pixels", "-o", "report.txt"), (".json",)),
        (("run", "--extractor", "pixels", "schedule.oder=spiral"), ("schedule.oder", "order")),
        (("run", "--extractor", "pixels", "data.size=4"), ("(1, 8, 8)", "(1, 4, 4)", "data.size=8")),
        (("run", "--extractor", "pixels", "training.steps=4"), ("training.steps=4",)),
        (("run", "--extractor", "pixels", "--reference-n", "1798"), ("--reference-n: ", "1797", "1798")),
        (("run", "--extractor", "pixels", "--reference-n", "1"), ("--reference-n", "from 2")),
        (("digits", "--extractor", "pixels", "--reference", "digits", "-n", "1798"), ("2 to 1797", "without -n")),
        (("run", "--extractor", "pixels", "--kid-subsets", "1"), ("--kid-subsets", "from 2")),
        (("run", "--extractor", "pixels", "-n", "1"), ("-n", "from 2")),
        (("digits", "--extractor", "pixels"), ("--reference",)),
        (("digits", "--reference", "digits", "--steps", "3"), ("--steps is for a run",)),
        (("digits", "--reference", "digits", "--repeats", "3"), ("--repeats is for a run",)),
        (("digits", "--reference", "digits", "schedule.order=spiral"), ("schedule.order=spiral is for a run",)),
    ],
    ids=lambda value: " ".join(value) if value[0] in ("run", "rum", "digits") else "",
)
def test_mistakes_are_explained_in_one_line(
    words: tuple[str, ...], expected: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--steps", "4", "--repeats", "1") if words[0] == "run" else ()  # should it go through after all
    _, errors = evaluated(capsys, *words, *small, *(("-n", "70") if small and "-n" not in words else ()), status=2)
    assert re.fullmatch(r"gdm: [^\n]+\n", errors), errors
    for part in expected:
        assert part in errors
