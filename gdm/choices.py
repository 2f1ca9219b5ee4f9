"""What an edit is about: groups, frequencies and channels, named as a person would, for figures and commands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gdm.errors import ValueRangeError
from gdm.names import called, find_groups
from gdm.schedule import Schedule

Numbers = tuple[int, ...] | None


class Choice(NamedTuple):
    """Some coordinates of latents, and what a figure calls them; arguments of the functions of `gdm.latents`."""

    name: str
    groups: Numbers = None
    elements: Numbers = None
    channels: Numbers = None


def choices(
    schedule: Schedule,
    groups: Iterable[str | int | Iterable[int]] = (),
    elements: Iterable[str | int | Iterable[int]] = (),
    channels: str | int | Iterable[int] | None = None,
) -> tuple[Choice, ...]:
    """Return one choice for each entry of `groups`, then one for each of `elements`; by default one per group.

    groups: numbers or names, see `gdm.names.find_groups`: ["coarse", "0,2"]
    elements: frequency ranks within a channel, half-open ranges too, groups or not: ["3", "30:100", [0, 1]]
    channels: of all choices: 0, "0,2", or "R", "green"; None is all

    Raises: ValueRangeError for what is not there

    >>> [choice.name for choice in choices(Schedule.bands((1, 8, 8), (4, 16)), ["coarse"], ["7", "2:9"])]
    ['0:4', 'element 7', 'elements 2:9']
    """
    only = None if channels is None else channel_numbers(schedule, channels)
    ending = "" if only is None else f" of {_channel_words(schedule, only)}"
    asked = [*groups]
    given = [*elements]
    if not asked and not given:
        asked = list(range(schedule.k))
    found = []
    for entry in asked:
        numbers = find_groups(schedule, entry)
        found.append(Choice(called(schedule, numbers) + ending, numbers, None, only))
    for entry in given:
        ranks = element_numbers(schedule, entry)
        text = entry if isinstance(entry, str) else ",".join(map(str, ranks))
        found.append(Choice(f"element{'s' * (len(ranks) > 1)} {text}{ending}", None, ranks, only))
    return tuple(found)


def element_numbers(schedule: Schedule, entry: str | int | Iterable[int]) -> tuple[int, ...]:
    """Return frequency ranks: of 3, "3", "0,7", "30:100" (half-open), or numbers. Raises: ValueRangeError"""
    return _ranks("elements", entry, int(schedule.basis.order.max()) + 1)


def channel_numbers(schedule: Schedule, entry: str | int | Iterable[int]) -> tuple[int, ...]:
    """Return channel numbers: of 0, "0,2", "R" or "green" for three, or numbers. Raises: ValueRangeError"""
    words = {"r": "0", "g": "1", "b": "2", "red": "0", "green": "1", "blue": "2"} if schedule.shape[0] == 3 else {}
    if isinstance(entry, str):
        entry = ",".join(words.get(part.strip().lower(), part) for part in entry.split(","))
    return _ranks("channels", entry, schedule.shape[0])


def _ranks(name: str, entry: str | int | Iterable[int], count: int) -> tuple[int, ...]:
    words = entry.split(",") if isinstance(entry, str) else [entry] if isinstance(entry, int) else list(entry)
    found: set[int] = set()
    for word in (str(word).strip() for word in words):
        low, colon, high = word.partition(":")
        ends = (low, high if colon else low)
        if not all(end.isdecimal() for end in ends) or not int(low) < int(ends[1]) + (not colon) <= count:
            ranges = f"expected numbers 0 to {count - 1} or half-open ranges of them, such as 0:{count}"
            expected = ranges if count > 1 else "expected 0, there is only one"
            raise ValueRangeError(f"{name}: {expected}, got {word!r}")
        found.update(range(int(low), int(ends[1]) + (not colon)))
    return tuple(sorted(found))


def _channel_words(schedule: Schedule, channels: tuple[int, ...]) -> str:
    if schedule.shape[0] == 3:
        return "".join("RGB"[c] for c in channels)
    return f"channel {', '.join(map(str, channels))}"
