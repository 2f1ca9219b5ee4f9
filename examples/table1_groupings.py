"""Table 1: the four groupings of k = 2 from one trained network, side by side.

    gdm train examples/configs/cifar10_groupings.toml data.source=cifar-10-python.tar.gz
    python examples/table1_groupings.py runs/cifar10_groupings --test cifar-10-python.tar.gz --seeds 0 1 2

    gdm train examples/configs/digits_groupings.toml                                    (small, on a CPU)
    python examples/table1_groupings.py runs/digits_groupings --extractor pixels --n 500 --steps 64 --seeds 0 1 2

The paper's numbers (FID of 10,000 images, Euler, 128 steps) are printed beside ours. They are by Inception features
and by a longer training, so only the order of the four can be compared.
"""

from __future__ import annotations

import sys

import frechet

from gdm import GDMError
from gdm.config import build_groupings
from gdm.errors import ConfigError
from gdm.partition import Partition


def main() -> None:
    args = frechet.parser(__doc__, n=10_000, reference=0, steps=128, solver="euler").parse_args()
    model = frechet.load(args)
    shape = model.schedule.shape
    table = {
        "Bottom -> Top": (Partition.rows(shape, 2, "bottom-to-top"), 12.63),
        "Right -> Left": (Partition.columns(shape, 2, "right-to-left"), 13.14),
        "CDM": (Partition.lattice(shape), 14.03),
        "CDM-inv": (Partition.lattice(shape, inverse=True), 13.70),
    }
    trained = {member.partition: member for member in build_groupings(model.spec, shape).members}
    if missing := [name for name, (partition, _) in table.items() if partition not in trained]:
        remedy = "train examples/configs/cifar10_groupings.toml or digits_groupings.toml"
        raise ConfigError(f"{args.run}: expected a run on the four groupings, got none for {missing}; {remedy}")
    chosen = {name: frechet.Chosen(trained[partition], paper) for name, (partition, paper) in table.items()}
    frechet.compare(args, model, chosen, "table1")


if __name__ == "__main__":
    try:
        main()
    except GDMError as error:
        sys.exit(f"table1_groupings: {error}")
