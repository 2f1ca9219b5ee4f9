"""Fig. 1b and 1c: images generated block by block, and one block's latents drawn anew at a time.

    python examples/fig01_blocks.py
    python examples/fig01_blocks.py --config examples/configs/paper_blocks_afhq.toml --data afhq-64x64/

fig01_blocks.png: each row is one image, from noise on the left to data on the right, a block at a time.
fig01_variation.png: in row j only the latents of block j are drawn anew (outlined). The blocks generated before it do
not move: not at all, as the network does not see latents of blocks to come (training.mask_pending). Those after it may.
The numbers: how far image block (column) moves when a latent block (row) is drawn anew, root mean square.
"""

from __future__ import annotations

import shared

from gdm import plots
from gdm.analysis.influence import influence


def main() -> None:
    args = shared.parser(__doc__, "digits_orders.toml", n=6, steps=72, solver="ab2", seed=0).parse_args()
    model = shared.trained(args)
    sampling = {"steps": args.steps, "solver": args.solver, "seed": args.seed}
    for suffix in (".png", ".pdf"):
        plots.process(model, args.out / f"fig01_blocks{suffix}", n=args.n, **sampling)
        plots.group_variation(model, args.out / f"fig01_variation{suffix}", **sampling)
    found = influence(model, n=32, **sampling)
    names = {"rms": found.rms.tolist(), "leak_to_earlier_groups": float(found.leak)}
    shared.write_numbers(args, "fig01_blocks", names)


if __name__ == "__main__":
    shared.run(main)
