"""Several groupings that one network learns: every training sample follows one of them, in its own or a random order.

What the network sees of a grouping is A(t) alone. So it is built on the common refinement of all partitions, on
which a grouping is nothing but an interval per group, and so is an order: both are `Spans` of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdm.arrays import frozen, index, namespace
from gdm.errors import PartitionError
from gdm.partition import Partition
from gdm.schedule import Schedule, Spans


@dataclass(frozen=True, slots=True)
class Groupings:
    """The schedules of a training run, frozen and hashable.

    members: schedules of one shape, basis and path
    shuffled: for each of them, whether every sample draws an order of its own; interval j stays the j-th one
    schedule: the first member, written on the common refinement of all partitions; what the network is built for

    Raises: PartitionError for members that no single network can serve

    >>> rows, columns = Schedule.rows((2, 2), 2), Schedule.columns((2, 2), 2)
    >>> Groupings((rows, columns)).schedule.k
    4
    """

    members: tuple[Schedule, ...]
    shuffled: tuple[bool, ...] = ()
    schedule: Schedule = field(init=False)
    _parents: tuple[np.ndarray, ...] = field(init=False, compare=False)  # each member's group of each fine group

    def __post_init__(self) -> None:
        members = tuple(self.members)
        shuffled = tuple(self.shuffled) or (False,) * len(members)
        if not members or len(shuffled) != len(members):
            expected = "expected at least one member, and of each whether it is shuffled"
            raise PartitionError(f"{expected}; got {len(members)} and {len(shuffled)}")
        first = members[0]
        for member in members[1:]:
            if (member.shape, member.basis, member.path) != (first.shape, first.basis, first.path):
                expected = f"the first one's shape {first.shape}, {first.basis} and {first.path.name} path"
                got = f"{member.shape}, {member.basis} and {member.path.name}"
                raise PartitionError(f"groupings: expected {expected}, got {got}; train another network for these")
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "shuffled", shuffled)
        schedule = _on_refinement(members)
        parents = tuple(frozen(member.partition.parents(schedule.partition)) for member in members)
        object.__setattr__(self, "schedule", schedule)
        object.__setattr__(self, "_parents", parents)

    @property
    def drawn(self) -> bool:
        """Whether samples differ: there are several members, or orders are random."""
        return len(self.members) > 1 or any(self.shuffled)

    def spans(self, t: Any, which: Any, keys: Any) -> Spans:
        """Return the interval of each group of each sample, on the refinement, like `t`.

        which: the member that each sample follows
        keys: random numbers, whose ranking is the order of a sample whose member is shuffled

        Shapes: t (batch,), which (batch,) integers, keys (batch, largest k of a member) -> Spans of (batch, schedule.k)
        """
        xp = namespace(t, which, keys)
        found: tuple[Any, ...] = ()
        for number, member in enumerate(self.members):
            own = member.spans(t, xp.argsort(keys[:, : member.k], axis=1) if self.shuffled[number] else None)
            spans = tuple(xp.take(ends, index(self._parents[number], like=t), axis=1) for ends in own)
            chosen = (which == number)[:, None]
            found = tuple(xp.where(chosen, new, old) for new, old in zip(spans, found or spans, strict=True))
        return Spans(*found)

    def taught(self, partition: Partition) -> bool:
        """Whether samples are diffused in these groups and this order: those of a member, in any order if it is shuffled."""
        return any(
            own == partition or (shuffled and own.k == partition.k == Partition.refine(own, partition).k)
            for own, shuffled in zip((member.partition for member in self.members), self.shuffled, strict=True)
        )

    @property
    def keys(self) -> int:
        """How many random numbers a sample's order takes."""
        return max(member.k for member in self.members)


def _on_refinement(members: tuple[Schedule, ...]) -> Schedule:
    """Return the first schedule on the groups that all members are unions of."""
    first = members[0]
    fine = Partition.refine(*(member.partition for member in members))
    if fine == first.partition:
        return first
    intervals = first.intervals[first.partition.parents(fine)]  # falling: `refine` numbers by the first partition
    return Schedule(fine, intervals, first.basis, first.path, overlap=True)
