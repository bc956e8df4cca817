"""How often the test on the test images alone calls two trainings of one variant different that differ by their seed.

dvc exp run -S variants.mlp.seeds=12
python -m benchmarks.seed_noise mlp
"""

from __future__ import annotations

import argparse
from itertools import combinations

import numpy as np

from benchmarks.processes import machine_line
from glyphline import paths
from glyphline.evaluation.significance import SIGNIFICANCE, compare
from glyphline.model.inference import probabilities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", metavar="VARIANT", help="a variant that was trained with several seeds")
    variants = parser.parse_args().variants
    with np.load(paths.RAW_TEST) as raw:
        images, labels = raw["images"], raw["labels"]
    print(f"{machine_line()}\n")
    print("| variant | seeds | accuracy, %: mean ± sd | pairs | of them p < 0.05 by the images alone |")
    print("|---|---|---|---|---|")
    for variant in variants:
        models = [paths.model(variant), *sorted(paths.seed_models(variant).glob("*.keras"))]
        right = [probabilities(model, images).argmax(axis=1) == labels for model in models]
        accuracies = 100 * np.array([flags.mean() for flags in right])
        pairs = list(combinations(right, 2))
        alarms = sum(compare(*pair).p_value < SIGNIFICANCE for pair in pairs)
        spread = f"{accuracies.mean():.2f} ± {accuracies.std(ddof=1):.2f}"
        print(
            f"| `{variant}` | {len(models)} | {spread} | {len(pairs)} | {alarms} ({100 * alarms / len(pairs):.0f} %) |"
        )


if __name__ == "__main__":
    main()
