"""What each control of the explorer does, for one visitor: to which latents, and which images come of it.

A `Session` is a value: every control returns a new one, and no user interface is needed to try them.

    session = Session.start(Workbench(gdm.load("runs/digits_bands")))
    smoothest = session.elements(group=0, most=8)[0]
    session.moved(smoothest, 2.5).edited()           # the image with this latent at 2.5
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from gdm import editing, encoding, latents
from gdm.encoding import Latents
from gdm.errors import ValueRangeError
from gdm.explorer.workbench import Workbench
from gdm.names import group_names, shown, vocabulary
from gdm.panels import Panels
from gdm.schedule import Schedule

REACH = 3.0  # a slider goes from -REACH to REACH, as in Fig. 6 and 8


class Element(NamedTuple):
    """What a slider moves: one frequency (or pixel, by its raster number) of a group, in these channels or in all."""

    group: int
    rank: int
    channels: tuple[int, ...] | None = None

    def where(self, schedule: Schedule) -> np.ndarray:
        """Return its coordinates, a boolean array of the event shape."""
        return latents.selection(schedule, self.group, self.rank, self.channels)


@dataclass(frozen=True, eq=False)
class Session:
    """An image under edit, the sliders that were moved, and a second image to mix it with.

    subject, partner: a single `Latents` each, of the workbench
    moves: the value that a slider has given to its element, in the order in which they were moved
    """

    bench: Workbench
    subject: Latents
    partner: Latents
    moves: Mapping[Element, float] = field(default_factory=dict)

    @classmethod
    def start(cls, bench: Workbench) -> Session:
        """Return the session that a visitor begins with: images 0 and 1 of seed 0."""
        return cls(bench, bench.sampled(0, 0), bench.sampled(0, 1))

    def edit(self, subject: Latents) -> Session:
        """Take another image to edit; the sliders begin anew."""
        return replace(self, subject=subject, moves={})

    def mix_with(self, partner: Latents) -> Session:
        """Take another image to mix with."""
        return replace(self, partner=partner)

    def moved(self, element: Element, value: float) -> Session:
        """Set an element of the latents to a value. Raises: ValueRangeError for an element that is not there"""
        if not element.where(self.bench.model.schedule).any():
            raise ValueRangeError(f"element: expected one of group {element.group}, got {element}; see `elements`")
        others = {known: moved for known, moved in self.moves.items() if known != element}
        return replace(self, moves={**others, element: float(value)})

    def reset(self) -> Session:
        """Take all sliders back."""
        return replace(self, moves={})

    def elements(self, group: int, channels: tuple[int, ...] | None = None, most: int = 8) -> tuple[Element, ...]:
        """Return the first elements of a group, the smoothest ones of a band; each in these channels, or in all."""
        schedule = self.bench.model.schedule
        ranks = np.unique(schedule.basis.order[latents.selection(schedule, group, None, channels)])
        return tuple(Element(group, rank, channels) for rank in ranks[:most].tolist())

    def value(self, element: Element) -> float:
        """Return where the slider of an element stands: its latent, or the mean over the channels that it moves."""
        return float(self._coordinates()[element.where(self.bench.model.schedule)].mean())

    def latents(self) -> Latents:
        """Return the latents of the image with all moves; those of the subject itself if there are none."""
        if not self.moves:
            return self.subject
        edited = self.bench.model.schedule.basis.synthesize(self._coordinates()[None])
        return replace(self.subject, z=edited.astype(self.subject.z.dtype), images=None, hashes=(), errors=None)

    def edited(self) -> np.ndarray:
        """Return the image that the latents decode to. Shapes: -> (*event) in [-1, 1]"""
        return encoding.decode(self.bench.model, self.latents())[0]

    def mixed(self, groups: Iterable[int]) -> Panels:
        """Swap each of these groups between both images, and then all of them (Fig. 7); a row for each image."""
        schedule, numbers = self.bench.model.schedule, tuple(sorted(set(groups)))
        entries = [(j,) for j in numbers] + [numbers] * (len(numbers) > 1)
        own, other = self.latents(), self.partner
        pairs = (own + other).take([0, 1, 1, 0])
        if entries:
            return editing.swap(self.bench.model, pairs, editing.choices(schedule, entries))
        raise ValueRangeError("groups: expected at least one to swap, got none; choose some")

    def varied(self, groups: Iterable[int], *, fixed: bool, n: int = 6, seed: int = 0) -> Panels:
        """Draw all but these groups anew (`fixed`, Fig. 9), or these groups (Fig. 1c): the image and n variations."""
        chosen = editing.choices(self.bench.model.schedule, [tuple(groups)])
        return editing.resample(self.bench.model, self.latents(), chosen, fixed=fixed, n=n, seed=seed)

    def _coordinates(self) -> np.ndarray:
        """Return the latents in the basis of the run, with all moves. Shapes: -> (*event)"""
        schedule = self.bench.model.schedule
        found = np.array(schedule.basis.analyze(self.subject.z)[0])
        for element, value in self.moves.items():
            found[element.where(schedule)] = value
        return found


def channel_choices(schedule: Schedule, group: int) -> dict[str, tuple[int, ...] | None]:
    """Return the channels that a slider of a group can move, by name; "all" first. Only "all" if it has but one."""
    held = [c for c in range(schedule.shape[0]) if latents.selection(schedule, group, None, c).any()]
    words = ("luma", "chroma 1", "chroma 2") if schedule.basis.name == "opponent" else ("R", "G", "B")
    single = {words[c]: (c,) for c in held} if len(held) > 1 and schedule.shape[0] == 3 else {}
    return {"all": None, **single}


def group_choices(schedule: Schedule) -> dict[int, str]:
    """Return what to call each group on a page: its name, and another that it has.

    >>> group_choices(Schedule.bands((1, 8, 8), (4, 16)))
    {0: '[0, 4) coarse', 1: '[4, 16) mid', 2: '[16, 64) fine'}
    """
    names, others = group_names(schedule), {}
    for name, groups in vocabulary(schedule).items():
        if len(groups) == 1 and name != names[groups[0]]:
            others.setdefault(groups[0], name)
    return {j: f"{shown(name)} {others.get(j, '')}".strip() for j, name in enumerate(names)}
