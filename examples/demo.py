"""Train on handwritten digits for under three minutes, then draw what the model does: `make demo`.

The pictures are those of the paper's Fig. 1: digits that appear block after block, and what happens to them
when the noise of one block is drawn anew.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

# Before any framework loads. So small a network gains little from more threads, and on a machine that does other
# things too, threads that wait for one another cost it a lot.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from gdm import GDMError, canvas, config, loading, plots, training

CONFIG = Path("examples/configs/digits.toml")
RUN = Path("runs/demo")
say = functools.partial(print, flush=True)  # in step with the progress bars, in a log file too


def main() -> None:
    say(f"1. training {CONFIG.name} in {RUN} (Ctrl-C saves and stops; the same command goes on)")
    summary = training.train(config.load(CONFIG), RUN)
    if summary.reason == "signal":
        return
    say(f"   {summary.step} steps in {summary.seconds:.0f} s, loss {summary.loss:.3f}")

    say("2. generating 64 digits, 2 x 2 blocks one after another")
    trained = loading.load(RUN)
    digits = trained.generate(64, seed=0, steps=64, solver="ab2", progress=True)
    canvas.image_grid(trained.backend.to_numpy(digits), RUN / "samples.png")

    say("3. drawing how they come into being, and what each block's noise controls")
    plots.process(trained, RUN / "process.png")
    plots.group_variation(trained, RUN / "groups.png")
    plots.run_curves(RUN, RUN / "run.png")

    say(f"""
Look at
  {RUN}/samples.png   64 digits, generated block by block
  {RUN}/process.png   six of them, from noise on the left to data on the right
  {RUN}/groups.png    the noise of one block drawn anew per row: blocks generated before it do not move
  {RUN}/run.png       the training: loss, learning rate, speed

Then try (after `. .venv/bin/activate`)
  gdm sample {RUN} -n 16 --seed 1 --steps 16 --solver ab2
  gdm info {RUN}
  gdm plot schedule {CONFIG} schedule.kind=bands 'schedule.edges=[4,16]'
  gdm train {CONFIG} schedule.kind=rows schedule.groups=4 training.minutes=1 --run runs/rows""")


if __name__ == "__main__":
    try:
        main()
    except GDMError as error:
        sys.exit(f"demo: {error}")
