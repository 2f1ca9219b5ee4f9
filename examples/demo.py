"""Train on handwritten digits for under three minutes, then draw what the model does: `make demo`.

The pictures are those of the paper's Fig. 1: digits that appear block after block, and what happens to them
when the noise of one block is drawn anew.
"""

from __future__ import annotations

from pathlib import Path

from gdm import config, model, plots, training

CONFIG = Path("examples/configs/digits.toml")
RUN = Path("runs/demo")


def main() -> None:
    print(f"1. training {CONFIG.name} in {RUN} (Ctrl-C saves and stops; the same command goes on)")
    summary = training.train(config.load(CONFIG), RUN)
    if summary.reason == "signal":
        return
    print(f"   {summary.step} steps in {summary.seconds:.0f} s, loss {summary.loss:.3f}")

    print("2. generating 64 digits, 2 x 2 blocks one after another")
    trained = model.load(RUN)
    digits = trained.generate(64, seed=0, steps=64, solver="ab2", progress=True)
    plots.image_grid(trained.backend.to_numpy(digits), RUN / "samples.png")

    print("3. drawing how they come into being, and what each block's noise controls")
    plots.process(trained, RUN / "process.png")
    plots.group_variation(trained, RUN / "groups.png")
    plots.loss_curve(RUN, RUN / "loss.png")

    print(f"""
Look at
  {RUN}/samples.png   64 digits, generated block by block
  {RUN}/process.png   six of them, from noise on the left to data on the right
  {RUN}/groups.png    the noise of one block drawn anew per row: blocks generated before it do not move
  {RUN}/loss.png      the training

Then try (after `. .venv/bin/activate`)
  gdm sample {RUN} -n 16 --seed 1 --steps 16 --solver ab2
  gdm info {RUN}
  gdm plot schedule {CONFIG} schedule.kind=bands 'schedule.edges=[4,16]'
  gdm train {CONFIG} schedule.kind=rows schedule.groups=4 training.minutes=1 --run runs/rows""")


if __name__ == "__main__":
    main()
