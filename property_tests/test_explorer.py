"""Laws of the explorer: each control changes the latents that it says, no others, and images follow; and its command."""

from __future__ import annotations

import argparse
import base64
import io
import re
import socket
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import gdm
from gdm import cli, encoding, latents
from gdm.config import Config, DataConfig
from gdm.encoding import Latents
from gdm.errors import DataError, ShapeError, ValueRangeError
from gdm.explorer.pictures import data_url
from gdm.explorer.session import Element, Session, channel_choices, group_choices
from gdm.explorer.workbench import OFFERED, Workbench
from gdm.model import Model
from gdm.pixels import to_uint8, to_unit
from property_tests.runs import SMALL, conditional, smooth, untrained
from property_tests.support import agree, refused, same_bits

SHAPE = (3, 4, 4)
BANDS = gdm.Schedule.bands(SHAPE, (3, 7), "haar")
BLOCKS = gdm.Schedule.blockwise(SHAPE, (2, 2))


def session(model: Model) -> Session:
    return Session.start(Workbench(model, steps=8))


SESSIONS = [session(smooth(schedule, "numpy")) for schedule in (BANDS, BLOCKS)]
each = pytest.mark.parametrize("begun", SESSIONS, ids=["bands", "blocks"])


def coordinates(begun: Session, found: Latents) -> np.ndarray:
    return begun.bench.model.schedule.basis.analyze(found.z)[0]


def decoded(begun: Session, z: np.ndarray, **chosen: Any) -> np.ndarray:
    return begun.bench.model.backend.to_numpy(begun.bench.model.decode(z, steps=8, solver="heun", **chosen))


@each
def test_a_visitor_begins_with_what_sampling_makes(begun: Session) -> None:
    """Without moves, the image under edit is that of `Model.generate`, and its latents are the seed's to the bit."""
    made = begun.bench.model.generate(2, steps=8, solver="heun")
    agree(begun.subject.images, made[:1], 1e-12)
    agree(begun.partner.images, made[1:], 1e-12)
    agree(begun.edited(), made[0], 1e-12)
    same_bits(begun.latents().z, gdm.draw_latents(0, [0], SHAPE))
    another = begun.bench.sampled(3, 5)
    assert another.names == ("seed 3 no. 5",)
    agree(another.images, begun.bench.model.generate(1, seed=3, first=5, steps=8, solver="heun"), 1e-12)
    for wrong in ((-1, 0), (0, -1)):
        with refused(ValueRangeError, "seed and number", "from 0"):
            begun.bench.sampled(*wrong)


@each
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_slider_moves_its_element_alone(begun: Session, data: st.DataObject) -> None:
    """Whatever was moved before: this element has the value, all other coordinates stay, and the image follows."""
    schedule = begun.bench.model.schedule
    for _ in range(data.draw(st.integers(1, 3))):
        group = data.draw(st.integers(0, schedule.k - 1))
        channels = data.draw(st.sampled_from([*channel_choices(schedule, group).values()]))
        element = data.draw(st.sampled_from(begun.elements(group, channels)))
        value = data.draw(st.integers(-12, 12)) / 4
        before, begun = coordinates(begun, begun.latents()), begun.moved(element, value)
        after = coordinates(begun, begun.latents())
        own = (schedule.basis.order == element.rank) & (schedule.partition.labels == group)
        own &= np.isin(np.indices(SHAPE)[0], range(3) if channels is None else channels)
        assert own.sum() == (3 if channels is None else 1)
        agree(after[own], np.full(own.sum(), value), 1e-5)
        agree(after[~own], before[~own], 1e-5)
        agree(begun.value(element), value, 1e-12)
    agree(begun.edited(), decoded(begun, begun.latents().z)[0], 1e-12)


@each
def test_images_follow_sliders_and_reset_leads_back(begun: Session) -> None:
    """Sessions are values: a move is of the new one, and can be taken back to the bit."""
    first, second = begun.elements(0)[:2]
    moved = begun.moved(first, 2.5).moved(second, -1).moved(first, 2)
    assert np.abs(moved.edited() - begun.edited()).max() > 1e-3
    assert dict(moved.moves) == {first: 2, second: -1} and not begun.moves
    same_bits(moved.reset().latents().z, begun.subject.z)
    red, all_three = Element(0, 1, (0,)), Element(0, 1)
    assert begun.moved(red, 1).moved(all_three, 2).moved(red, -3).value(red) == -3  # what was moved last counts
    assert not moved.edit(moved.partner).moves
    same_bits(moved.edit(moved.partner).latents().z, moved.partner.z)
    for wrong in (Element(0, 10**6), Element(10**6, 0), Element(0, 0, (7,))):
        with refused(ValueRangeError, "expected"):
            begun.moved(wrong, 0)
    last = begun.elements(begun.bench.model.schedule.k - 1)[0]
    with refused(ValueRangeError, "of group 0"):
        begun.moved(last._replace(group=0), 0)


def test_sliders_are_the_first_elements_of_a_group() -> None:
    """Of bands, the smoothest frequencies; of a block, its first pixels; as many as asked for and there are."""
    bands, blocks = SESSIONS
    assert [element.rank for element in bands.elements(1, most=3)] == [3, 4, 5]
    assert [element.rank for element in bands.elements(0)] == [0, 1, 2]
    assert [element.rank for element in blocks.elements(3)] == [10, 11, 14, 15]
    assert channel_choices(BANDS, 0) == {"all": None, "R": (0,), "G": (1,), "B": (2,)}
    assert channel_choices(gdm.Schedule.bands((1, 4, 4), (3,)), 0) == {"all": None}
    colours = gdm.Schedule.colour(SHAPE)
    assert list(channel_choices(colours, 0)) == ["all"]
    assert channel_choices(colours, 1) == {"all": None, "chroma 1": (1,), "chroma 2": (2,)}
    assert group_choices(BLOCKS) == {0: "r0c0", 1: "r0c1", 2: "r1c0", 3: "r1c1"}


@each
def test_mixing_swaps_groups_both_ways(begun: Session) -> None:
    """Fig. 7: a row for each image, with the moves of the first; a column for each group, then for all of them."""
    moved = begun.moved(begun.elements(0)[0], 3.0)
    schedule = begun.bench.model.schedule
    panels = moved.mixed([2, 0])
    assert panels.images.shape == (2, 5, *SHAPE) and panels.latents is not None
    agree(panels.images[:, 0], [moved.edited(), moved.partner.images[0]], 1e-6)  # type: ignore[index]
    own, other = moved.latents().z, moved.partner.z
    for row, (a, b) in enumerate([(own, other), (other, own)]):
        for column, groups in zip((2, 3, 4), ((0,), (2,), (0, 2)), strict=True):
            agree(panels.latents[row, column], latents.swap(schedule, a, b, groups=groups)[0], 1e-6)
    assert moved.mixed([1]).images.shape[:2] == (2, 3)
    third = moved.mix_with(moved.bench.sampled(1))
    assert third.moves == moved.moves
    agree(third.mixed([1]).images[0, 1], third.partner.images[0], 1e-6)  # type: ignore[index]
    with refused(ValueRangeError, "at least one to swap"):
        begun.mixed([])


@each
def test_variations_keep_or_redraw_groups(begun: Session) -> None:
    """Fig. 9 and 1c: where `fixed`, only the groups stay, else only the groups change; the seed decides how."""
    moved = begun.moved(begun.elements(0)[0], 3.0)
    schedule = begun.bench.model.schedule
    chosen = np.isin(schedule.partition.labels, (0, 2))
    start = coordinates(moved, moved.latents())
    for fixed in (True, False):
        panels = moved.varied([0, 2], fixed=fixed, n=3, seed=4)
        assert panels.images.shape == (1, 4, *SHAPE) and panels.latents is not None
        agree(panels.images[0, 0], moved.edited(), 1e-6)
        for z in panels.latents[0, 1:]:
            changed = np.abs(schedule.basis.analyze(z[None])[0] - start) > 1e-4
            assert (changed == (~chosen if fixed else chosen)).all()
        other = moved.varied([0, 2], fixed=fixed, n=3, seed=5)
        assert other.latents is not None and np.abs(other.latents[0, 1:] - panels.latents[0, 1:]).max() > 0.1


def test_classes_are_told_and_kept() -> None:
    """A class-conditional model samples and encodes as of the class that is chosen, and keeps it while it is edited."""
    begun = session(conditional(gdm.Schedule.rows((1, 2, 3), 2)))
    assert begun.subject.labels.tolist() == [0] and begun.partner.labels.tolist() == [1]  # in turn
    for label in ("b", 1):
        sampled = begun.bench.sampled(0, 0, label)
        assert sampled.labels.tolist() == [1]
        moved = begun.edit(sampled).moved(begun.elements(0)[0], 2.0)
        agree(moved.edited(), decoded(begun, moved.latents().z, labels="b")[0], 1e-9)
        assert np.abs(moved.edited() - decoded(begun, moved.latents().z, labels="a")[0]).max() > 1e-3


def digits(labels: bool = False) -> Workbench:
    """Return a workbench on a random network for digits."""
    made = smooth(gdm.Schedule.bands((1, 8, 8), (4, 16)), "numpy")
    spec = Config(data=DataConfig(source="digits", labels=labels))
    return Workbench(Model(made.network, made.schedule, spec, made.backend), steps=12)


def test_images_of_the_data_and_files_are_encoded() -> None:
    """They are what is encoded, in the run's size; and the latents decode to them as exactly as is told."""
    bench = digits()
    found = bench.of_data(7)
    assert found.images is not None and found.errors is not None and len(bench.data) == OFFERED
    same_bits(found.images[0], to_unit(gdm.data.load(DataConfig(source="digits")).images[7]))
    lost = encoding.group_errors(bench.model.schedule, encoding.decode(bench.model, found) - found.images)
    agree(lost, found.errors, 1e-9)
    for wrong in (-1, OFFERED):
        with refused(ValueRangeError, f"0 to {OFFERED - 1}", str(wrong)):
            bench.of_data(wrong)
    buffer = io.BytesIO()
    grey = np.repeat(np.arange(0, 256, 32, np.uint8)[:, None], 8, axis=1)
    Image.fromarray(np.repeat(grey[..., None], 3, axis=-1)).save(buffer, "PNG")
    file = bench.of_file(buffer.getvalue(), "mine.png")
    assert file.images is not None and file.names == ("mine.png",)
    same_bits(to_uint8(file.images)[0, 0], grey)
    large = io.BytesIO()
    Image.new("RGB", (60, 40), "white").save(large, "JPEG")
    same_bits(bench.of_file(large.getvalue(), "white.jpg").images, np.ones((1, 1, 8, 8), np.float32))
    with refused(DataError, "notes.txt", "expected an image"):
        bench.of_file(b"hello", "notes.txt")


def test_what_cannot_be_explored_is_refused() -> None:
    """A run without images in it; a file of another shape than an oblong run's; a file without class."""
    odd = smooth(gdm.Schedule.rows((2, 2, 2), 2), "numpy")
    with refused(DataError, "1 or 3 channels", "(2, 2, 2)"):
        Workbench(odd)
    oblong = Workbench(conditional(gdm.Schedule.rows((1, 2, 3), 2)), steps=4)
    for size, error, words in (((2, 3), DataError, "3 x 2, got 2 x 3"), ((3, 2), ValueRangeError, "expected a class")):
        buffer = io.BytesIO()
        Image.new("L", size).save(buffer, "PNG")
        with refused(error, "x.png", words):
            oblong.of_file(buffer.getvalue(), "x.png")
    assert oblong.of_file(buffer.getvalue(), "x.png", "b").labels.tolist() == [1]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_png_of_the_same_bytes(channels: int) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (channels, 4, 6))
    kind, _, coded = data_url(image).partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(coded))) as opened:
        same_bits(np.asarray(opened).reshape(4, 6, channels), to_uint8(image).transpose(1, 2, 0))
    with refused(ShapeError, "C = 1 (grey) or 3 (RGB)"):
        data_url(np.zeros((2, 4, 6)))


# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(
        tmp_path_factory.mktemp("explore") / "bands", {**SMALL, "schedule": {"kind": "bands", "edges": [4]}}
    )


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put a page in the place of NiceGUI's that only remembers what it is to serve."""
    seen: list[Any] = []
    page: Any = types.ModuleType("gdm.explorer.page")
    page.HOST = "127.0.0.1"
    page.serve = lambda bench, port, browser: seen.append((bench, port, browser))
    monkeypatch.setitem(sys.modules, "gdm.explorer.page", page)
    monkeypatch.setattr(gdm.explorer, "page", page, raising=False)
    return seen


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    status = cli.main(["explore", *argv])
    _, errors = capsys.readouterr()
    assert status == 2
    assert re.fullmatch(r"gdm: [^\n]+\n", errors), errors
    return errors


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_command_serves_the_run(run: Path, served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert cli.main(["explore", str(run), "--port", str(port), "--no-browser", "--solver", "ab2"]) == 0
    [(bench, on, browser)] = served
    assert (bench.name, bench.steps, bench.solver, on, browser) == ("bands", 32, "ab2", port, False)
    assert capsys.readouterr().out == f"http://127.0.0.1:{port} shows {run}; Ctrl-C ends it\n"
    assert cli.main(["explore", str(run), "--port", str(port), "--steps", "6,10"]) == 0
    assert served[1][0].steps == (6, 10) and served[1][2]


def test_the_command_explains_mistakes(run: Path, served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port: {port} cannot be had" in complaint(capsys, str(run), "--port", port)
    assert "--port: expected 1 to 65535, got 70000" in complaint(capsys, str(run), "--port", "70000")
    assert "--steps" in complaint(capsys, str(run), "--steps", "x")
    assert "expected" in complaint(capsys, str(run), "--steps", "1")
    assert "nowhere" in complaint(capsys, str(run.parent / "nowhere"))
    assert "did you mean '--no-browser'" in complaint(capsys, str(run), "--no-browse")
    assert not served


def test_a_missing_extra_is_named(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether NiceGUI is here or not, the one who lacks it is told what to install."""
    monkeypatch.setitem(sys.modules, "nicegui", None)
    monkeypatch.delitem(sys.modules, "gdm.explorer.page", raising=False)
    monkeypatch.delattr(gdm.explorer, "page", raising=False)
    assert 'nicegui, which is not installed; pip install "gdm[explore]"' in complaint(capsys, str(run))


def test_the_page_is_for_this_machine_alone() -> None:
    """Its host is the loopback address, and no option names another."""
    source = (Path(gdm.explorer.__path__[0]) / "page" / "__init__.py").read_text()
    assert re.search(r'^HOST = "127.0.0.1"$', source, re.M) and "host=HOST" in source and "on_air" not in source
    parser = argparse.ArgumentParser()
    cli.COMMANDS["explore"].arguments(parser)
    assert not {"--host", "--share", "--address"} & set(parser._option_string_actions)
