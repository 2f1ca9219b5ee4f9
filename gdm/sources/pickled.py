"""The batches of cifar-10-python.tar.gz, read as data: a pickle is a program, and it is never run here.

A batch is a pickled dict of `data`, an array of bytes, and `labels`, a list of integers. `pickletools.genops`
lists the instructions of the program without carrying them out; their arguments are all that we need.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator

import numpy as np

_INTEGERS = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1")


def batch(content: bytes, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of a pickled batch. Raises: ValueError if it holds none

    pixels: bytes per image; the array of images is the string whose length is a multiple of them

    Shapes: -> uint8 (n, pixels), int64 (n,)
    """
    strings: list[bytes] = []
    labels: list[object] = []
    by_column = False  # the memory order of the array: a flag before its bytes, or in protocol 5 a letter after them
    for key, instruction, argument in _instructions(content):
        if instruction in _INTEGERS and key == "labels":
            labels.append(argument)
        elif instruction in ("NEWTRUE", "NEWFALSE") and not strings:
            by_column = instruction == "NEWTRUE"
        elif argument == b"F" and strings:
            by_column = True
        elif isinstance(argument, bytes) and argument and len(argument) % pixels == 0:
            strings.append(argument)
    if len(strings) != 1 or len(labels) * pixels != len(strings[0]):
        raise ValueError(f"{len(strings)} arrays of images in a batch, {len(labels)} labels")
    flat = np.frombuffer(strings[0], np.uint8)
    images = flat.reshape(pixels, -1).T if by_column else flat.reshape(-1, pixels)
    return images, np.array(labels, np.int64)


def names(content: bytes, key: str) -> list[str]:
    """Return the list of text that a pickled dict has under `key`. Raises: ValueError if it is damaged"""
    found: list[str] = []
    inside = False
    for _, instruction, argument in _instructions(content):
        if isinstance(argument, bytes):
            if inside:
                found.append(argument.decode())
            inside = inside or argument == key.encode()
        elif inside and instruction == "APPENDS":
            break
    return found


def _instructions(content: bytes) -> Iterator[tuple[str, str, object]]:
    """Yield (the text before, instruction, its argument; text as bytes) of each instruction of a pickle."""
    before = ""
    for instruction, argument, _ in pickletools.genops(content):
        if isinstance(argument, str) and "GLOBAL" not in instruction.name:
            argument = argument.encode("latin-1", "replace")  # as pickletools decodes what Python 2 wrote
        elif isinstance(argument, bytearray):
            argument = bytes(argument)
        yield before, instruction.name, argument
        if isinstance(argument, bytes) and len(argument) < 100:
            before = argument.decode("latin-1")
