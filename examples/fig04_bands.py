"""Fig. 4: how many latents decide what an image is: (a) fixed ones against variance, (b) kept ones of real images.

    python examples/fig04_bands.py
    python examples/fig04_bands.py --config examples/configs/paper_bands_ffhq64.toml --data ffhq-64x64/ \\
        --phi inception

(a) fig04_variance.png: the lowest n frequencies of the latents are fixed, the others drawn anew; the variance
E ||phi(x) - E phi(x)||^2 of the images falls with n and is near its floor long before all are fixed. phi: pixels by
default here, features of VGG-19 in the paper. (b) fig04_reconstruct.png: real images decoded from a part of their latents.
"""

from __future__ import annotations

import numpy as np
import shared

from gdm import editing, encoding
from gdm.analysis.variance import perceptual_variance


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", n=6, steps=64, solver="ab2", seed=0)
    parser.add_argument("--phi", default="pixels", help="pixels, efficientnet-lite0, inception (pixels)")
    args = parser.parse_args()
    model = shared.trained(args)
    variance(args, model)
    total = model.schedule.shape[-1] * model.schedule.shape[-2]
    ends = sorted({max(1, round(total * share)) for share in (0.05, 0.15, 0.3, 0.5, 0.75)})
    chosen = editing.choices(model.schedule, elements=[f"0:{end}" for end in ends])
    latents = encoding.encode(model, shared.named(model, range(args.n)), steps=args.steps)
    made = editing.reconstruct(model, latents, chosen, seed=args.seed)
    gaps = np.sqrt(((made.images[:, 1:] - made.images[:, :1]) ** 2).mean(axis=(0, 2, 3, 4)))
    numbers = {"kept": ends, "of": total, "rms": gaps, "round_trip": latents.errors}
    shared.save(made, args, "fig04_reconstruct", numbers)


def variance(args: shared.argparse.Namespace, model: shared.Model) -> None:
    extractor = shared.extractors.get(args.phi)
    sampling = {"steps": args.steps, "solver": args.solver, "seed": args.seed}
    found = perceptual_variance(
        model, by="elements", features=lambda x: extractor(shared.to_bytes(x)), anchors=8, variations=12, **sampling
    )
    value, error = found.mean
    figure, axes = shared.canvas.new_chart(5.4, 3.6)
    axes.errorbar(found.fixed, value, error, color=shared.PALETTE[0], marker="o", capsize=3)
    axes.set(xlabel="fixed latents of lowest frequency, per channel", ylim=(0, None))
    axes.set_ylabel(r"$E\,\|\phi(x) - E\,\phi(x)\|^2$, " + f"$\\phi$: {args.phi}")
    shared.save(figure, args, "fig04_variance", {"fixed": found.fixed, "variance": value, "error": error})


if __name__ == "__main__":
    shared.run(main)
