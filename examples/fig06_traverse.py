"""Fig. 6: one latent element of a low band moved from -3 to 3, in images that were sampled.

    python examples/fig06_traverse.py
    python examples/fig06_traverse.py --config examples/configs/paper_bands_ffhq.toml --data ffhq-256x256/ --elements 3 17

Each row sets one element; 0 is the mean brightness, 1 and 2 the lowest frequencies down and across. Look for rows that
change one trait of the image and no other. The numbers: how far an image moves from -3 to 3, root mean square.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import editing, encoding


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", steps=64, solver="ab2", seed=0)
    parser.add_argument("--elements", nargs="+", default=["0", "1", "2", "5"], help="frequency ranks (0 1 2 5)")
    parser.add_argument("--image", type=int, default=0, help="number of the sample (0)")
    args = parser.parse_args()
    model = shared.trained(args)
    sample = encoding.drawn(model, [args.image], seed=args.seed, steps=args.steps, solver=args.solver)
    chosen = editing.choices(model.schedule, elements=args.elements)
    made = editing.traverse(model, sample, chosen, values=np.linspace(-3, 3, 9).round(2).tolist())
    moved = np.sqrt(((made.images[:, -1] - made.images[:, 0]) ** 2).mean(axis=(1, 2, 3)))
    shared.save(made, args, "fig06_traverse", {"elements": args.elements, "moved": moved})


if __name__ == "__main__":
    shared.run(main)
