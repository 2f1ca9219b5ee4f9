"""What is logged can be read back, by readers written from the formats; a run that goes on logs no step twice."""

from __future__ import annotations

import io
import math
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gdm import checkpoint
from gdm.errors import CheckpointError
from gdm.events import EventFile, checksum
from gdm.logbook import Logbook
from property_tests.support import refused, same_bits


def castagnoli(content: bytes) -> int:
    """Return the CRC-32C of bytes as RFC 3720 defines it, by dividing polynomials over GF(2), highest power first."""
    bits = "".join(f"{byte:08b}"[::-1] for byte in content) + "0" * 32
    rest = int(bits, 2) ^ (0xFFFFFFFF << len(bits) - 32)
    for power in range(len(bits) - 1, 31, -1):
        if rest >> power & 1:
            rest ^= 0x11EDC6F41 << power - 32
    return int(f"{rest ^ 0xFFFFFFFF:032b}"[::-1], 2)


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) % 2**32 + 0xA282EAD8) % 2**32


def fields(message: bytes) -> dict[int, list[Any]]:
    """Return the fields of a Protocol Buffers message by number."""
    found: dict[int, list[Any]] = defaultdict(list)
    stream = io.BytesIO(message)

    def varint() -> int:
        value = shift = 0
        while True:
            byte = stream.read(1)[0]
            value += (byte % 128) << shift
            if byte < 128:
                return value
            shift += 7

    while stream.tell() < len(message):
        field, kind = divmod(varint(), 8)
        read = {0: varint, 1: lambda: stream.read(8), 2: lambda: stream.read(varint()), 5: lambda: stream.read(4)}
        found[field].append(read[kind]())
    return found


def events(run: Path) -> Iterator[dict[int, list[Any]]]:
    """Yield the events of a run's folder, in the order of TensorBoard: by the names of files."""
    for path in sorted((run / "tensorboard").iterdir()):
        assert path.name.startswith("events.out.tfevents.")
        stream = io.BytesIO(path.read_bytes())
        while head := stream.read(12):
            (length,) = struct.unpack("<Q", head[:8])
            content, tail = stream.read(length), stream.read(4)
            assert struct.unpack("<I", head[8:]) == (masked(castagnoli(head[:8])),)
            assert struct.unpack("<I", tail) == (masked(castagnoli(content)),)
            yield fields(content)


def shown(run: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return what TensorBoard would show: by name, steps with a number or a picture's pixels."""
    series: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for event in events(run):
        for summary in event[5]:
            for value in fields(summary)[1]:
                parts = fields(value)
                if parts[4]:
                    picture = fields(parts[4][0])
                    with Image.open(io.BytesIO(picture[4][0])) as opened:
                        pixels = np.asarray(opened).reshape(picture[1][0], picture[2][0], picture[3][0])
                    entry: Any = pixels
                else:
                    (entry,) = struct.unpack("<f", parts[2][0])
                series[parts[1][0].decode()].append((event[2][0], entry))
    return series


@given(st.binary(max_size=40))
def test_checksums_are_those_of_the_standard(content: bytes) -> None:
    assert castagnoli(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert castagnoli(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4
    assert struct.unpack("<I", checksum(content)) == (masked(castagnoli(content)),)


def test_what_is_logged_is_shown(tmp_path: Path) -> None:
    """Numbers in the log and for TensorBoard, steps beyond one byte, NaN; pictures to the last bit."""
    book = Logbook(tmp_path)
    entries = [(1, 0.5), (127, math.inf), (128, -1e-3), (70_000, math.nan)]
    for step, loss in entries:
        book.numbers(step, {"loss": loss, "rate": 2.0})
    grey = np.random.default_rng(0).integers(0, 256, (5, 7, 1), np.uint8)
    book.picture(300, "samples", grey)
    book.picture(70_000, "samples", np.concatenate([grey, 255 - grey, grey // 2], axis=2))
    book.close()
    found = shown(tmp_path)
    assert [step for step, _ in found["loss"]] == [step for step, _ in entries]
    assert np.array([loss for _, loss in found["loss"]]).astype("f4").tobytes() == np.float32([0.5, math.inf, -1e-3, math.nan]).tobytes()  # fmt: skip
    assert found["rate"] == [(step, 2.0) for step, _ in entries]
    (first, one), (second, other) = found["samples"]
    assert (first, second) == (300, 70_000)
    same_bits(one, grey)
    same_bits(other, np.concatenate([grey, 255 - grey, grey // 2], axis=2))
    assert [line["loss"] for line in checkpoint.read_metrics(tmp_path)] == [0.5, None, -1e-3, None]
    assert next(events(tmp_path))[3] == [b"brain.Event:2"]


@pytest.mark.parametrize("torn", [0, 1, 20], ids="{} bytes torn off".format)
@pytest.mark.parametrize("saved", [0, 2, 6])
def test_a_run_that_goes_on_shows_each_step_once(tmp_path: Path, saved: int, torn: int) -> None:
    """A writer is killed after a checkpoint, in the middle of a record or not; the next one goes on from it."""
    pixels = np.zeros((2, 2, 1), np.uint8)
    book = Logbook(tmp_path)
    for step in range(1, 7):
        book.numbers(step, {"loss": float(step)})
    book.picture(4, "samples", pixels)
    book.picture(6, "samples", pixels)  # without `close`
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[: path.stat().st_size - torn])
    (tmp_path / "tensorboard" / ".events.out.tfevents.0.1.tmp").write_bytes(b"half")
    checkpoint.rewind(tmp_path, saved)
    again = Logbook(tmp_path, saved)
    for step in range(saved + 1, 9):
        again.numbers(step, {"loss": -float(step)})
    again.close()
    expected = [(step, float(step if step <= saved else -step)) for step in range(1, 9)]
    found = shown(tmp_path)
    assert found["loss"] == expected
    assert [step for step, _ in found["samples"]] == [
        step for step in (4, 6) if step <= saved and (step < 6 or not torn)
    ]
    assert [(line["step"], line["loss"]) for line in checkpoint.read_metrics(tmp_path)] == expected
    starts = [event[2] for event in events(tmp_path) if event[7] and fields(event[7][0])[1] == [1]]
    assert starts[-1] == [saved + 1]  # a TensorBoard that was looking on drops this step and later ones


def test_a_run_without_entries_makes_no_files(tmp_path: Path) -> None:
    Logbook(tmp_path).close()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_bytes(b"a file in the way")
    with refused(CheckpointError, "tensorboard", "choose a folder"):
        Logbook(tmp_path).numbers(1, {"loss": 1.0})
    (tmp_path / "tensorboard").unlink()
    file = EventFile(tmp_path / "tensorboard")
    assert file.path.stat().st_size > 0  # nothing waits in memory for a kill
    file.close()
