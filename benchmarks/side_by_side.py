"""The reference systems as published and Glyphline, in turns on one machine: seconds, ratio, memory, accuracy.

python -m benchmarks.side_by_side                                        # the bundled digits, minutes
GLYPHLINE_MIRROR=... python -m benchmarks.side_by_side --dataset mnist   # the whole of MNIST, hours

Both are timed as processes, from their start to the saved network. Both train on five sixths of the training images and
are watched on the same last sixth; the test set is read when all is measured. In every second round the order is the
other way round. Where a machine's speed drifts, --epochs 4 takes shorter turns, so that more of them say how far the
ratio can be trusted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import arithmetic
from benchmarks.processes import (
    REPOSITORY,
    Measured,
    equally,
    in_turns,
    machine_line,
    measure,
    prepare,
    python,
)
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


def commands(pairs: Sequence[str], epochs: int | None) -> dict[str, list[str]]:
    """Every process that the pairs need, by name. A plain system that several pairs share is there once.

    epochs: of the plain systems; None: as the study.
    """
    shorter = ["--epochs", str(epochs)] if epochs else []
    found = {}
    for system, variant in (PAIRS[pair] for pair in pairs):
        files = ["--data", str(paths.PREPARED), "--model", str(paths.model(f"plain {system}"))]
        found[f"plain {system}"] = python("benchmarks.plain", system, *files, *shorter)
        found[variant] = python("stages.train", variant)
    return found


def judge(folder: Path, names: Sequence[str]) -> dict[str, float]:
    """Test accuracies of the networks of these names, which lie in the folder."""
    # evaluate judges all variants of params.yaml, and not all need be trained here
    files = {name: str(paths.model(name)) for name in names}
    output = measure(python("benchmarks.accuracy", *files.values()), folder).output
    found = dict(line.rsplit(": ", 1) for line in output.splitlines() if ": " in line)
    return {name: float(found[file]) for name, file in files.items()}


def table(folder: Path, measured: dict[str, list[Measured]], pairs: Sequence[str]) -> str:
    """One row a pair, as Markdown: medians, and the ratio of each round with its range."""
    lines = [
        "| plain Keras | seconds | accuracy, % | peak | Glyphline | seconds | accuracy, % | peak | ratio | range |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    accuracies = judge(folder, list(measured))
    for system, variant in (PAIRS[pair] for pair in pairs):
        theirs, ours = measured[f"plain {system}"], measured[variant]
        ratios = [mine.seconds / his.seconds for his, mine in zip(theirs, ours, strict=True)]
        cells = [
            f"`{system}`",
            *_cells(theirs, accuracies[f"plain {system}"]),
            f"`{variant}`",
            *_cells(ours, accuracies[variant]),
            f"{median(ratios):.3f} (1/{1 / median(ratios):.1f})",
            f"{min(ratios):.3f} to {max(ratios):.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shares(folder: Path, variants: Sequence[str]) -> str:
    """One row a variant, as Markdown: what its training computes in a second, beside a large matrix product."""
    metrics = {name: json.loads((folder / paths.train_metrics(name)).read_text(encoding="utf-8")) for name in variants}
    precisions = {name: metrics[name]["precision"] for name in variants}
    limits = {precision: arithmetic.matrix_product(precision) for precision in dict.fromkeys(precisions.values())}
    lines = [
        "| variant | precision | thousand million operations a second | of a matrix product's | share |",
        "|---|---|---|---|---|",
    ]
    for variant in variants:
        reached, limit = arithmetic.of_training(folder, variant), limits[precisions[variant]]
        lines.append(
            f"| `{variant}` | {precisions[variant]} | {reached / 1e9:.0f} | {limit / 1e9:.0f} | {reached / limit:.0%} |"
        )
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
    parser.add_argument("--epochs", type=int, help="of both sides, which then are one network; default: as the study")
    arguments = parser.parse_args()
    pairs = arguments.pairs or list(PAIRS)
    if unknown := set(pairs) - set(PAIRS):
        parser.error(f"no such pair: {', '.join(sorted(unknown))}; there are {', '.join(PAIRS)}")
    if arguments.epochs and (unequal := set(pairs) & set(OURS)):
        parser.error(
            f"--epochs: {', '.join(sorted(unequal))} and original are two networks, each with epochs of its own"
        )
    changes = {"dataset": arguments.dataset, "variants": variants(arguments.epochs)}
    print(machine_line())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            prepare(folder, equally(changes))
        except RuntimeError as error:
            parser.error(str(error).splitlines()[-1])
        measured = in_turns(commands(pairs, arguments.epochs), folder, arguments.rounds)
        card = json.loads((folder / paths.DATASET_CARD).read_text(encoding="utf-8"))
        print(f"\n{card['title']}, {arguments.rounds} rounds:\n\n{table(folder, measured, pairs)}")
        print(f"\n{shares(folder, list(dict.fromkeys(PAIRS[pair][1] for pair in pairs)))}")


if __name__ == "__main__":
    main()
