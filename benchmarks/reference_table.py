"""The metrics of the current directory's run beside the published figures of the reference studies, as Markdown.

GLYPHLINE_MIRROR=/path/to/files dvc exp run -S dataset=mnist
python -m benchmarks.reference_table
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import machine_line
from glyphline import paths


@dataclass(frozen=True)
class Published:
    """What a study reports on the MNIST test set: accuracy in per cent, and the loss where it does."""

    study: str
    accuracy: float
    loss: float | None = None


PUBLISHED = {
    "original": Published("R1", 99.31, 0.0293),
    "small": Published("R1", 99.03),
    "l2": Published("R1", 99.14, 0.0390),
    "small_l2": Published("R1", 99.14, 0.0329),
    "pooled": Published("R2", 98.66, 0.0631),
    "adadelta": Published("R3", 99.0),
    "adadelta_dropout": Published("R3", 99.07, 0.0289),
    "mlp": Published("R4", 98.25),
    "convnet": Published("R4", 99.18),
}


def table(folder: Path, with_published: bool) -> str:
    """One row a variant. Accuracies in per cent with 95 % intervals, differences in points, seconds of the stage."""
    scores = _read(folder / paths.TEST_METRICS)
    header = ["variant", "test accuracy, %", "95 % interval", "loss", "epochs", "seconds"]
    if with_published:
        header[1:1] = ["study", "published, %", "difference, points", "published loss"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for variant, score in scores.items():
        train = _read(folder / paths.train_metrics(variant))
        record = folder / paths.RUNS / f"train@{variant}.json"
        cells = [
            f"`{variant}`",
            f"{score['accuracy']:.2%}".rstrip("%"),
            f"{score['accuracy_low']:.2%} to {score['accuracy_high']:.2%}".replace("%", ""),
            f"{score['loss']:.4f}",
            str(train["epochs"]),
            f"{_read(record)['seconds']:.0f}" if record.is_file() else "",
        ]
        if with_published:
            cells[1:1] = _published_cells(PUBLISHED.get(variant), 100 * score["accuracy"])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _published_cells(published: Published | None, accuracy: float) -> list[str]:
    if published is None:
        return ["", "", "", ""]
    difference = f"{accuracy - published.accuracy:+.2f}"
    loss = "" if published.loss is None else f"{published.loss:.4f}"
    return [published.study, f"{published.accuracy:.2f}", difference, loss]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="a clone in which the pipeline has run")
    arguments = parser.parse_args()
    dataset = _read(arguments.folder / paths.DATASET_CARD)
    records = [_read(path) for path in sorted((arguments.folder / paths.RUNS).glob("train@*.json"))]
    print("\n".join(dict.fromkeys(machine_line(record["machine"]) for record in records)))
    print(f"{dataset['title']}:\n\n{table(arguments.folder, with_published=dataset['name'] == 'mnist')}")


if __name__ == "__main__":
    main()
