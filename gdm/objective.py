"""Interpolation and the training losses.

In every loss x is data and z noise, both (batch, *event), t is (batch,), and `network` is called with
(x_t, alpha), alpha as `Schedule.shown_alpha` gives it. Losses are scalars, pure functions of their
arguments. `mask_pending` hides the groups that generation has not begun from the network (their
coordinates are 0), which makes the locality of Prop. 3.3 exact for any weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from gdm.arrays import A, check_event, check_floating, check_time, constant, extremes, index, namespace
from gdm.errors import DTypeError, ShapeError, ValueRangeError, nearest
from gdm.fused import add_scaled
from gdm.schedule import Schedule

Network = Callable[[Any, Any], Any]
Weighting = Literal["uniform", "active", "rate"]


def interpolate(schedule: Schedule, x: A, z: A, t: A, *, orders: Any = None) -> A:
    """Return the noised data x_t = A(t) x + S(t) z, Eq. (6); in a basis U, x_t = U (A U^T x + S U^T z), Eq. (11).

    Shapes: x, z (batch, *event), t (batch,) in [0, 1], orders (batch, k) -> (batch, *event)
    Raises: ShapeError, DTypeError, TimeRangeError, BackendError
    """
    _check_inputs(schedule, x, z, t)
    return _noised(schedule, x, z, t, orders)


def direction_loss(
    network: Network,
    x: A,
    z: A,
    t: A,
    schedule: Schedule,
    *,
    weighting: Weighting = "uniform",
    mask_pending: bool = False,
    orders: Any = None,
) -> A:
    """Return E ||(x - z) - u(x_t, A(t))||^2, Eq. (8), (16), as a mean over batch and elements.

    weighting: "uniform" counts every element, as Eq. (8) does; "active" takes the mean over the groups being
    diffused at t alone; "rate" weighs by A'(t)^2, which is Eq. (7) for v = A' u.

    Shapes: x, z (batch, *event), t (batch,) in [0, 1], orders (batch, k) -> ()
    Raises: as `interpolate`; ValueRangeError for an unknown weighting
    """
    u = _predict(network, x, z, t, schedule, mask_pending, orders)
    error = (x - z) - u
    if weighting == "uniform":
        return _mean_square(error)
    squares = schedule.basis.analyze(error) ** 2
    if weighting == "rate":
        return namespace(x).mean(schedule.spread(_velocity_weight(schedule, t, orders) ** 2) * squares)
    if weighting == "active":
        return _mean_over(schedule.active(t, orders=orders), squares, schedule)
    known = ("uniform", "active", "rate")
    raise ValueRangeError(f"weighting: expected one of {known}, got {weighting!r}{nearest(str(weighting), known)}")


def velocity_loss(network: Network, x: A, z: A, t: A, schedule: Schedule, *, orders: Any = None) -> A:
    """Return E ||A'(t) x + S'(t) z - v(x_t, A(t))||^2, Eq. (4), (7), for a network that predicts the velocity v.

    Shapes and errors as `direction_loss`.
    """
    v = _predict(network, x, z, t, schedule, False, orders)
    target = schedule.mix(((schedule.alpha_rate(t, orders=orders), x), (schedule.sigma_rate(t, orders=orders), z)))
    return _mean_square(target - v)


def data_loss(network: Network, x: A, z: A, t: A, schedule: Schedule, *, orders: Any = None) -> A:
    """Return E ||x - x(x_t, A(t))||^2, Eq. (3) with lambda = 1, for a network that predicts the data.

    Shapes and errors as `direction_loss`.
    """
    return _mean_square(x - _predict(network, x, z, t, schedule, False, orders))


def autoregressive_loss(network: Network, x: A, z: A, group: A, schedule: Schedule, *, mask_pending: bool = False) -> A:
    """Return the discrete loss of C.1: each sample's group, all noise, is predicted from the groups before it.

    E ||A'(t) ((x - z) - u)||^2 over the coordinates of the group, t its end; with one element per group
    it is Eq. (22), and with u = xhat - z it is Eq. (26), the loss of an autoregressive model.

    Shapes: x, z (batch, *event), group (batch,) integers in 0..k-1 -> ()
    Raises: as `interpolate`; ShapeError if group is not (batch,)
    """
    xp = namespace(x, z, group)
    if tuple(group.shape) != (x.shape[0],):
        raise ShapeError(f"group: expected one group number per sample, ({x.shape[0]},), got {tuple(group.shape)}")
    if not xp.isdtype(group.dtype, "integral"):
        raise DTypeError(f"group: expected integers, got {group.dtype}; give group numbers 0 to {schedule.k - 1}")
    found = extremes(group)
    if found and not (found[0] >= 0 and found[1] < schedule.k):
        raise ValueRangeError(f"group: expected numbers 0 to {schedule.k - 1}, got others; 0 is generated first")
    t = xp.take(constant(schedule.intervals[:, 1], like=x), group)
    chosen = group[:, None] == index(range(schedule.k), like=group)
    error = (x - z) - _predict(network, x, z, t, schedule, mask_pending, None)
    rate = xp.astype(chosen, x.dtype) * _velocity_weight(schedule, t, None)
    return xp.sum((schedule.spread(rate) * schedule.basis.analyze(error)) ** 2) / x.shape[0]


def stratify(uniforms: A) -> A:
    """Turn independent uniforms in [0, 1) into stratified times in (0, 1]: one in each of `batch` equal strata.

    Shapes: (batch,) -> (batch,)
    """
    xp = namespace(uniforms)
    check_floating(uniforms, "uniforms")
    if len(uniforms.shape) != 1:
        raise ShapeError(f"uniforms: expected one number per sample, (batch,), got {tuple(uniforms.shape)}")
    n = uniforms.shape[0]
    strata = xp.astype(index(range(n), like=uniforms), uniforms.dtype)
    return (strata + (1 - uniforms)) / n


def hide_pending(schedule: Schedule, alpha: A, coordinates: A) -> A:
    """Return basis coordinates with those of pending groups (alpha exactly 0) set to 0."""
    return namespace(alpha, coordinates).where(schedule.spread(alpha) > 0, coordinates, 0.0)


def _check_inputs(schedule: Schedule, x: A, z: A, t: A) -> None:
    """Check what a loss is given."""
    namespace(x, z, t)
    for name, value in (("x", x), ("z", z)):
        check_event(value, schedule.shape, name)
    if x.shape[0] != z.shape[0]:
        raise ShapeError(f"z: expected one noise per sample, {tuple(x.shape)}, got {tuple(z.shape)}")
    check_time(t, x.shape[0])
    if not x.dtype == z.dtype == t.dtype:
        remedy = "convert them: a network would meet a mixture of both"
        raise DTypeError(f"z and t: expected x's {x.dtype}, got {z.dtype} and {t.dtype}; {remedy}")


def _noised(schedule: Schedule, x: A, z: A, t: A, orders: Any, shown: A | None = None) -> A:
    """Return x_t, Eq. (6), (11), of checked inputs; groups whose `shown` alpha is 0 are hidden."""
    if schedule.corner is None:
        a, s = schedule.weights(t, orders)
        coordinates = add_scaled(a * schedule.basis.analyze(x), s, schedule.basis.analyze(z))
        coordinates = coordinates if shown is None else hide_pending(schedule, shown, coordinates)
        return schedule.basis.synthesize(coordinates)
    a, s = schedule.alpha(t, orders), schedule.sigma(t, orders)
    if shown is not None:
        seen = namespace(shown).astype(shown > 0, shown.dtype)
        a, s = a * seen, s * seen
    return schedule.mix(((a, x), (s, z)))


def _predict(network: Network, x: A, z: A, t: A, schedule: Schedule, mask_pending: bool, orders: Any) -> A:
    """Call the network on x_t and the alpha it is to see, and check what it returns."""
    _check_inputs(schedule, x, z, t)
    alpha = schedule.shown_alpha(t, orders)
    u = network(_noised(schedule, x, z, t, orders, alpha if mask_pending else None), alpha)
    namespace(x, u)  # an array, of the same library
    if tuple(u.shape) != tuple(x.shape):
        raise ShapeError(f"network: expected an output of x_t's shape {tuple(x.shape)}, got {tuple(u.shape)}")
    return u


def _velocity_weight(schedule: Schedule, t: A, orders: Any) -> A:
    """Return w with v - v* = w (u - u*): (A' S - S' A) / (A + S), which is A' itself on the linear path."""
    a, s = schedule.alpha(t, orders), schedule.sigma(t, orders)
    a_rate, s_rate = schedule.alpha_rate(t, orders=orders), schedule.sigma_rate(t, orders=orders)
    return (a_rate * s - s_rate * a) / (a + s)


def _mean_square(error: A) -> A:
    return namespace(error).mean(error * error)


def _mean_over(active: A, squares: A, schedule: Schedule) -> A:
    """Mean of `squares` over each sample's active elements, then over the samples that have any."""
    xp = namespace(squares)
    axes = tuple(range(1, len(squares.shape)))
    mask = xp.broadcast_to(schedule.spread(active), squares.shape)
    counts = xp.sum(mask, axis=axes)
    means = xp.sum(mask * squares, axis=axes) / xp.clip(counts, 1.0, None)
    samples = xp.sum(xp.astype(counts > 0, squares.dtype))
    return xp.sum(means) / xp.clip(samples, 1.0, None)
