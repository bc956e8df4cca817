"""The reference systems as published and Glyphline, in turns on one machine: seconds, ratio, memory, accuracy.

python -m benchmarks.side_by_side                                                   # the bundled digits, minutes
GLYPHLINE_MIRROR=... python -m benchmarks.side_by_side --dataset mnist --rounds 1   # the whole of MNIST, an hour

Both are timed as processes, from their start to the saved network. The plain ones train on all training images and
watch the test set; Glyphline's stage trains on its train split and watches its validation split, as in `dvc repro`.
With --validation-fraction 0.001 it trains on nearly as many images as they do. Where a machine's speed drifts,
--epochs 4 takes shorter turns, so that more of them say how far the ratio can be trusted.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import arithmetic
from benchmarks.processes import REPOSITORY, Measured, measure, prepare, python
from glyphline import paths
from glyphline.config import load_params
from glyphline.data.records import dataset_names

REFERENCES = ("original", "convnet", "mlp")
OURS = ("fast", "best")  # beside plain original
ROUGHER = "{}_bfloat16"  # the same variant, computed in bfloat16

# Of each pair the plain system and the variant that is set against it.
PAIRS = (
    {name: (name, name) for name in REFERENCES}
    | {ROUGHER.format(name): (name, ROUGHER.format(name)) for name in REFERENCES}
    | {name: ("original", name) for name in OURS}
)


def variants(epochs: int | None) -> dict[str, dict[str, Any]]:
    """Those of params.yaml, and those of the references in bfloat16; the references' epochs replaced."""
    known = {name: variant.model_dump() for name, variant in load_params(REPOSITORY / paths.PARAMS).variants.items()}
    references = {name: known[name] | ({"epochs": epochs} if epochs else {}) for name in REFERENCES}
    rougher = {ROUGHER.format(name): variant | {"precision": "bfloat16"} for name, variant in references.items()}
    return known | references | rougher


def alternate(folder: Path, pairs: Sequence[str], rounds: int, epochs: int | None) -> dict[str, list[Measured]]:
    """Every process that the pairs need, once a round, by name. A plain system that two pairs share runs once.

    epochs: of the plain systems; None: as the study.
    """
    shorter = ["--epochs", str(epochs)] if epochs else []
    systems = list(dict.fromkeys(PAIRS[pair][0] for pair in pairs))
    ours = list(dict.fromkeys(PAIRS[pair][1] for pair in pairs))
    commands = {
        f"plain {name}": python("benchmarks.plain", name, "--data", "data/raw", "--model", f"{name}.keras", *shorter)
        for name in systems
    } | {name: python("stages.train", name) for name in ours}
    measured: dict[str, list[Measured]] = defaultdict(list)
    for count in range(1, rounds + 1):
        for name, command in commands.items():
            measured[name].append(measure(command, folder))
            print(f"round {count}: {name}: {measured[name][-1].seconds:.1f} s", flush=True)
    return measured


def judge(folder: Path, variants: Sequence[str]) -> dict[str, float]:
    """Test accuracies of the variants trained in the folder."""
    accuracies = {}
    for variant in variants:  # evaluate judges all variants of params.yaml, and not all need be trained here
        result = measure(python("benchmarks.accuracy", f"models/{variant}.keras"), folder)
        accuracies[variant] = float(result.output.split()[-1])
    return accuracies


def table(measured: dict[str, list[Measured]], accuracies: dict[str, float], pairs: Sequence[str]) -> str:
    """One row a pair, as Markdown: medians, and the ratio of each round with its range."""
    lines = [
        "| plain Keras | seconds | accuracy, % | peak | Glyphline | seconds | accuracy, % | peak | ratio | range |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for pair in pairs:
        system, variant = PAIRS[pair]
        theirs, ours = measured[f"plain {system}"], measured[variant]
        ratios = [mine.seconds / his.seconds for his, mine in zip(theirs, ours, strict=True)]
        found = re.search(r"test accuracy ([0-9.]+)", theirs[-1].output)
        assert found
        cells = [
            f"`{system}`",
            *_cells(theirs, float(found[1])),
            f"`{variant}`",
            *_cells(ours, accuracies[variant]),
            f"{median(ratios):.3f} (1/{1 / median(ratios):.1f})",
            f"{min(ratios):.3f} to {max(ratios):.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shares(folder: Path, variants: Sequence[str]) -> str:
    """One row a variant, as Markdown: what its training computes in a second, beside a large matrix product."""
    params = load_params(folder / paths.PARAMS)
    limits = {
        precision: arithmetic.matrix_product(precision)
        for precision in dict.fromkeys(params.variants[variant].precision for variant in variants)
    }
    lines = [
        "| variant | precision | thousand million operations a second | of a matrix product's | share |",
        "|---|---|---|---|---|",
    ]
    for variant in variants:
        precision = params.variants[variant].precision
        reached, limit = arithmetic.of_training(folder, variant), limits[precision]
        lines.append(f"| `{variant}` | {precision} | {reached / 1e9:.0f} | {limit / 1e9:.0f} | {reached / limit:.0%} |")
    return "\n".join(lines)


def _cells(runs: list[Measured], accuracy: float) -> list[str]:
    seconds = median(run.seconds for run in runs)
    peak = max(run.peak_bytes for run in runs)
    return [f"{seconds:.1f}", f"{100 * accuracy:.2f}", f"{peak / 2**30:.2f} GiB"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", metavar="PAIR", help=f"of {', '.join(PAIRS)}; all if none is named")
    parser.add_argument("--dataset", choices=dataset_names(), default="mnist-5k", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    fraction = load_params(REPOSITORY / paths.PARAMS).preprocess.validation_fraction
    parser.add_argument("--validation-fraction", type=float, default=fraction, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, help="of both sides, which then are one network; default: as the study")
    arguments = parser.parse_args()
    pairs = arguments.pairs or list(PAIRS)
    if unknown := set(pairs) - set(PAIRS):
        parser.error(f"no such pair: {', '.join(sorted(unknown))}; there are {', '.join(PAIRS)}")
    if arguments.epochs and (unequal := set(pairs) & set(OURS)):
        parser.error(
            f"--epochs: {', '.join(sorted(unequal))} and original are two networks, each with epochs of its own"
        )
    preprocess = {"validation_fraction": arguments.validation_fraction}
    changes = {"dataset": arguments.dataset, "preprocess": preprocess, "variants": variants(arguments.epochs)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            prepare(folder, changes)
        except RuntimeError as error:
            parser.error(str(error).splitlines()[-1])
        measured = alternate(folder, pairs, arguments.rounds, arguments.epochs)
        trained = list(dict.fromkeys(PAIRS[pair][1] for pair in pairs))
        accuracies = judge(folder, trained)
        card = json.loads((folder / "data/raw/dataset.json").read_text(encoding="utf-8"))
        print(f"\n{card['title']}, {arguments.rounds} rounds:\n\n{table(measured, accuracies, pairs)}")
        print(f"\n{shares(folder, trained)}")


if __name__ == "__main__":
    main()
