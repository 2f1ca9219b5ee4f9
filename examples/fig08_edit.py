"""Fig. 8: a real image edited: encoded, one latent element moved from -3 to 3, decoded.

    python examples/fig08_edit.py
    python examples/fig08_edit.py --config examples/configs/paper_bands_ffhq.toml --data ffhq-256x256/ --elements 3 17

As fig06_traverse, but of images of the data, which stand on the left.
The numbers: the value that each image has there, which decodes to the image, and what encoding and decoding lose.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import editing, encoding, latents


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", steps=64)
    parser.add_argument(
        "--images", type=int, nargs="+", default=[3, 16], help="numbers of the images in the data (3 16)"
    )
    parser.add_argument("--elements", nargs="+", default=["1", "2"], help="frequency ranks (1 2)")
    args = parser.parse_args()
    model = shared.trained(args)
    images = shared.real(model, args.images)
    encoded = encoding.encode(model, images, steps=args.steps)
    chosen = editing.choices(model.schedule, elements=args.elements)
    made = editing.traverse(model, encoded, chosen, values=np.linspace(-3, 3, 9).round(2).tolist())
    own = shared.unit(images).repeat(len(chosen), axis=0)[:, None]
    made = made._replace(images=np.concatenate([own, made.images], axis=1), columns=("real", *made.columns))
    made = made._replace(rows=tuple(name.split(" ", 2)[-1] for name in made.rows), latents=None)
    coordinates = model.schedule.basis.analyze(encoded.z)
    masks = [latents.selection(model.schedule, elements=choice.elements) for choice in chosen]
    numbers = {"elements": args.elements, "own": [coordinates[:, mask] for mask in masks], "lost": encoded.errors}
    shared.save(made, args, "fig08_edit", numbers)


if __name__ == "__main__":
    shared.run(main)
