"""Ticks that can be read: plain numbers on logarithmic axes, and ticks where something was measured.

Each is set once all is drawn, since it looks at the limits of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

DIGITS = ((1,), (1, 2, 5), (1, 3), (1, 1.5, 2, 3, 5, 7))  # of each decade; the first that give enough, not too many
PLAIN = (1e-3, 1e5)  # numbers in between are written as they are, those beyond as powers of ten
APART = 0.06  # of an axis, that labels of ticks need between their middles


def plain_log(axes: Any, which: str) -> None:
    """Make an axis, "x" or "y", logarithmic, with ticks at round numbers that are written in full."""
    from matplotlib.ticker import NullFormatter

    getattr(axes, f"set_{which}scale")("log")
    axis, limits = getattr(axes, f"{which}axis"), getattr(axes, f"get_{which}lim")()
    numbers = round_numbers(*limits)
    axis.set_ticks(numbers, written(numbers))
    axis.set_minor_formatter(NullFormatter())  # else it writes between them where decades are few
    getattr(axes, f"set_{which}lim")(limits)


def round_numbers(low: float, high: float, least: int = 4, most: int = 10) -> list[float]:
    """Return the numbers between two positive ones at which a logarithmic axis has its ticks: two at least.

    >>> round_numbers(0.4, 30)
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    """
    from matplotlib.ticker import MaxNLocator

    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in DIGITS:
        found = [float(f"{digit}e{power}") for power in decades for digit in digits]
        found = [number for number in found if low <= number <= high]
        if digits == (1,):  # of very many decades every second, third, ...
            found = found[:: -(-len(found) // most) or 1]
        if least <= len(found) <= most:
            return found
    even = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)  # too narrow for decades: as on a linear axis
    return [float(number) for number in even if low <= number <= high]


def written(numbers: Iterable[float]) -> list[str]:
    """Return numbers as an axis has them: plain, or all of them as powers of ten if one is tiny or huge.

    >>> written([0.5, 1.0, 20.0])
    ['0.5', '1', '20']
    """
    numbers = list(numbers)
    if all(PLAIN[0] <= number < PLAIN[1] for number in numbers):
        return [f"{number:g}" for number in numbers]
    parts = [f"{number:e}".split("e") for number in numbers]
    texts = [(f"{float(digits):g}", int(power)) for digits, power in parts]
    return [f"$10^{{{power}}}$" if first == "1" else rf"${first}\cdot10^{{{power}}}$" for first, power in texts]


def evenly(count: int, most: int) -> list[int]:
    """Return 0, ..., count - 1, or every second, third, ... of them, `most` in all: what is counted has even ticks.

    >>> evenly(16, 10)
    [0, 2, 4, 6, 8, 10, 12, 14]
    """
    return list(range(0, count, -(-count // most) or 1))


def at_measured(axes: Any, numbers: Iterable[float]) -> None:
    """Make the x axis logarithmic, with ticks at the positive numbers measured, or at those that have room.

    The first and the last always have one, and nothing else has.
    """
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    chosen = with_room(sorted(set(numbers)), *axes.get_xlim())
    axes.set_xticks(chosen, [f"{number:g}" for number in chosen])


def with_room(numbers: list[float], low: float, high: float) -> list[float]:
    """Return those of rising positive numbers that are apart on a logarithmic axis; the first and the last always."""
    apart = APART * math.log(high / low)
    chosen = numbers[:1]
    for number in numbers[1:-1]:
        if min(math.log(number / chosen[-1]), math.log(numbers[-1] / number)) >= apart:
            chosen.append(number)
    return [*chosen, *numbers[-1:]] if len(numbers) > 1 else chosen
