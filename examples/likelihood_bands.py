"""Bits per dimension of each frequency band, which the paper does not have: what each level of detail costs.

    python examples/likelihood_bands.py
    python examples/likelihood_bands.py --config examples/configs/paper_bands_ffhq64.toml --data ffhq-64x64/

log p(x) is the sum over bands of log p(band | the bands before), each an integral along the band's part of the flow.
Low bands are few numbers, each expensive; high ones many and cheap. Bars: mean over images and its standard error;
beside them, what each number alone would take as a Gaussian: how much the model knows of them from one another.
"""

from __future__ import annotations

import math

import numpy as np
import shared

from gdm.analysis.bits import SCALE, bits, dequantise
from gdm.names import group_names


def main() -> None:
    args = shared.parser(__doc__, "digits_bands.toml", n=64, steps=64, solver="heun", seed=0).parse_args()
    model = shared.trained(args)
    everything, schedule = shared.real(model), model.schedule
    images = everything[np.linspace(0, len(everything) - 1, args.n).astype(int)]
    found = bits(model, images, steps=args.steps, solver=args.solver, seed=args.seed)
    value, error = found.groups
    x = schedule.basis.analyze(dequantise(everything, args.seed).astype(np.float64)).reshape(len(everything), -1)
    labels = schedule.partition.labels.ravel()
    alone = 0.5 * np.log2(2 * math.pi * math.e * x.var(axis=0)) + math.log2(SCALE)
    gaussian = np.array([alone[labels == j].mean() for j in range(schedule.k)])
    names = [
        f"[{name.replace(':', ', ')})\n{size} numbers"
        for name, size in zip(group_names(schedule), found.sizes, strict=True)
    ]
    figure, axes = shared.canvas.new_chart(6.4, 3.8)
    places = np.arange(schedule.k)
    axes.bar(places - 0.2, value, 0.38, yerr=error, capsize=3, color=shared.PALETTE[0], label="given the bands before")
    axes.bar(places + 0.2, gaussian, 0.38, color=shared.PALETTE[4], label="each number alone, as a Gaussian")
    axes.set_xticks(places, names)
    axes.set(ylabel="bits per dimension", title=f"{found.total.value:.2f} ± {found.total.error:.2f} bits per dimension")
    axes.set_axisbelow(True)
    axes.set_ylim(0, 1.3 * max(*value, *gaussian))
    axes.legend(frameon=False, loc="upper right")
    numbers = {"bits": value, "error": error, "gaussian": gaussian, "total": found.total, "sizes": found.sizes}
    shared.save(figure, args, "likelihood_bands", numbers)


if __name__ == "__main__":
    shared.run(main)
