"""Fig. 7: the bands of one real image in another: both are encoded, latents are swapped band by band, and decoded.

    python examples/fig07_mix.py
    python examples/fig07_mix.py --config examples/configs/paper_bands_ffhq.toml --data ffhq-256x256/ --images A B C D

Pairs are original and reference. Look at the columns: the reference's lowest band brings what it shows, its highest only
its grain. The numbers: how much nearer, root mean square, a mixture is to the reference than to the original (< 0: is
nearer), per band; and what encoding and decoding alone lose.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import editing, encoding


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", steps=64)
    parser.add_argument("--images", type=int, nargs="+", default=[1, 4, 3, 7, 6, 0], help="their numbers in the data")
    args = parser.parse_args()
    model = shared.trained(args)
    latents = encoding.encode(model, shared.named(model, args.images), steps=args.steps)
    made = editing.swap(model, latents, [*editing.choices(model.schedule), *editing.choices(model.schedule, ["0,1"])])
    original, reference, mixed = made.images[:, :1], made.images[:, 1:2], made.images[:, 2:]
    nearer = [np.sqrt(((mixed - end) ** 2).mean(axis=(0, 2, 3, 4))) for end in (reference, original)]
    numbers = {"bands": made.columns[2:], "nearer": nearer[0] - nearer[1], "round_trip": latents.errors}
    shared.save(made, args, "fig07_mix", numbers)


if __name__ == "__main__":
    shared.run(main)
