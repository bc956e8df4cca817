"""Time the search beside KerasTuner's random search: the same trials, data and machine, one after the other.

Study R5 searched Kuzushiji-49 with KerasTuner: ten trials of ten epochs, 193,818 images to train on and 38,547 to
validate, 40 min 41 s on a GPU notebook. The images here are made up (printed kana), which changes accuracies and not
speed. KerasTuner gets the hyper-parameters that Glyphline draws, so that both train the same ten networks; what is
compared is all that happens from the start of the process to its end, in every second round KerasTuner's first. Without
--stopping both train every epoch; with it Keras' EarlyStopping ends KerasTuner's trials by the rule that ends ours.
Made-up images are learnt too easily to tell what stopping saves: for that there is --dataset.

    make bench
    GLYPHLINE_MIRROR=... python -m benchmarks.search_speed --dataset mnist --stopping plateau
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks import processes
from benchmarks.kuzushiji_stand_in import draw
from glyphline import paths
from glyphline.config import load_params
from glyphline.data.records import dataset_names, load_dataset
from stages.preprocess import save_split

R5_TRAIN, R5_VALIDATION = 193_818, 38_547
R5_SECONDS = 40 * 60 + 41
SEED = 49
NAME = "tuned"  # the search whose space is R5's


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """Write params.yaml with search `tuned` of this repository's, and data/prepared, into a folder."""
    search = YAML(typ="safe").load(paths.PARAMS.read_text(encoding="utf-8"))["searches"][NAME]
    search |= {"trials": arguments.trials, "stopping": arguments.stopping}
    search["fixed"]["epochs"] = arguments.epochs
    values = {"searches": {NAME: search}, "workers": arguments.workers}
    if arguments.dataset is not None:
        processes.prepare(folder, processes.equally({"dataset": arguments.dataset} | values))
        return
    processes.write_params(folder, values)
    class_names = load_dataset("k49").class_names
    images, labels = draw(class_names, arguments.train + arguments.validation, np.random.default_rng(SEED))
    ends = {"train": (0, arguments.train), "validation": (arguments.train, len(labels))}
    for name, (start, end) in ends.items():
        save_split(folder / paths.PREPARED / name, images, labels, np.arange(start, end), len(class_names))


def search_with_keras_tuner() -> None:
    """In a folder made by prepare(): the same search as a user of KerasTuner writes it. Prints the best accuracy."""
    import keras
    import keras_tuner
    import optuna

    from glyphline.search.space import suggest
    from glyphline.search.study import sampler

    params = load_params(paths.PARAMS)
    search = params.searches[NAME]
    study = optuna.create_study(sampler=sampler(search, params.seed))
    draws = [suggest(study.ask(), search.space) for _ in range(search.trials)]

    class OurDraws(keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
        def populate_space(self, trial_id: str) -> dict[str, Any]:
            found = draws[int(trial_id)]
            units = {f"units_{position}": each for position, each in enumerate(found["dense"])}
            names = ("activation", "initializer", "learning_rate")
            values = {name: found[name] for name in names} | {"layers": len(found["dense"])} | units
            return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": values}

    def build(hp: Any) -> keras.Model:
        network = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
        activation = hp.Choice("activation", ["relu", "tanh", "sigmoid", "softmax"])
        initializer = hp.Choice("initializer", ["he_uniform", "glorot_uniform", "glorot_normal"])
        for position in range(hp.Int("layers", 1, 5)):
            units = hp.Int(f"units_{position}", 32, 512, step=32)
            network.add(keras.layers.Dense(units, activation=activation, kernel_initializer=initializer))
        network.add(keras.layers.Dense(train[1].shape[1], activation="softmax"))
        rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        network.compile(keras.optimizers.Adam(rate), loss="categorical_crossentropy", metrics=["accuracy"])
        return network

    def read(folder: Path) -> tuple[Any, Any]:
        images, labels, classes = (np.load(folder / f"{part}.npy") for part in ("images", "labels", "classes"))
        return images.astype("float32")[..., np.newaxis] / 255, keras.utils.to_categorical(labels, len(classes))

    train, validation = (read(paths.PREPARED / name) for name in ("train", "validation"))
    oracle = OurDraws(objective="val_accuracy", max_trials=search.trials, seed=params.seed)
    tuner = keras_tuner.Tuner(
        oracle=oracle, hypermodel=build, directory="keras_tuner", project_name="search", overwrite=True
    )
    plateau = keras.callbacks.EarlyStopping(monitor="val_accuracy", mode="max", patience=search.patience)
    tuner.search(
        *train,
        epochs=search.fixed.epochs,
        batch_size=search.fixed.batch_size,
        validation_data=validation,
        callbacks=[plateau] if search.stopping == "plateau" else [],
        verbose=2,
    )
    print(max(trial.score for trial in oracle.trials.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=R5_TRAIN, help="made-up images to train on")
    parser.add_argument("--validation", type=int, default=R5_VALIDATION, help="made-up images to validate on")
    parser.add_argument("--dataset", choices=dataset_names(), help="a real data set, in place of made-up images")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--stopping", choices=["none", "plateau"], default="none", help="of every trial")
    parser.add_argument("--workers", type=int, default=2, help="of Glyphline's search")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    arguments = parser.parse_args()
    print(processes.machine_line())
    # Every search begins anew: Glyphline would go on from the trials in runs/.
    tune = f"rm -rf {paths.RUNS} && exec {shlex.join(processes.python('stages.tune', NAME))}"
    program = "from benchmarks.search_speed import search_with_keras_tuner as search; search()"
    commands = {"Glyphline": ["sh", "-c", tune], "KerasTuner": [sys.executable, "-c", program]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, arguments)
        measured = processes.in_turns(commands, folder, arguments.rounds)
        best = {
            "Glyphline": json.loads((folder / paths.winner(NAME)).read_text(encoding="utf-8"))["validation_score"],
            "KerasTuner": float(measured["KerasTuner"][-1].output.split()[-1]),
        }
        counts = [len(np.load(folder / paths.PREPARED / name / "labels.npy")) for name in ("train", "validation")]
    print(
        f"\n{arguments.trials} trials of {arguments.epochs} epochs, {counts[0]:,} + {counts[1]:,} images; "
        f"R5 took {R5_SECONDS:,} s for 10 trials of 10 epochs at {R5_TRAIN:,} + {R5_VALIDATION:,}.\n"
    )
    print("| search | seconds | times Glyphline's | range | best validation accuracy, % |\n|---|---|---|---|---|")
    for system, runs in measured.items():
        times = [run.seconds / ours.seconds for run, ours in zip(runs, measured["Glyphline"], strict=True)]
        cells = [
            system,
            f"{median(run.seconds for run in runs):.0f}",
            f"{median(times):.1f}",
            f"{min(times):.1f} to {max(times):.1f}",
            f"{100 * best[system]:.2f}",
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
