"""What a train step computes of its part of a batch, on every library: images moved, classes hidden, the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gdm import augment
from gdm.arrays import namespace
from gdm.conditioning import class_weights
from gdm.draws import Draws
from gdm.groupings import Groupings
from gdm.objective import direction_loss
from gdm.pixels import to_unit

if TYPE_CHECKING:
    from gdm.config import TrainingConfig

Told = Callable[[Any, Any, Any, Any], Any]  # (x_t, alpha, class weights or None, warps or None) -> u


def batch_loss(
    network: Told,
    images: Any,
    labels: Any,
    draws: Draws,
    *,
    groupings: Groupings,
    training: TrainingConfig,
    classes: int,
    dtype: Any,
    sample: augment.Sample = augment.bicubic,
) -> Any:
    """Return the loss of a batch, or of rows of it, as a pure function of arguments: `draws` holds all that is random.

    training: says the weighting and whether pending groups are hidden; what is drawn, and how often, is in `draws`
    classes: how many the network knows; dtype: of the computation, that of `draws`
    sample: the library's way to read images between their pixels

    Shapes: images uint8 (batch, *event), labels integers (batch,) or None, draws of as many samples -> ()
    Raises: as `direction_loss`, `class_weights`, `to_unit` and `augment.apply`
    """
    x, warps = to_unit(images, dtype), None
    if draws.warp is not None:
        x, warps = augment.apply(x, draws.warp, sample)
    weights = _class_weights(labels, classes, draws.hidden, x)
    return direction_loss(
        lambda x_t, alpha: network(x_t, alpha, weights, warps),
        x,
        draws.z,
        draws.t,
        groupings.schedule,
        weighting=training.weighting,
        mask_pending=training.mask_pending,
        orders=draws.spans,
    )


def _class_weights(labels: Any, classes: int, hidden: Any, like: Any) -> Any:
    """Return one-hot rows in the dtype of `like`, zeros where the class is hidden; None without labels."""
    if labels is None:
        return None
    xp = namespace(like)
    weights = xp.astype(class_weights(labels, like.shape[0], classes), like.dtype)
    return weights if hidden is None else xp.where(hidden[:, None], 0.0, weights)
