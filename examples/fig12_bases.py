"""Fig. 12: vectors of the bases, and what bands of each are of a photograph.

    python examples/fig12_bases.py

fig12_bases.png: the smoothest vectors of 16 x 16 pixels. fig12_bands.png: a photograph of scikit-learn, 256 x 256, of
which the first n coordinates of each basis are kept: frequencies give the image, blurred; pixels, in raster order, its
upper edge. The numbers: the share of the photograph's energy (sum of squares) in the first n coordinates.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm.basis import Basis
from gdm.canvas import montage, show_sheet
from gdm.panels import Panels

NAMES = ("pixel", "cosine", "blur", "haar")
SIDE, KEPT = 256, (30, 100, 500, 5000)


def main() -> None:
    from sklearn.datasets import load_sample_image

    args = shared.parser(__doc__).parse_args()
    figure, axes = shared.grid(1, len(NAMES), cell=2.6)
    for one, name in zip(axes[0], NAMES, strict=True):
        show_sheet(one, montage(vectors(Basis.named(name, (1, 16, 16)), 5), np.nan), cmap="viridis", vmin=-1, vmax=1)
        one.set_title(name)
    shared.save(figure, args, "fig12_bases")
    photo = load_sample_image("china.jpg")[60 : 60 + SIDE, 180 : 180 + SIDE]
    x = (photo.mean(axis=2)[None, None] / 127.5 - 1).astype(np.float64)
    rows, shares = [], {}
    for name in NAMES:
        basis = Basis.named(name, (1, SIDE, SIDE))
        coordinates = basis.analyze(x)
        kept = [basis.synthesize(np.where(basis.order < n, coordinates, 0.0)) for n in KEPT]
        rows.append(np.concatenate([x, *kept]))
        shares[name] = [(coordinates[:, basis.order < n] ** 2).sum() / (x**2).sum() for n in KEPT]
    columns = ("photograph", *(f"first {n}" for n in KEPT))
    made = Panels(np.stack(rows).clip(-1, 1), NAMES, columns, f"{SIDE} x {SIDE}: {SIDE * SIDE} coordinates in all")
    shared.save(made, args, "fig12_bands", {"kept": KEPT, "share_of_energy": shares})


def vectors(basis: Basis, side: int) -> np.ndarray:
    """Return the side^2 smoothest vectors, each scaled to 1. Shapes: -> (side, side, H, W)"""
    unit = (basis.order == np.arange(side * side).reshape(-1, 1, 1, 1)).astype(float)
    found = basis.synthesize(unit)[:, 0]
    return (found / np.abs(found).max(axis=(1, 2), keepdims=True)).reshape(side, side, *found.shape[1:])


if __name__ == "__main__":
    shared.run(main)
