"""Fig. 5: several orders of generation from one network that was trained on random orders, side by side.

    gdm train examples/configs/fashion.toml data.source=FOLDER
    python examples/fashion_orders.py runs/fashion --test FOLDER
    python examples/fashion_orders.py RUN --orders 0,1,2,3 1,0,3,2 --random 20      (any run on blocks)

FOLDER holds the four IDX files, of both parts. An order lists the blocks, numbered row by row, in order of generation.
"""

from __future__ import annotations

import sys

import frechet
import numpy as np

from gdm import GDMError
from gdm.config import build_groupings
from gdm.errors import ConfigError

ORDERS = ("0,1,2,3", "3,2,1,0", "0,3,1,2")  # rows from above, from below, one diagonal after the other


def main() -> None:
    parser = frechet.parser(__doc__, n=2000, reference=5000, steps=32, solver="ab2")
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), help=f"block numbers ({' '.join(ORDERS)})")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="and so many random orders, always the same")
    args = parser.parse_args()
    model = frechet.load(args)
    schedule = build_groupings(model.spec, model.schedule.shape).members[0]
    drawn = (np.random.Generator(np.random.Philox(key=i)).permutation(schedule.k) for i in range(args.random))
    orders = [*map(_numbers, args.orders), *(order.tolist() for order in drawn)]
    chosen = {",".join(map(str, order)): frechet.Chosen(schedule.reorder(order)) for order in orders}
    frechet.compare(args, model, chosen, "orders")


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--orders: expected block numbers such as {ORDERS[0]}, got {text!r}") from error


if __name__ == "__main__":
    try:
        main()
    except GDMError as error:
        sys.exit(f"fashion_orders: {error}")
