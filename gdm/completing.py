"""Completion of images by a run: inpainting, outpainting, upscaling, colouring; whatever its groups make known.

A network that was trained on random orders, or on the order that has the known groups first, draws the others
given these. `known_first` finds such an order among the groupings of a run.

    model = gdm.load("runs/digits")
    images = intake.read_images(model, "digits", limit=4)
    completing.complete(model, images, known_first(model, "left"), n=5).save("right-halves.png")
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gdm.config import build_groupings
from gdm.encoding import told
from gdm.errors import UnsupportedError, ValueRangeError
from gdm.intake import Images
from gdm.model import Model
from gdm.names import called, find_groups, group_names, masked_groups, stride
from gdm.panels import Panels, short_names
from gdm.pixels import to_uint8, to_unit
from gdm.schedule import Schedule
from gdm.solver import Solver, Steps

UNKNOWN = 0.55  # grey in [-1, 1], of pixels that are to be made; lighter than the gaps of a figure


@dataclass(frozen=True)
class Known:
    """What is known, in an order of generation that has it first.

    schedule: the run's groups in that order; count: its groups 0, ..., count - 1 are known; name: what they are called
    taught: whether the network was trained in this order
    """

    schedule: Schedule
    count: int
    name: str
    taught: bool

    @property
    def coordinates(self) -> np.ndarray:
        """Which coordinates are known, bool of the event shape."""
        return self.schedule.partition.labels < self.count


def known_first(model: Model, region: str | Iterable[int] | np.ndarray, grouping: int | None = None) -> Known:
    """Return an order of generation of the run that has a region first, if there is one that it was trained on.

    region: group numbers or names, see `gdm.names.find_groups`: "left", "coarse", "luma", "0,2"; or a mask, bool
        (H, W), of whole groups
    grouping: which of the run's groupings to take, 0 being its schedule; None is the first that was trained with this
        region first, or else the first that has it. Numbers are of grouping 0 unless said otherwise.

    Raises: ValueRangeError for a region that no grouping has, or that leaves nothing to be made

    Example: `known_first(model, "left").taught`
    """
    groupings = build_groupings(model.spec, model.schedule.shape)
    members = groupings.members if model.groups is not None else (model.schedule,)
    if not isinstance(region, str | np.ndarray):
        region = ",".join(map(str, region))
    if isinstance(region, str) and any(word.strip().isdecimal() for word in region.split(",")):
        grouping = grouping or 0
    if grouping is not None and not 0 <= grouping < len(members):
        expected = f"0 to {len(members) - 1}" if len(members) > 1 else "0, the only one of this run"
        raise ValueRangeError(f"grouping: expected {expected}, got {grouping}")
    tried = members if grouping is None else members[grouping : grouping + 1]
    found, problems = [], []
    for member in tried:
        try:
            groups = masked_groups(member, region) if isinstance(region, np.ndarray) else find_groups(member, region)
        except ValueRangeError as error:
            problems.append(error)
            continue
        rest = [j for j in range(member.k) if j not in groups]
        ordered = member.reorder([*groups, *rest])
        taught = model.groups is None or groupings.taught(ordered.partition)
        found.append(Known(ordered, len(groups), called(member, groups), taught))
    if not found:
        raise problems[0]
    chosen = next((known for known in found if known.taught), found[0])
    if chosen.count == chosen.schedule.k:
        names = ", ".join(group_names(chosen.schedule)[:12])
        raise ValueRangeError(f"known: expected some of the groups {names}, got all of them; nothing is left to make")
    return chosen


def complete(
    model: Model,
    images: Images,
    known: Known,
    *,
    n: int = 4,
    seed: int = 0,
    steps: Steps = 64,
    solver: str | Solver = "euler",
    guidance: float = 1.0,
    batch: int | None = None,
) -> Panels:
    """Keep what is known of images and draw the rest n times; one row per image: the image, what is known, n results.

    Known pixels come back as they are, to the bit; known frequencies or colours to rounding. Result i of image j is
    drawn from (seed, j n + i).

    Raises: as `Model.complete`; ValueRangeError for images without a class, of a run with classes

    Shapes: -> panels of (images, 2 + n, *event)
    """
    if n < 1:
        raise ValueRangeError(f"n: expected at least 1 result per image, got {n}")
    x = to_unit(images.images)
    repeated = np.repeat(x, n, axis=0)
    labels = told(model, images.labels, guidance)
    made = model.complete(
        repeated,
        range(known.count),
        seed=seed,
        steps=steps,
        solver=solver,
        batch=batch,
        labels=None if labels is None else np.repeat(labels, n),
        guidance=guidance,
        schedule=known.schedule,
    )
    results = np.asarray(model.backend.to_numpy(made)).reshape(len(x), n, *x.shape[1:])
    shown = np.concatenate([np.stack([x, only_known(known, x)], axis=1), results], axis=1)
    drawable = not known.schedule.basis.factors and stride(known.schedule) is None  # a lattice would be lines alone
    outlined = [np.asarray(known.coordinates.all(axis=0))] * len(x) if drawable else None
    columns = ("image", f"known: {known.name}", *(f"no. {i + 1}" for i in range(n)))
    return Panels(
        shown, short_names(images.names), columns, "the rest drawn given what is known", masks=outlined, outlined=2
    )


def only_known(known: Known, x: np.ndarray) -> np.ndarray:
    """Return images of what is known alone: other pixels grey, a cascade's coarse ones enlarged, other bands 0.

    Shapes: (n, *event) in [-1, 1] -> (n, *event)
    """
    schedule = known.schedule
    if schedule.basis.factors:
        coordinates = np.where(known.coordinates, schedule.basis.analyze(x), 0.0)
        return schedule.basis.synthesize(coordinates).astype(x.dtype)
    found = stride(schedule)
    if found is not None and known.count == 1 and found[0] == 0:
        step, (height, width) = found[1], x.shape[-2:]
        return x[..., ::step, ::step].repeat(step, axis=-2).repeat(step, axis=-1)[..., :height, :width]
    return np.where(known.coordinates, x, np.array(UNKNOWN, x.dtype))


def kept(known: Known, images: np.ndarray, made: np.ndarray) -> tuple[int, int, float]:
    """Compare what is known in images and results: how many numbers, how many differ, and the largest difference.

    Pixels are compared as bytes, coordinates of another basis by their difference in units of [-1, 1].

    Shapes: images uint8 (n, *event), made (n, *event) in [-1, 1]
    """
    where = np.broadcast_to(known.coordinates, made.shape)
    if known.schedule.basis.factors:
        analyze = known.schedule.basis.analyze
        gap = np.abs(analyze(np.asarray(made, np.float64)) - analyze(to_unit(images, np.float64)))[where]
        return gap.size, int((gap > 1e-3).sum()), float(gap.max())
    gap = np.abs(to_uint8(made).astype(int) - images)[where]
    return gap.size, int((gap > 0).sum()), float(gap.max())


def small_size(model: Model) -> tuple[int, int]:
    """Return height and width of the images that a run of a cascade makes larger.

    Raises: UnsupportedError for another run
    """
    found = stride(model.schedule)
    if found is None:
        names = ", ".join(group_names(model.schedule)[:8])
        remedy = "train with schedule.kind = 'cascade', or name what is known (--known)"
        raise UnsupportedError(f"upscaling: expected a run of a cascade, got one of groups {names}; {remedy}")
    height, width = model.schedule.shape[-2:]
    return -(-height // found[1]), -(-width // found[1])


def placed(model: Model, small: Images) -> Images:
    """Return images of a run's size whose coarse pixels are these small images; the others are repeated from them.

    Shapes: uint8 (n, C, h, w) of `small_size` -> (n, C, H, W)
    Raises: UnsupportedError for a run without a cascade; ValueRangeError for another size
    """
    size, (height, width) = small_size(model), model.schedule.shape[-2:]
    if small.images.shape[-2:] != size:
        raise ValueRangeError(f"small images: expected {size}, got {small.images.shape[-2:]}")
    step = (stride(model.schedule) or (0, 1))[1]
    large = small.images.repeat(step, axis=-2).repeat(step, axis=-1)[..., :height, :width]
    return Images(np.ascontiguousarray(large), small.names, small.labels)
