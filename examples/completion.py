"""Completion, which the paper does not have: any known part of an image, and several ways to go on from it.

    python examples/completion.py                                in blocks, and from a coarse image by a cascade
    python examples/completion.py --run runs/photos --cascade-run runs/cascade

A network that learnt random orders can take the known blocks as those generated first: nothing is trained for it. Each
row keeps a part (outlined), and draws the rest five times. Known pixels come back to the bit: the numbers count those
that do not. The last row starts from every second pixel of every second row, as upscaling does.
"""

from __future__ import annotations

import copy

import numpy as np
import shared

from gdm import completing
from gdm.completing import known_first
from gdm.panels import Panels
from gdm.pixels import to_uint8


def main() -> None:
    parser = shared.parser(__doc__, "digits_orders.toml", n=5, steps=72, solver="ab2", seed=0)
    parser.add_argument("--regions", nargs="+", default=["top", "left", "centre", "border"], help="what is known")
    parser.add_argument("--cascade", default="digits_groupings.toml", help="config of the run with a cascade")
    parser.add_argument("--cascade-run", type=shared.Path, help="that run (runs/NAME OF THE CONFIG)")
    args = parser.parse_args()
    other = copy.copy(args)
    other.config, other.run = shared.CONFIGS / args.cascade, args.cascade_run
    blocks, cascade = shared.trained(args), shared.trained(other)
    chosen = [(blocks, region) for region in args.regions] + [(cascade, "coarse")]
    images, masks, numbers = [], [], {}
    for number, (model, region) in enumerate(chosen):
        known = known_first(model, region)
        given = shared.named(model, [number])
        sampling = {"seed": args.seed, "steps": args.steps, "solver": args.solver}
        made = completing.complete(model, given, known, n=args.n, **sampling)
        images.append(made.images[0])
        masks.append(known.coordinates.all(axis=0) & (model is blocks))  # a lattice would be lines alone
        gap = np.abs(to_uint8(made.images[0, 2:]).astype(int) - given.images)[:, known.coordinates]
        numbers[region] = {
            "known": int(known.coordinates.sum()),
            "differ": int((gap > 0).sum()),
            "taught": known.taught,
        }
    columns = ("image", "known", *(f"no. {i + 1}" for i in range(args.n)))
    rows = tuple(region for _, region in chosen)
    made = Panels(np.stack(images), rows, columns, "the rest drawn given what is known", masks=masks, outlined=2)
    shared.save(made, args, "completion", numbers)


if __name__ == "__main__":
    shared.run(main)
