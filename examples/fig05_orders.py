"""Fig. 5: orders of generation of one network that learnt them all: distances, sorted, and the best and the worst.

    python examples/fig05_orders.py
    python examples/fig05_orders.py --config examples/configs/paper_orders_cifar10.toml --data cifar-10-python.tar.gz \\
        --orders 100 --n 5000 --steps 128 --solver euler

Each order gets the same noise, so that it alone makes the difference. Look at the bars, one standard deviation of the
seeds: the paper finds that orders differ by much more than that. The numbers say so without looking: the standard
deviation between orders, without the part that is noise, and that within them.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import sweep, sweep_figures


def main() -> None:
    parser = shared.parser(__doc__, "digits_orders.toml", n=400, steps=27, solver="ab2", seed=0)
    parser.add_argument("--orders", type=int, default=16, help="random orders (16; the paper's: 100)")
    args = shared.measured(parser, repeats=3).parse_args()
    model = shared.trained(args)
    points = sweep.orders(model.schedule, args.orders, 0, args.steps, args.solver)
    rows = shared.swept(args, "fig05_orders", model, points)
    found = sweep.summary(rows, "frechet")
    label = f"Fréchet distance of {args.n} images"
    sweep_figures.orders(rows, "frechet", label, model, points, args.out / "fig05_orders")
    mean, deviation = np.array([*found.values()]).T
    within = np.sqrt((deviation**2).mean())
    between = np.sqrt(max(0.0, mean.var(ddof=1) - within**2 / args.repeats))
    numbers = {"best": mean.min(), "worst": mean.max(), "between": between, "within": within}
    numbers["f_statistic"] = args.repeats * mean.var(ddof=1) / within**2  # near 1 if all orders were equal
    shared.write_numbers(args, "fig05_numbers", numbers)


if __name__ == "__main__":
    shared.run(main)
