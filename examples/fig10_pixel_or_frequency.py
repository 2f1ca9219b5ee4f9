"""Fig. 10: GDM-F with a network that sees and predicts pixels (left) or frequencies (right, network.space).

    python examples/fig10_pixel_or_frequency.py           trains both on digits
    python examples/fig10_pixel_or_frequency.py --run runs/faces --frequency-run runs/faces_frequency

The same bands, sizes, steps and noise; one word of the config differs. The paper finds pixels clearly better, as
convolutions are not made for frequencies. The numbers: Frechet distances to the data, per seed.
"""

from __future__ import annotations

import copy

import numpy as np
import shared

from gdm.canvas import in_rows, lay_out, pictures, show_sheet
from gdm.sweep import Point


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", n=500, steps=48, solver="ab2", seed=0)
    parser.add_argument("--frequency", default="digits_bands_frequency.toml", help="config of the other run")
    parser.add_argument("--frequency-run", type=shared.Path, help="the other run (runs/NAME OF THE CONFIG)")
    args = shared.measured(parser, repeats=3).parse_args()
    other = copy.copy(args)
    other.config, other.run = shared.CONFIGS / args.frequency, args.frequency_run
    figure, axes = shared.grid(1, 2, cell=3.6)
    numbers = {}
    for one, (name, chosen) in zip(axes[0], {"pixel space": args, "frequency space": other}.items(), strict=True):
        model = shared.trained(chosen)
        sampling = {"steps": args.steps, "solver": args.solver}
        made = model.backend.to_numpy(model.generate(36, seed=args.seed, **sampling))
        show_sheet(one, lay_out(in_rows(pictures(made), 6, 0)))
        distance, point = shared.frechet(args, model), Point(name, model.schedule, args.steps, args.solver)
        numbers[name] = [distance(shared.fast(model), point, args.seed + i) for i in range(args.repeats)]
        one.set_title(f"{name}: Fréchet distance {np.mean(numbers[name]):.2f}", fontsize="medium")
    shared.save(figure, args, "fig10_pixel_or_frequency", numbers)


if __name__ == "__main__":
    shared.run(main)
