"""Fig. 9: variations of a real image: its lowest bands are fixed, the latents of all others drawn anew.

    python examples/fig09_variation.py
    python examples/fig09_variation.py --config examples/configs/paper_bands_ffhq.toml --data ffhq-256x256/

One row per image and number of fixed bands. The more bands are fixed, the nearer the variations are to the image: what
they share is what these bands decide. The numbers: distance to the image, root mean square, per number of bands.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import editing, encoding


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", n=7, steps=64, seed=0)
    parser.add_argument(
        "--images", type=int, nargs="+", default=[3, 16], help="numbers of the images in the data (3 16)"
    )
    args = parser.parse_args()
    model = shared.trained(args)
    encoded = encoding.encode(model, shared.named(model, args.images), steps=args.steps)
    made = editing.resample(model, encoded, fixed=True, n=args.n, seed=args.seed)
    away = ((made.images[:, 1:] - made.images[:, :1]) ** 2).mean(axis=(1, 2, 3, 4)).reshape(len(args.images), -1)
    made = made._replace(rows=tuple(name.split(" ", 2)[-1] for name in made.rows))  # the image is in the first column
    shared.save(
        made, args, "fig09_variation", {"fixed_bands": range(1, away.shape[1] + 1), "rms": np.sqrt(away.mean(0))}
    )


if __name__ == "__main__":
    shared.run(main)
