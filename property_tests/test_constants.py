"""Laws of host data on a device: made once for read-only memory, gone with its owner, and out of everyone's reach."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import gdm
from gdm.arrays import _PLACED, constant, frozen, index
from gdm.objective import stratify
from property_tests.support import LIBRARIES, Library, agree, arrays, same_bits

LIKE = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize("lib", LIBRARIES, ids=repr)
def test_a_constant_is_its_values(lib: Library) -> None:
    """Views, ranges and types of read-only and of other memory all arrive as they are, every time."""
    owner, like = frozen(arrays(0, 4, 6)), lib.array(np.zeros(1))
    for view in (owner, owner[1:, ::2], owner.T, owner[::-1], owner[:, 0], owner.reshape(3, 8), owner.copy()):
        for _ in range(2):
            same_bits(lib.host(constant(view, like)), view)
    narrow = lib.array(np.zeros(1, np.float32))
    same_bits(lib.host(constant(owner, narrow)), owner.astype(np.float32))
    for numbers in (range(4), range(1, 7, 2), frozen(np.arange(3)), [2, 0]):
        got = lib.host(index(numbers, like))
        assert got.dtype.kind == "i"
        same_bits(got, np.array(numbers))


def test_read_only_memory_is_placed_once() -> None:
    """The same tensor for the same view, type and device; a new one for memory that may change, or did."""
    owner = frozen(arrays(0, 4, 6))
    first = constant(owner[1:], LIKE)
    assert constant(owner[1:], LIKE) is first and constant(owner, LIKE) is not first
    assert constant(owner[1:], LIKE, torch.float32).dtype == torch.float32 and constant(owner[1:], LIKE) is first
    writable = arrays(0, 3)
    view = writable[:]
    view.setflags(write=False)
    for numbers in (writable, view):
        before, then = constant(numbers, LIKE), writable.copy()
        writable += 1
        same_bits(constant(numbers, LIKE), writable)
        same_bits(before, then)


def test_placed_tensors_go_with_their_owner() -> None:
    """Schedules come and go: what was placed for them does too, so nothing is left to pile up."""
    gc.collect()
    count = len(_PLACED)
    for seed in range(3):
        owner = frozen(arrays(seed, 5))
        same_bits(constant(owner, LIKE), owner)  # never the tensor of an earlier owner at the same address
        assert len(_PLACED) == count + 1
        del owner
        gc.collect()
        assert len(_PLACED) == count


SCHEDULES = {
    "one group": gdm.Schedule.vanilla((2, 4, 4)),
    "blocks": gdm.Schedule.blockwise((2, 4, 4), (2, 2), path="vp"),
    "bands": gdm.Schedule.bands((2, 4, 4), (2, 6)),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_no_caller_can_spoil_a_constant(schedule: gdm.Schedule) -> None:
    """A network that writes on all it is given, and a caller on all that is returned, change no later result."""

    def spoil(*tensors: Any) -> None:
        for tensor in tensors:
            if tensor.numel() == len(set(np.ravel(offsets(tensor)))):  # torch refuses the others
                tensor.fill_(7.0)

    def vandal(x_t: Any, alpha: Any) -> Any:
        u = x_t * alpha.mean()
        spoil(x_t, alpha)
        return u

    def results() -> list[Any]:
        x, z, t = torch.tensor(arrays(0, 1, 2, 4, 4)), torch.tensor(arrays(1, 1, 2, 4, 4)), torch.tensor([0.3]).double()
        flows = [gdm.generate(vandal, z.clone(), schedule, steps=8, solver=solver) for solver in ("euler", "ab2")]
        masked = gdm.encode(vandal, x.clone(), schedule, steps=8, mask_pending=True)
        loss = gdm.direction_loss(vandal, x, z, t, schedule, weighting="active")
        curves = [schedule.alpha(t), schedule.sigma(t), schedule.active(t), schedule.shown_alpha(t)]
        curves += [schedule.alpha_rate(t), *schedule.weights(t), schedule.expand(schedule.alpha(t))]
        curves += [schedule.spread(schedule.alpha(t)), gdm.interpolate(schedule, x, z, t)]
        return [*flows, masked, loss, *curves]

    first = results()
    kept = [result.clone() for result in first]
    spoil(*first)
    for again, expected in zip(results(), kept, strict=True):
        same_bits(again, expected)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_nothing_is_placed_twice(schedule: gdm.Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss or a flow like an earlier one copies nothing from the host: no accelerator waits, a graph can be captured."""
    x, z, t = (
        torch.tensor(arrays(0, 2, 2, 4, 4)),
        torch.tensor(arrays(1, 2, 2, 4, 4)),
        torch.tensor([0.3, 0.9]).double(),
    )
    orders, copies = torch.arange(schedule.k).repeat(2, 1), []

    def run() -> None:
        for mask in (False, True):
            for order in (None, orders):
                settings: Any = {"mask_pending": mask, "orders": order}
                gdm.direction_loss(lambda x_t, alpha: x_t, x, z, t, schedule, weighting="active", **settings)
                gdm.generate(lambda x_t, alpha: x_t, z, schedule, steps=8, solver="ab2", **settings)
        stratify(t)

    run()
    real = torch.asarray
    monkeypatch.setattr(torch, "asarray", lambda *a, **k: copies.append(a) or real(*a, **k))
    run()
    assert not copies
    constant(arrays(0, 1), LIKE)
    assert copies, "the copies are made in another way: count those"


@pytest.mark.parametrize("solver", ["euler", "heun", "ab2"])
def test_what_a_network_keeps_stays(solver: str) -> None:
    """No step writes to the noise it was given, to an x_t that a network keeps, or to a u that it returned."""
    schedule, z, kept = SCHEDULES["blocks"], torch.tensor(arrays(1, 1, 2, 4, 4)), []

    def network(x_t: Any, alpha: Any) -> Any:
        u = x_t if len(kept) % 2 else x_t * 2
        kept.extend((value, value.clone()) for value in (x_t, alpha, u))
        return u

    given = z.clone()
    gdm.generate(network, z, schedule, steps=8, solver=solver)
    for value, then in [*kept, (z, given)]:
        same_bits(value, then)


def offsets(tensor: Any) -> np.ndarray:
    """Return where in memory each element of a tensor lies."""
    at = np.zeros(tensor.shape, int)
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        at += (np.arange(size) * stride).reshape((-1,) + (1,) * (tensor.ndim - axis - 1))
    return at


def test_a_mode_does_not_outlive_itself() -> None:
    """What inference and pretending modes place serves a gradient later, and computes."""
    owner, x = frozen(arrays(0, 3)), torch.tensor(arrays(1, 3), requires_grad=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        constant(owner, LIKE)
    with torch.inference_mode():
        constant(owner, LIKE)
    (x * constant(owner, x)).sum().backward()
    assert x.grad is not None
    agree(x.grad, owner)
