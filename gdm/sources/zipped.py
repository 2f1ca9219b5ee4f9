"""A zip of images, read straight from the archive, by several threads at once."""

from __future__ import annotations

import os
import struct
import threading
import weakref
import zipfile
import zlib
from pathlib import Path

from gdm.errors import DataError
from gdm.images import CorruptImageError, decode
from gdm.sources.base import Source
from gdm.sources.listing import LABELS, image_names, labelled

WORDS, SPLIT = "a zip of images", False

_LOCAL = struct.Struct("<4s22xHH")  # a member's own header: signature, lengths of its name and extra field


def accepts(name: str, path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def read(name: str, path: Path, split: str) -> Source:
    archive = Archive(path)
    names = image_names(archive.names, path)
    content = archive.read(LABELS) if LABELS in archive.names else None

    def full(i: int) -> str:
        return f"{path}/{names[i]}"

    return Source(len(names), full, lambda i: decode(archive.read(names[i]), full(i)), *labelled(names, content, path))


class Archive:
    """The members of a zip, which `zipfile` lists, and which are read here: it is not safe with threads.

    Raises: DataError for a file that is no zip, or is cut off
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            self._file = open(path, "rb", buffering=0)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            remedy = "the list of its members is at its end, so it may be cut off: fetch or write it again"
            raise DataError(f"{path}: cannot be read as a zip ({error}); {remedy}") from error
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The names of the members, folders left out."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """Return the content of a member. Raises: CorruptImageError if it is damaged"""
        member = self._members[name]
        try:
            return _inflated(member, self._packed(member))
        except (OSError, ValueError, zlib.error) as error:
            remedy = "fetch or write the zip again, or leave such images out: data.skip_corrupt=true"
            raise CorruptImageError(f"{self.path}/{name}: cannot be read ({error}); {remedy}") from error

    def _packed(self, member: zipfile.ZipInfo) -> bytes:
        signature, name, extra = _LOCAL.unpack(self._at(member.header_offset, _LOCAL.size))
        if signature != b"PK\3\4":
            raise ValueError("its header is damaged")
        return self._at(member.header_offset + _LOCAL.size + name + extra, member.compress_size)

    def _at(self, place: int, size: int) -> bytes:
        """Return `size` bytes from `place` on."""
        if hasattr(os, "pread"):
            content = os.pread(self._file.fileno(), size, place)
        else:  # Windows
            with self._lock:
                self._file.seek(place)
                content = self._file.read(size)
        if len(content) != size:
            raise ValueError(f"expected {size} bytes, got {len(content)}")
        return content


def _inflated(member: zipfile.ZipInfo, packed: bytes) -> bytes:
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("expected it stored or deflated, without a password")
    content = packed
    if member.compress_type == zipfile.ZIP_DEFLATED:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.file_size + 1)
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise ValueError("its checksum does not fit")
    return content
