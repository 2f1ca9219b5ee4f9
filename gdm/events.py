"""TensorBoard's event files: numbers and pictures over steps, written as they come, without TensorBoard.

A file is a sequence of records (TFRecord), each a message `Event` (TensorFlow's event.proto and summary.proto)
between checksums. Only the fields used here are written: numbers, PNG pictures, and the start of a session, at which
a TensorBoard that is looking on drops what it shows of later steps.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

from gdm.files import write_atomic, writing


class EventFile:
    """A new event file in a folder, for a session that goes on after `step` steps.

    Raises: CheckpointError if the disk refuses; so do the methods
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.path = folder / f"events.out.tfevents.{time.time_ns():020d}"  # readers go by the order of names
        with writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "xb")  # closed by `close`
        self._write(0, _text(3, b"brain.Event:2"))
        self._write(step + 1, _text(7, _number(1, 1)))  # SessionLog.START

    def number(self, step: int, name: str, value: float) -> None:
        """Write a number of a step; NaN and infinity will do."""
        self._write(step, _summary(name, _tag(2, 5) + struct.pack("<f", value)))

    def png(self, step: int, name: str, height: int, width: int, channels: int, content: bytes) -> None:
        """Write a picture of a step, encoded as PNG."""
        size = _number(1, height) + _number(2, width) + _number(3, channels)
        self._write(step, _summary(name, _text(4, size + _text(4, content))))

    def close(self) -> None:
        """End the file."""
        with writing(self.path):
            self._file.close()

    def _write(self, step: int, content: bytes) -> None:
        event = _tag(1, 1) + struct.pack("<d", time.time()) + _number(2, step) + content
        length = struct.pack("<Q", len(event))
        with writing(self.path):
            self._file.write(length + checksum(length) + event + checksum(event))
            self._file.flush()


def cut(folder: Path, step: int) -> None:
    """Drop later steps from the event files of a folder, and what a killed writer left unfinished.

    Raises: CheckpointError if the disk refuses
    """
    with writing(folder):
        for path in folder.glob(".*.tmp"):
            path.unlink()
        for path in folder.glob("events.out.tfevents.*"):
            content = path.read_bytes()
            kept = b"".join(record for record in _records(content) if _step_of(record[12:]) <= step)
            if kept != content:
                write_atomic(path, kept)


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file, up to one that is not whole."""
    at = 0
    while at + 12 <= len(content):
        after = at + 16 + struct.unpack_from("<Q", content, at)[0]
        if after > len(content):
            return
        yield content[at:after]
        at = after


def _step_of(event: bytes) -> int:
    """Return the step of an event that `EventFile` wrote: it begins after the time, 9 bytes, and a tag."""
    step = 0
    for i, byte in enumerate(event[10:]):
        step |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            break
    return step


def checksum(content: bytes) -> bytes:
    """Return the masked CRC-32C of TFRecord, 4 bytes (polynomial 0x1EDC6F41, bits reversed; RFC 3720)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


_CRC = tuple(map(_remainder, range(256)))

# Protocol Buffers: a field is its number and wire type (0 whole number, 1 eight bytes, 2 text, 5 four bytes), then it.


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _text(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _summary(name: str, value: bytes) -> bytes:
    return _text(5, _text(1, _text(1, name.encode()) + value))
