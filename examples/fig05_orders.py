"""Fig. 5: orders of generation of one network that learnt them all: (a) distances, sorted; (b) the best and the worst.

    python examples/fig05_orders.py
    python examples/fig05_orders.py --config examples/configs/paper_orders_cifar10.toml --data cifar-10-python.tar.gz \\
        --orders 100 --n 5000 --steps 128 --solver euler

Each order gets the same noise, so that it alone makes the difference. Look at the error bars, one deviation of the
seeds: the paper finds that orders differ by much more than that. The last number says so without looking: the standard
deviation between orders over that within them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shared

from gdm import plots


def main() -> None:
    parser = shared.parser(__doc__, "digits_orders.toml", n=400, steps=36, solver="ab2", seed=0)
    parser.add_argument("--orders", type=int, default=24, help="random orders (24; the paper's: 100)")
    parser.add_argument("--repeats", type=int, default=3, help="seeds (3)")
    args = parser.parse_args()
    model = shared.trained(args)
    distance = shared.Distance(model)
    k = model.schedule.k
    orders = [np.random.Generator(np.random.Philox(key=i)).permutation(k) for i in range(args.orders)]
    found = np.empty((args.orders, args.repeats))
    for (i, j), _ in np.ndenumerate(found):
        schedule = model.schedule.reorder(orders[i])
        found[i, j] = distance(args.n, seed=args.seed + j, steps=args.steps, solver=args.solver, schedule=schedule)
    mean, deviation = found.mean(axis=1), found.std(axis=1, ddof=1)
    rank = np.argsort(mean)
    draw(args, mean[rank], deviation[rank], distance.name)
    for name, i in (("best", rank[0]), ("worst", rank[-1])):
        ordered = replace(model, schedule=model.schedule.reorder(orders[i]))
        path = args.out / f"fig05_{name}.png"
        plots.process(ordered, path, n=4, seed=args.seed, steps=args.steps, solver=args.solver)
    within = np.sqrt((deviation**2).mean())
    between = np.sqrt(max(0.0, mean.var(ddof=1) - within**2 / args.repeats))
    numbers = {"orders": [orders[i] for i in rank], "distances": found[rank], "between": between, "within": within}
    shared.write_numbers(args, "fig05_orders", numbers)


def draw(args: shared.argparse.Namespace, mean: np.ndarray, deviation: np.ndarray, features: str) -> None:
    figure, axes = shared.curves(6.4, 3.6)
    axes.errorbar(range(len(mean)), mean, deviation, color=shared.PALETTE[0], marker="o", linestyle="none", capsize=3)
    axes.set(xlabel="orders of generation, sorted", ylabel=f"Fréchet distance ({features})")
    axes.set_title(f"{args.n} images, {args.repeats} seeds: mean and standard deviation", fontsize="medium")
    shared.save(figure, args, "fig05_orders")


if __name__ == "__main__":
    shared.run(main)
