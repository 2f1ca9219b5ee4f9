"""What groups are called: bands by their frequencies, blocks by row and column, stages, channels; and regions of them.

Every group has one name, found from where its coordinates lie, and may have others. Wherever a person names groups
(commands, figures), numbers count in order of generation, and these names go as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from gdm.errors import PartitionError, ValueRangeError, nearest
from gdm.partition import Partition
from gdm.schedule import Schedule

Groups = tuple[int, ...]
LONG = 16  # letters, beyond which names in a row do not fit below a tick


def group_names(schedule: Schedule) -> tuple[str, ...]:
    """Return the name of each group, in order of generation.

    "0:30" is a band of frequencies, half-open; "r0c1" a block, "r0" a band of rows, "c1" of columns; "coarse", "mid",
    "fine" (or "stage0", ...) the stages of a cascade; "R", "G", "B" or "channel0" channels; "luma", "chroma" the
    opponent colours; "all" the only group; and "group3" one that is none of these.

    >>> group_names(Schedule.blockwise((1, 4, 4), (2, 2)))
    ('r0c0', 'r0c1', 'r1c0', 'r1c1')
    >>> group_names(Schedule.bands((1, 8, 8), (4, 16)))
    ('0:4', '4:16', '16:64')
    """
    if schedule.k == 1:
        return ("all",)
    ways = (_channels, _bands) if schedule.basis.factors else (_cells, _stages, _channels)
    found = next((names for names in (way(schedule) for way in ways) if names), None)
    return tuple(found or (f"group{j}" for j in range(schedule.k)))


def vocabulary(schedule: Schedule) -> dict[str, Groups]:
    """Return every name and the groups that it stands for: the groups' own, other names, and `regions`.

    Other names: "coarse" or "low" and "fine" or "high" for the ends of bands and cascades, "mid" between two of
    them; "red", "green", "blue"; "all".
    """
    names = group_names(schedule)
    known: dict[str, Groups] = {name: (j,) for j, name in enumerate(names)}
    ranks = _ladder(schedule)
    if len(ranks) > 1:
        ends = {"coarse": ranks[0], "low": ranks[0], "fine": ranks[-1], "high": ranks[-1]}
        ends |= {"mid": ranks[1]} if len(ranks) == 3 else {}
        known = {name: (j,) for name, j in ends.items()} | known
    colours = {"red": "R", "green": "G", "blue": "B"}
    known = {long: known[short] for long, short in colours.items() if short in known} | known
    return {**regions(schedule), **known, "all": tuple(range(schedule.k))}


def regions(schedule: Schedule) -> dict[str, Groups]:
    """Return the parts of an image that groups of pixels make up, those that they allow.

    "left", "right", "top", "bottom": the groups that lie wholly in that half; "centre": in the middle half of both
    axes; "border": all the others. Lattices and frequencies have none.

    >>> regions(Schedule.rows((1, 4, 4), 2))
    {'top': (0,), 'bottom': (1,)}
    """
    if schedule.basis.factors or schedule.k == 1 or len(schedule.shape) < 2 or _ladder(schedule):
        return {}
    height, width = schedule.shape[-2:]
    y, x = (2 * np.indices((height, width)) + 1) / np.array([height, width]).reshape(2, 1, 1)  # 0 to 2
    masks = {"left": x < 1, "right": x > 1, "top": y < 1, "bottom": y > 1}
    masks["centre"] = (abs(x - 1) < 0.5) & (abs(y - 1) < 0.5)
    found = {name: _inside(schedule, mask) for name, mask in masks.items()}
    if found["centre"]:
        found["border"] = tuple(j for j in range(schedule.k) if j not in found["centre"])
    return {name: groups for name, groups in found.items() if 0 < len(groups) < schedule.k}


def find_groups(schedule: Schedule, text: str | int | Iterable[int]) -> Groups:
    """Return group numbers, rising: of "0,2", of names such as "coarse" or "r0c1,r0c2", of a band such as "30:500".

    A band may span several groups, but not cut one.

    Raises: ValueRangeError for what no group is called, with the names that there are

    >>> find_groups(Schedule.bands((1, 8, 8), (4, 16)), "0:16")
    (0, 1)
    >>> find_groups(Schedule.rows((1, 4, 4), 2), "bottom,0")
    (0, 1)
    """
    words = text.split(",") if isinstance(text, str) else [text] if isinstance(text, int) else list(text)
    known = {name.lower(): groups for name, groups in vocabulary(schedule).items()}
    found: set[int] = set()
    for word in (str(word).strip() for word in words):
        if word.isdecimal() and int(word) < schedule.k:
            found.add(int(word))
        elif word.lower() in known:
            found.update(known[word.lower()])
        else:
            found.update(_spanned(schedule, word))
    return tuple(sorted(found))


def called(schedule: Schedule, groups: Iterable[int]) -> str:
    """Return what to call some groups together: a name, a span of bands, or their names in a row.

    >>> called(Schedule.bands((1, 8, 8), (4, 16)), [0, 1])
    '0:16'
    """
    chosen, names = tuple(sorted(set(groups))), group_names(schedule)
    if len(chosen) == 1:
        return names[chosen[0]]
    for name, members in vocabulary(schedule).items():
        if members == chosen:
            return name
    spans = sorted((span for j, span in enumerate(_spans(schedule) or ()) if j in chosen))
    joined = all(before[1] == after[0] for before, after in zip(spans, spans[1:], strict=False))
    return f"{spans[0][0]}:{spans[-1][1]}" if spans and joined else ", ".join(names[j] for j in chosen) or "none"


def added(schedule: Schedule, counts: Sequence[int]) -> list[str]:
    """Return what each of some rising counts of groups adds, in order of generation, to the count before it.

    >>> added(Schedule.bands((1, 8, 8), (4, 16)), [0, 1, 3])
    ['none', '[0, 4)', '+ [4, 64)']
    """
    texts, before = [], 0
    for count in counts:
        text = shown(called(schedule, range(before, count)))
        text = text if len(text) <= LONG else f"{count - before} groups"
        texts.append("+ " * (before > 0) + text)
        before = count
    return texts


def numbered(schedule: Schedule) -> tuple[str, ...]:
    """Return number and name of each group, as tables write them, bands half-open; the number alone of one without name.

    >>> numbered(Schedule.bands((1, 8, 8), (4, 16)))
    ('0 [0, 4)', '1 [4, 16)', '2 [16, 64)')
    """
    names = group_names(schedule)
    return tuple(f"{j} {shown(name)}" if name != f"group{j}" else str(j) for j, name in enumerate(names))


def shown(name: str) -> str:
    """Return a name as figures write it, bands as in the paper but half-open.

    >>> shown("30:100")
    '[30, 100)'
    """
    return re.sub(r"\b(\d+):(\d+)\b", r"[\1, \2)", name)


def masked_groups(schedule: Schedule, mask: np.ndarray) -> Groups:
    """Return the groups that a mask of pixels is made of. Shapes: mask bool (H, W)

    Raises: ValueRangeError for a mask of another shape, one that cuts a group, or groups that are not of pixels
    """
    size = schedule.shape[-2:]
    if mask.shape != size:
        raise ValueRangeError(f"mask: expected {size}, one number per pixel of the run, got {mask.shape}; resize it")
    groups = _inside(schedule, mask)
    whole = np.isin(schedule.partition.labels, groups)
    if schedule.basis.factors or (whole != mask).any():
        raise ValueRangeError(
            f"mask: expected a union of the run's groups, {_listed(group_names(schedule))}, "
            f"got {int(mask.sum())} pixels, of which {int(whole.all(axis=0).sum())} are whole groups; "
            "draw it along them, or train with finer groups"
        )
    return groups


def stride(schedule: Schedule) -> tuple[int, int] | None:
    """Return which group of a cascade is its coarsest, and every how manieth pixel it has; None for no cascade."""
    ladder = _ladder(schedule) if not schedule.basis.factors else ()
    if len(ladder) < 2:
        return None
    rows = np.flatnonzero((schedule.partition.labels[0] == ladder[0]).any(axis=1))
    return ladder[0], int(rows[1] - rows[0]) if len(rows) > 1 else schedule.shape[-2]


@lru_cache(maxsize=64)
def _ladder(schedule: Schedule) -> Groups:
    """Return the groups from coarse to fine: bands, or the stages of a lattice; none for others."""
    spans = _spans(schedule)
    if spans:
        return tuple(int(j) for j in np.argsort([low for low, _ in spans]))
    if schedule.basis.factors or schedule.k == 1 or len(schedule.shape) != 3 or _cells(schedule):
        return ()
    top, side = schedule.partition.labels[0, 0], max(schedule.shape[1:])
    same = np.flatnonzero(top == top[0])  # the coarsest stage's pixels in the first row tell the factor
    for factor in [round(float(same[1]) ** (1 / (schedule.k - 1)))] if len(same) > 1 else range(2, side + 1):
        if factor < 2 or schedule.k > 2 + math.log(side, factor):  # the stages before the last are on a grid
            break
        for inverse in (False, True):
            try:
                lattice = Partition.lattice(schedule.shape, factor, schedule.k, inverse)
            except PartitionError:  # a stage without pixels
                continue
            if lattice == schedule.partition:
                return tuple(range(schedule.k))[:: -1 if inverse else 1]
    return ()


def _spans(schedule: Schedule) -> list[tuple[int, int]] | None:
    """Return the band of each group, half-open, if groups are bands that all channels share."""
    labels, order = schedule.partition.labels, schedule.basis.order
    if not schedule.basis.factors or schedule.basis.name == "opponent" or len(labels.shape) != 3:
        return None
    if (labels != labels[:1]).any():
        return None
    by_rank = labels[0].ravel()[np.argsort(order[0].ravel())]
    cuts = [0, *(np.flatnonzero(np.diff(by_rank)) + 1).tolist(), by_rank.size]
    spans = {int(by_rank[a]): (a, b) for a, b in zip(cuts, cuts[1:], strict=False)}
    return [spans[j] for j in range(schedule.k)] if len(cuts) == schedule.k + 1 else None


def _bands(schedule: Schedule) -> list[str]:
    return [f"{low}:{high}" for low, high in _spans(schedule) or ()]


def _cells(schedule: Schedule) -> list[str]:
    """Return names of the cells of a grid of blocks, rows or columns, shared by all channels; none if it is no grid."""
    labels = schedule.partition.labels.reshape(-1, *((1, *schedule.shape)[-2:]))
    if (labels != labels[:1]).any():
        return []
    rows = np.flatnonzero(np.append(True, (labels[0][1:] != labels[0][:-1]).any(axis=1)))
    columns = np.flatnonzero(np.append(True, (labels[0][:, 1:] != labels[0][:, :-1]).any(axis=0)))
    if len(rows) * len(columns) != schedule.k:
        return []
    names = [""] * schedule.k
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            names[labels[0, y, x]] = f"r{i}" * (len(rows) > 1) + f"c{j}" * (len(columns) > 1)
    return names


def _stages(schedule: Schedule) -> list[str]:
    """Return names of the stages of a cascade; none if it is not one."""
    ladder = _ladder(schedule)
    words = {2: ["coarse", "fine"], 3: ["coarse", "mid", "fine"]}.get(len(ladder))
    words = words or [f"stage{j}" for j in range(len(ladder))]
    return [words[ladder.index(j)] for j in range(len(ladder))]


def _channels(schedule: Schedule) -> list[str]:
    """Return names of groups that are whole channels; none if they are not."""
    labels = schedule.partition.labels
    flat = labels.reshape(labels.shape[0], -1)
    if (flat != flat[:, :1]).any():
        return []
    of = [np.flatnonzero(flat[:, 0] == j).tolist() for j in range(schedule.k)]
    if schedule.basis.name == "opponent":
        words = {(0,): "luma", (1, 2): "chroma", (1,): "chroma1", (2,): "chroma2"}
        return [words.get(tuple(members), f"group{j}") for j, members in enumerate(of)]
    if schedule.basis.factors or any(len(members) > 1 for members in of):
        return []
    return [("RGB"[members[0]] if labels.shape[0] == 3 else f"channel{members[0]}") for members in of]


def _inside(schedule: Schedule, mask: np.ndarray) -> Groups:
    """Return the groups all of whose pixels are in a mask."""
    outside = np.unique(schedule.partition.labels[np.broadcast_to(~mask, schedule.shape)])
    return tuple(j for j in range(schedule.k) if j not in outside)


def _spanned(schedule: Schedule, word: str) -> Groups:
    """Return the groups within a band such as "30:500"; refuse anything else."""
    low, colon, high = word.partition(":")
    spans = _spans(schedule)
    names = vocabulary(schedule)
    if not (colon and spans and low.isdecimal() and high.isdecimal()):
        expected = f"expected numbers 0 to {schedule.k - 1} or names: {_listed(names)}"
        raise ValueRangeError(f"groups: {expected}; got {word!r}{nearest(word, names)}")
    found = tuple(j for j, (a, b) in enumerate(spans) if int(low) <= a and b <= int(high))
    edges = sorted({end for span in spans for end in span})
    if not found or {int(low), int(high)} - set(edges):
        expected = f"expected the ends of a band among {', '.join(map(str, edges))}"
        raise ValueRangeError(f"groups: {expected}, got {word!r}; other frequencies are elements (--elements)")
    return found


def _listed(names: Iterable[str] | Mapping[str, Groups], most: int = 20) -> str:
    known = list(names)
    return ", ".join(known[:most]) + f", ... {len(known)} in all" * (len(known) > most)
