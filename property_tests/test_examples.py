"""The examples: each is there, says how it is called, and runs; and what they claim to be exact, is."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gdm
from gdm import config
from gdm.config import build_groupings
from property_tests.runs import untrained

EXAMPLES = Path(__file__).parent.parent / "examples"
FIGURES = (
    "fig01_mixture fig01_blocks fig02_process fig03_interpolate fig04_bands fig05_orders fig06_traverse fig07_mix fig08_edit "
    "fig09_variation fig10_pixel_or_frequency fig11_groups fig12_bases fig13_cascade table1_groupings table2_intervals "
    "c1_autoregressive c2_cascade completion likelihood_bands"
).split()
TINY = {"channels": 8, "multipliers": [1], "blocks": 1, "attention": [], "dropout": 0.0}
SHORT = ["--steps", "9"]


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script as `python examples/NAME.py` does: with its folder on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


def call(name: str, out: Path, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> dict[str, Any]:
    """Run a script, and return the numbers it wrote, by file; its figures are pictures."""
    script = load(name, monkeypatch)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--out", str(out), *map(str, arguments)])
    script.main()
    drawn = [*out.glob("*.png")]
    assert drawn
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in drawn)
    assert {path.stem for path in drawn} <= {path.stem for path in out.glob("*.pdf")}, "a figure without its PDF"
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*.json")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of the examples' own configs with a tiny network and random weights."""
    folder = tmp_path_factory.mktemp("runs")
    names = ("digits_bands", "digits_orders", "digits_groupings")
    tables = {name: config.to_dict(config.load(EXAMPLES / "configs" / f"{name}.toml")) for name in names}
    return {name: untrained(folder / name, table | {"network": TINY}) for name, table in tables.items()}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_script_that_says_how_it_is_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = load(name, monkeypatch)
    assert callable(script.main)
    assert f"python examples/{name}.py" in (script.__doc__ or "")
    lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100, "an example says which; the library does the work"


def test_configs_are_valid_and_mentioned_ones_exist() -> None:
    for path in (EXAMPLES / "configs").glob("*.toml"):
        config.load(path)
    for script in EXAMPLES.glob("*.py"):
        for word in script.read_text(encoding="utf-8").replace('"', " ").split():
            if word.startswith("examples/configs/"):
                assert Path(EXAMPLES.parent, word.rstrip(".,;")).is_file(), f"{script.name} mentions {word}"


@pytest.mark.parametrize(("name", "size"), [("paper_bands_ffhq", 256), ("paper_bands_ffhq64", 64)])
def test_bands_at_the_papers_scale_are_the_papers(name: str, size: int) -> None:
    """S1 = {0, ..., 29}, S2 = {30, ..., 99}, S3 = {100, ..., 499}, S4 = {500, ..., r^2 - 1}, in each channel (Sec. 4.3, A.3)."""
    spec = config.load(EXAMPLES / "configs" / f"{name}.toml")
    schedule = build_groupings(spec, (3, size, size)).schedule
    assert schedule.partition.sizes == tuple(3 * count for count in (30, 70, 400, size * size - 500))
    assert schedule.basis.name == "blur"


def test_a_mixture_is_the_same_all_at_once_and_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = call("fig01_mixture", tmp_path, monkeypatch, "--n", 300, "--steps", 64)["fig01_mixture"]
    assert all(found[way]["frechet_to_data"] < 0.1 for way in ("k = 1: all at once", "k = 2: one by one"))


def test_one_group_per_element_is_the_autoregressive_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = call("c1_autoregressive", tmp_path, monkeypatch, "--n", 1, "--components", 2, "--most", 2)
    assert found["c1_autoregressive"]["loop_against_gdm"] < 1e-10


def test_a_lattice_is_the_cascade_of_two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = call("c2_cascade", tmp_path, monkeypatch, "--n", 2, "--components", 2, "--steps", 8)
    assert found["c2_cascade"]["two_models_against_gdm"] < 1e-10


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fig03_interpolate", [*SHORT, "--n", 3]),
        ("fig06_traverse", SHORT),
        ("fig07_mix", SHORT),
        ("fig08_edit", SHORT),
        ("fig09_variation", [*SHORT, "--n", 2]),
    ],
)
def test_bands_are_edited(
    name: str, arguments: list[Any], runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(name, tmp_path, monkeypatch, "--run", runs["digits_bands"], *arguments)


def test_the_process_of_bands_is_coarse_to_fine(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a band that is not begun, nothing is known; in the end, all is."""
    given = ["--run", runs["digits_bands"], "--vanilla-run", runs["digits_groupings"], "--steps", 8]
    shares = call("fig02_process", tmp_path, monkeypatch, *given)["fig02_process"]["bands"]
    assert shares[-1] == [1.0] * 4
    for frame, row in enumerate(shares[:-1]):
        assert max(row[frame // 2 + 1 :], default=0.0) < 1e-9


def test_known_pixels_come_back(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--run", runs["digits_orders"], "--cascade-run", runs["digits_groupings"], *SHORT, "--n", 2]
    found = call("completion", tmp_path, monkeypatch, *given)["completion"]
    for region in ("top", "left", "centre", "border", "coarse"):
        assert found[region]["known"] > 0
        assert found[region]["differ"] == 0
        assert found[region]["taught"]


def test_the_second_stage_leaves_the_first_as_it_is(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = call("fig13_cascade", tmp_path, monkeypatch, "--run", runs["digits_groupings"], *SHORT)
    assert found["fig13_cascade"]["first_stage_moved_by_second"] == 0


def test_orders_are_swept(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--run", runs["digits_orders"], *SHORT, "--orders", 2, "--repeats", 2, "--n", 80]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = call("fig05_orders", tmp_path, monkeypatch, *given)["fig05_numbers"]
    assert found["best"] <= found["worst"]


def test_groupings_are_compared(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--run", runs["digits_groupings"], "--steps", 2, "--repeats", 1, "--n", 80, "--reference", 100]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):  # the second call goes on from the table of the first
        found = call("table1_groupings", tmp_path, monkeypatch, *given)["table1_numbers"]
        assert found["real"] > 0
        assert [found[name]["paper"] for name in ("CDM", "CDM-inv")] == [14.03, 13.70]


def test_variance_falls_to_nothing_with_the_latents_that_are_fixed(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = call("fig04_bands", tmp_path, monkeypatch, "--run", runs["digits_bands"], *SHORT, "--n", 2)
    assert found["fig04_variance"]["fixed"][-1] == 64
    assert found["fig04_variance"]["variance"][0] > found["fig04_variance"]["variance"][-1] == 0


def test_blocks_leave_earlier_ones_alone(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--run", runs["digits_orders"], *SHORT, "--n", 2]
    assert call("fig01_blocks", tmp_path, monkeypatch, *given)["fig01_blocks"]["leak_to_earlier_groups"] == 0


def test_bits_of_the_bands_add_up(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--run", runs["digits_bands"], "--steps", 4, "--n", 2]
    found = call("likelihood_bands", tmp_path, monkeypatch, *given)["likelihood_bands"]
    weighed = sum(bits * size for bits, size in zip(found["bits"], found["sizes"], strict=True)) / 64
    assert found["total"][0] == pytest.approx(weighed)


def test_an_orthonormal_basis_keeps_all_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = call("fig12_bases", tmp_path, monkeypatch)["fig12_bands"]["share_of_energy"]
    for values in shares.values():
        assert values == sorted(values)
        assert 0 < values[-1] <= 1 + 1e-12
    assert shares["cosine"][0] > shares["pixel"][0]


@pytest.mark.parametrize(
    ("name", "run", "arguments"),
    [
        ("fig10_pixel_or_frequency", "digits_bands", [*SHORT, "--repeats", 2]),
        ("table2_intervals", "digits_bands", SHORT),
    ],
)
def test_distances_are_compared(
    name: str,
    run: str,
    arguments: list[Any],
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one model in the place of all that the script would train."""
    load("shared", monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("shared.trained", lambda *_, **__: gdm.load(runs[run]))
    given = ["--n", 80, "--reference", 100, *arguments]
    assert call(name, tmp_path, monkeypatch, *given) == call(name, tmp_path, monkeypatch, *given)


def test_numbers_of_groups_are_swept(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--run", runs["digits_groupings"], "--calls", 8, 16, "--repeats", 1, "--n", 70]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = call("fig11_groups", tmp_path, monkeypatch, *given)["fig11_numbers"]
    assert {"k=1 8", "k=8 16"} <= set(found)


def test_a_run_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call trains the config in runs/NAME, the next one takes what is there."""
    monkeypatch.chdir(tmp_path)
    small = ["network.channels=8", "network.multipliers=[1]", "network.attention=[]", "training.steps=2"]
    given = [*SHORT, "--n", 1, "--set", *small, "training.batch=8"]
    for _ in range(2):
        call("fig13_cascade", tmp_path / "figures", monkeypatch, *given)
        kept = {path: path.stat().st_mtime_ns for path in Path("runs/digits_groupings").rglob("*") if path.is_file()}
        monkeypatch.setattr("gdm.training.train", lambda *_: pytest.fail("trained again"))
    assert any("00000002" in path.name for path in kept), "the last step is not kept"
