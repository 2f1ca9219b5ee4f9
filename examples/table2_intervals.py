"""Table 2: intervals of time for training (rows) and for generation (columns), chosen apart.

    python examples/table2_intervals.py                  trains five small runs of digits
    python examples/table2_intervals.py --config examples/configs/paper_bands_ffhq64.toml --data ffhq-64x64/ \\
        --n 10000 --steps 128 --repeats 1

Three numbers are where the bands S4 (finest), S3 and S2 end on the way from data to noise. In training, a band's
interval is how often it is learnt; in generation, how many of the steps it gets. The paper's best is 0.6, 0.8, 0.9 in
training (mostly the finest band) and 0.1, 0.2, 0.3 in generation (mostly the coarsest): look for the darkest cell.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import shared

from gdm import sweep

TRAINING = ((0.1, 0.2, 0.5), (0.3, 0.4, 0.7), (0.5, 0.6, 0.9), (0.6, 0.8, 0.9), (0.7, 0.8, 0.9))
PAPER = (
    (25.39, 29.47, 34.77, 25.58, 24.97, 25.98, 25.74),
    (21.38, 29.39, 34.54, 21.16, 20.63, 21.42, 21.23),
    (21.48, 31.68, 36.16, 20.74, 20.40, 20.66, 20.62),
    (19.69, 27.75, 32.83, 17.60, 17.76, 17.41, 17.55),
    (22.59, 34.21, 39.61, 20.72, 20.83, 20.31, 20.42),
)


def main() -> None:
    parser = shared.parser(__doc__, "digits_bands.toml", n=500, steps=24, solver="euler", seed=0)
    parser.add_argument("--train-steps", type=int, default=400, help="of each of the five runs; 0: the config's (400)")
    args = shared.measured(parser, repeats=1).parse_args()
    table = np.empty((len(TRAINING), len(sweep.PAPER)))
    for row, ends in enumerate(TRAINING):
        times = [0.0, *ends, 1.0]
        changes = [f"schedule.intervals={json.dumps([*zip(times, times[1:], strict=False)][::-1])}"]
        changes += [f"training.steps={args.train_steps}"] * bool(args.train_steps)
        name = "-".join(f"{end:g}" for end in ends)
        model = shared.trained(args, *changes, suffix=f"-{name}")
        points = sweep.intervals(model.schedule, None, args.steps, args.solver)
        rows = shared.swept(args, f"table2-{name}", model, points)
        table[row] = [mean for mean, _ in sweep.summary(rows, "frechet").values()]
    figure, (left, right) = shared.canvas.new_figure(11, 4.4, columns=(1, 1))
    draw(left, table, f"Fréchet distance of {args.n} images")
    draw(right, np.array(PAPER), "the paper: FID10K, FFHQ 64 x 64")
    pairs = {"training": TRAINING, "generation": sweep.PAPER, "ours": table, "paper": PAPER}
    correlation = np.corrcoef(table.ravel().argsort().argsort(), np.ravel(PAPER).argsort().argsort())[0, 1]
    shared.save(figure, args, "table2_intervals", {**pairs, "rank_correlation": correlation})


def draw(axes: Any, values: np.ndarray, title: str) -> None:
    logs = np.log(values)
    axes.imshow(logs, cmap="viridis")
    for (i, j), value in np.ndenumerate(values):
        shade = "black" if np.log(value) > (logs.min() + logs.max()) / 2 else "white"
        weight = "bold" if value == values.min() else "normal"
        axes.text(j, i, f"{value:.3g}", ha="center", va="center", fontsize=8, color=shade, weight=weight)
    names = [[", ".join(f"{end:g}" for end in ends) for ends in of] for of in (sweep.PAPER, TRAINING)]
    axes.set_xticks(range(len(names[0])), names[0], rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(names[1])), names[1], fontsize=8)
    axes.set(xlabel="generation", ylabel="training", title=title)


if __name__ == "__main__":
    shared.run(main)
