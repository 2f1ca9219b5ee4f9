"""Fig. 3: one band of latents turned into another image's, the others fixed.

    python examples/fig03_interpolate.py
    python examples/fig03_interpolate.py --config examples/configs/paper_bands_ffhq.toml --data afhq-256x256/

Each row interpolates one band, spherically. Look down the rows: the lowest band changes what the image is (here the
digit), the middle ones its shape, the highest hardly anything. The numbers: how far the image moves from the first
column to the last, root mean square per band of latents.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import editing, encoding


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", n=9, steps=64, solver="ab2", seed=0)
    parser.add_argument("--pair", type=int, nargs=2, default=[5, 24], help="numbers of the samples (5 24)")
    args = parser.parse_args()
    model = shared.trained(args)
    pairs = encoding.drawn(model, args.pair, seed=args.seed, steps=args.steps, solver=args.solver)
    made = editing.interpolate(model, pairs, n=args.n)
    many = encoding.drawn(model, range(64), seed=args.seed, steps=args.steps, solver=args.solver)
    ends = editing.interpolate(model, many, n=2).images.astype(float)  # rows: bands of the first pair, of the second...
    moved = ((ends[:, 1] - ends[:, 0]) ** 2).mean(axis=(1, 2, 3)).reshape(-1, model.schedule.k)
    numbers = {"bands": made.rows, "moved": np.sqrt(moved.mean(axis=0)), "pairs": len(moved)}
    shared.save(made, args, "fig03_interpolate", numbers)


if __name__ == "__main__":
    shared.run(main)
