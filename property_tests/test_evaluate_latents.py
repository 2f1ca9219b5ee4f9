"""The commands that look at latents: what they write is what the library measures, and mistakes are explained."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdm
from gdm import cli, data, figures, tables
from gdm.analysis.bits import bits, dequantise
from gdm.analysis.correlation import total_correlation
from gdm.analysis.influence import influence
from gdm.analysis.variance import perceptual_variance
from gdm.errors import CheckpointError
from gdm.names import group_names
from gdm.pixels import to_uint8, to_unit
from property_tests.runs import SMALL, untrained
from property_tests.support import agree, refused, same_bits

MASKED = {**SMALL, "data": {"source": "digits"}, "training": {**SMALL["training"], "mask_pending": True}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("evaluate") / "run", MASKED)


def evaluated(capsys: pytest.CaptureFixture[str], run: Path, line: str) -> tuple[str, list[dict[str, str]], Any]:
    """Run `gdm evaluate`; return what it said, its table, and its JSON."""
    name, *options = line.split()
    deep = run.parent / "deep"
    stem = deep / f"{name}{len([*deep.glob('*.csv')])}"  # of its own: others are not written over
    assert cli.main(["evaluate", name, str(run), *options, "-o", str(stem)]) == 0
    output = capsys.readouterr().out
    for suffix, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        assert f"{stem}{suffix}" in output and Path(f"{stem}{suffix}").read_bytes().startswith(start)
    return output, tables.read_csv(Path(f"{stem}.csv")), json.loads(Path(f"{stem}.json").read_text())


def test_influence_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, rows, about = evaluated(capsys, run, "influence -n 3 --steps 4 --seed 2")
    found = influence(gdm.load(run), n=3, seed=2, steps=4)
    same_bits(np.array([float(row["rms"]) for row in rows]).reshape(4, 4), found.rms)
    names = group_names(gdm.load(run).schedule)
    assert [(row["latent_group_name"], row["image_group_name"]) for row in rows] == [*product(names, names)]
    assert about["leak"] == 0 and "an earlier group: 0 of" in output and "hidden" in output
    assert about["seed"] == 2 and about["solver"] == "ab2" and about["steps"] == [1, 1, 1, 1]


def test_variance_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "variance -n 2 --variations 3 --steps 4 --by elements --fixed 0 10 64"
    output, rows, about = evaluated(capsys, run, line)
    options: Any = {"by": "elements", "fixed": [0, 10, 64], "anchors": 2, "variations": 3, "steps": 4}
    value, _ = perceptual_variance(gdm.load(run), features=lambda x: to_unit(to_uint8(x)), **options).mean  # bytes
    got = [float(row["variance"]) for row in rows]
    agree(got, value, 1e-6)
    assert got[2] == 0 and about["extractor"]["name"] == "pixels" and "100%" in output
    assert [row["latents"] for row in rows] == ["0.0", "10.0", "64.0"]


def test_variance_by_groups_names_the_last_one(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In order of generation, which is another here than the run's."""
    line = "variance schedule.order=reverse -n 1 --variations 2 --steps 4 --fixed 0 1 4"
    _, rows, about = evaluated(capsys, run, line)
    names = ["none", "r1c1", "r0c0"]
    assert [row["last_group_name"] for row in rows] == [row["last_group_name"] for row in about["rows"]] == names
    assert [row["fixed"] for row in rows] == ["0.0", "1.0", "4.0"]


def test_another_measurement_is_never_written_over(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default it goes beside it; with -o it is refused, and so is whatever else is there, a run above all."""
    monkeypatch.chdir(run.parent)
    before = (run / "run.json").read_bytes()

    def said(*words: str, status: int = 0) -> str:
        assert cli.main(["evaluate", *words, "--steps", "4"]) == status
        return "".join(capsys.readouterr())

    for n, name in (("1", "influence"), ("2", "influence-2"), ("1", "influence"), ("2", "influence-2")):
        paths = [f"run/{name}{suffix}" for suffix in (".csv", ".json", ".png", ".pdf")]
        assert said("influence", "run", "-n", n).splitlines()[-4:] == paths
        assert json.loads(Path(paths[1]).read_text())["n"] == int(n)
    assert "n = 1, as there, got 3" in said("influence", "run", "-n", "3", "-o", "run/influence", status=2)
    Path("mine.png").write_bytes(b"mine")
    for other in ("run/run.json", "run/run", "mine"):
        for line in ("influence -n 1", "variance -n 1 --variations 2", "likelihood -n 1", "total-correlation"):
            name, *options = line.split()
            assert "choose another name (-o)" in said(name, "run", *options, "-o", other, status=2)
    assert (run / "run.json").read_bytes() == before and Path("mine.png").read_bytes() == b"mine"


def test_likelihood_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, rows, about = evaluated(capsys, run, "likelihood -n 3 --steps 4 --probes 2 --repeats 2")
    loaded = gdm.load(run)
    images = data.load(loaded.spec.data)
    chosen = images.take(data.batch_indices(len(images), 3, step=0, seed=0))
    found = bits(loaded, chosen, steps=4, probes=2, repeats=2)
    agree([float(row["bits_per_dimension"]) for row in rows], [*found.groups.value, found.total.value], 1e-6)
    assert [row["group_name"] for row in rows] == [*group_names(loaded.schedule), "all"]
    assert about["probes"] == 2 and len(about["repeats"]) == 2 and "2 probes per image" in output
    assert about["data"]["n"] == 3 and about["data"]["hash"] == images.hash and about["half_the_steps"] is None


def test_half_the_steps_say_what_the_solver_s_error_may_be(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, rows, about = evaluated(capsys, run, "likelihood -n 2 --steps 8 --probes 1")
    loaded = gdm.load(run)
    images = data.load(loaded.spec.data)
    chosen = images.take(data.batch_indices(len(images), 2, step=0, seed=0))
    coarse, fine = (bits(loaded, chosen, steps=steps, probes=1).total.value for steps in (4, 8))
    agree(about["half_the_steps"]["value"], coarse - fine, 1e-5)
    agree(float(rows[-1]["bits_per_dimension"]), fine, 1e-6)
    assert "with half the steps" in output


def test_total_correlation_is_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, rows, about = evaluated(capsys, run, "total-correlation -n 80 --steps 4 --repeats 2 --dequantise")
    parts = {row["name"]: float(row["value"]) for row in rows}
    within = sum(value for name, value in parts.items() if name.startswith("within"))
    agree(parts["total correlation"], parts["between groups"] + within)
    agree(parts["divergence from N(0, I)"], parts["total correlation"] + parts["marginals"])
    names = [*group_names(gdm.load(run).schedule)]
    assert [row["group_name"] for row in rows] == ["all"] * 4 + names
    assert [marginal["group_name"] for marginal in about["marginals"]] == [*names, "all"]
    assert about["marginals"][-1]["dimensions"] == 64 and "80 images of digits" in output
    loaded = gdm.load(run)
    images = data.load(loaded.spec.data)
    chosen = images.take(data.batch_indices(len(images), 80, step=0, seed=0))
    z = loaded.backend.to_numpy(loaded.encode(dequantise(chosen, 0), steps=4, solver="ab2"))
    agree(parts["total correlation"], total_correlation(loaded.schedule, z, repeats=2)["total correlation"].value, 1e-4)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("variance RUN --by element", "did you mean 'elements'?"),
        ("variance RUN --fixed 9", "--fixed: expected numbers of groups from 0 to 4"),
        ("variance RUN --extractor pixel", "did you mean 'pixels'?"),
        ("variance RUN --variations 1", "--variations: expected a whole number from 2"),
        ("influence RUN -o out.svg", "a name without a suffix"),
        ("influence RUN schedule.ordr=spiral", "did you mean 'order'?"),
        ("influenec RUN", "did you mean 'influence'?"),
        ("likelihood RUN --backend numpy", "--backend torch"),
        ("likelihood RUN --probes many", "whole number from 1, or exact"),
        ("likelihood RUN --data nowhere", "--data: 'nowhere' does not exist"),
        ("likelihood RUN data.splt=test", "did you mean 'split'?"),
        ("total-correlation RUN -n 40 --steps 4", "-n: expected at least 70 samples of 64 coordinates, got 40"),
        ("total-correlation RUN --repeats 1 -n 80 --steps 4", "--repeats: expected a whole number from 2"),
    ],
)
def test_mistakes_are_explained_in_one_line(
    line: str, words: str, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    assert cli.main(["evaluate", *line.replace("RUN", "run").split()]) == 2
    output, errors = capsys.readouterr()
    assert words in errors and errors.count("\n") == 1 and output == ""


def test_images_of_other_classes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = untrained(tmp_path / "classes", SMALL)
    images, labels = np.zeros((6, 1, 8, 8), np.uint8), np.array(["a", "b"] * 3)
    np.savez(tmp_path / "other.npz", images=images, labels=labels)
    assert cli.main(["evaluate", "likelihood", str(run), "--data", str(tmp_path / "other.npz")]) == 2
    assert "expected the classes of the run" in capsys.readouterr().err
    stem = str(tmp_path / "own")
    assert cli.main(["evaluate", "likelihood", str(run), "-n", "2", "--steps", "4", "--probes", "1", "-o", stem]) == 0


def test_figures_of_many_groups_are_drawn(tmp_path: Path) -> None:
    """A hundred groups are not numbered one by one, and one error that is not known is not drawn."""
    from gdm.analysis.bits import Bits
    from gdm.analysis.influence import Influence

    rms = np.triu(np.ones((100, 100)))
    schedule = gdm.Schedule.blockwise((1, 10, 10), (10, 10))
    figures.influence(Influence(rms, rms), schedule, tmp_path / "influence")
    figures.bits(Bits(np.ones((1, 100)), np.ones(100), np.ones(1), None), schedule, tmp_path / "bits")
    assert len([*tmp_path.iterdir()]) == 4


def test_tables_read_back_as_written(tmp_path: Path) -> None:
    rows = [{"name": "a, b\n", "value": 0.1 + 0.2, "list": (1, 2)}, {"name": 'q"', "value": math.nan, "list": []}]
    tables.write_csv(tmp_path / "t.csv", rows)
    first, second = tables.read_csv(tmp_path / "t.csv")
    assert first == {"name": "a, b\n", "value": "0.30000000000000004", "list": "1 2"}
    assert second == {"name": 'q"', "value": "", "list": ""}
    assert [*tmp_path.iterdir()] == [tmp_path / "t.csv"]
    for torn in ("name,value\na\n", "name,value\na,1,2\n"):
        (tmp_path / "t.csv").write_text(torn)
        with refused(CheckpointError, "line 2: expected a value per column"):
            tables.read_csv(tmp_path / "t.csv")
    with refused(CheckpointError, "cannot read"):
        tables.read_csv(tmp_path / "none.csv")
