"""What a rebuild proves, told from its files: here the committed ones are forged, and the true ones the rebuild."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glyphline import paths
from glyphline.evaluation import scoring
from glyphline.evaluation.metrics import measure
from glyphline.review.proof import Proof, compare, to_markdown
from tests.pipeline.conftest import Clone

TEST_METRICS, MLP = "metrics/test.json", "metrics/predictions/mlp.csv"


@pytest.fixture
def clone(finished: Clone, tmp_path: Path) -> Clone:
    return finished.copy(tmp_path / "clone")


def proof_of(forged: Clone) -> Proof:
    """Commit the working tree, forged as it is; then put the true files back, as a rebuild would, and compare."""
    forged.commit("Forge")
    forged.git("checkout", "HEAD~1", "--", "dvc.lock", "metrics")
    forged.git("reset", "--quiet")
    return compare(forged.root)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def predict(root: Path, variant: str, images: int, right: bool) -> None:
    """Make a variant right or wrong about so many more images, in the predictions and all that follows from them."""
    table = pd.read_csv(root / paths.predictions(variant))
    chosen = table.index[(table["predicted"] == table["label"]) != right][:images]
    table.loc[chosen, "predicted"] = (table.loc[chosen, "label"] + (0 if right else 1)) % 10
    table.to_csv(root / paths.predictions(variant), index=False)
    labels, predicted = table["label"].to_numpy(), table["predicted"].to_numpy()
    edit(root / TEST_METRICS, lambda metrics: metrics[variant].update(measure(labels, predicted)))
    classes = pd.read_csv(root / paths.PER_CLASS, dtype={"class": str})
    rows = classes["variant"] == variant
    mine = scoring.per_class(labels, np.eye(10)[predicted], list(classes.loc[rows, "class"])).assign(variant=variant)
    pd.concat([classes[~rows], mine])[classes.columns].to_csv(root / paths.PER_CLASS, index=False)


def test_a_rebuild_that_gives_every_byte_proves_the_commit(finished: Clone) -> None:
    proof = compare(finished.root)
    assert proof.holds
    assert proof.changed == []
    assert to_markdown(proof) == (
        f"**Proven to the byte:** a rebuild of {proof.commit} from nothing gives the same dvc.lock and metrics/.\n"
    )


def test_a_difference_within_noise_holds_and_is_shown(clone: Clone) -> None:
    predict(clone.root, "mlp", images=3, right=False)
    edit(clone.root / TEST_METRICS, lambda metrics: metrics["mlp"].update(loss=1.2 * metrics["mlp"]["loss"]))
    proof = proof_of(clone)
    assert proof.objections == []
    assert proof.changed == [str(paths.PER_CLASS), MLP, TEST_METRICS]
    page = to_markdown(proof)
    assert page.startswith("**Proven within noise, not to the byte:**")
    assert "| `metrics/test.json` | `mlp.accuracy` | 0." in page
    assert "convnet.accuracy" not in page, "what is the same is left out"


def test_a_difference_beyond_noise_does_not_hold(clone: Clone) -> None:
    before = json.loads(clone.read(TEST_METRICS))["mlp"]["accuracy"]
    predict(clone.root, "mlp", images=60, right=False)
    proof = proof_of(clone)
    values = f"{round(before - 0.06, 6)} as committed and {before} as rebuilt: better, beyond noise"
    assert f"metrics/test.json: mlp: accuracy is {values}" in proof.objections
    assert to_markdown(proof).startswith("**Not proven:**")


def test_a_committed_spread_over_seeds_excuses_no_other_images(clone: Clone) -> None:
    predict(clone.root, "convnet", images=900, right=True)
    spread = {"accuracy_mean": 0.97, "accuracy_sd": 0.5, "balanced_accuracy_mean": 0.97, "balanced_accuracy_sd": 0.5}
    edit(clone.root / TEST_METRICS, lambda metrics: metrics["convnet"]["seeds"].update(spread))
    objections = "\n".join(proof_of(clone).objections)
    assert re.search(
        r"convnet: accuracy is 0\.9\d* as committed and 0\.0\d* as rebuilt: worse, beyond noise", objections
    )
    assert "metrics/test.json: convnet.seeds.accuracy_sd is 0.5 as committed and 0.0" in objections
    assert "metrics/test.json: convnet.seeds.accuracy_mean is 0.97 as committed and 0.0" in objections


def forge_test_metrics(**scores: float) -> Callable[[Path], None]:
    return lambda root: edit(root / TEST_METRICS, lambda metrics: metrics["mlp"].update(scores))


def drop_loss(root: Path) -> None:
    edit(root / TEST_METRICS, lambda metrics: metrics["mlp"].pop("loss"))


def forge_size(root: Path) -> None:
    edit(root / "metrics/train/mlp.json", lambda metrics: metrics.update(parameters=1))


def forge_training(root: Path) -> None:
    edit(root / "metrics/train/mlp.json", lambda metrics: metrics["validation"].update(accuracy=0.999))


def forge_data(root: Path, path: str = "data/prepared") -> None:
    lock = (root / "dvc.lock").read_text(encoding="utf-8")
    wrong, n = re.subn(rf"(path: {path}\n +hash: md5\n +md5: )\w+", rf"\g<1>{'f' * 32}", lock, count=1)
    assert n == 1
    (root / "dvc.lock").write_text(wrong, encoding="utf-8")


def forge_recall(root: Path) -> None:
    table = pd.read_csv(root / paths.PER_CLASS)
    table.loc[3, "recall"] = 0.999
    table.to_csv(root / paths.PER_CLASS, index=False)


def add_variant(root: Path) -> None:
    edit(root / TEST_METRICS, lambda metrics: metrics.update(ghost=metrics["mlp"]))


def forge_trials(column: str, value: float | str) -> Callable[[Path], None]:
    def forge(root: Path) -> None:
        trials = pd.read_csv(root / paths.TRIALS).astype({column: object})
        trials.loc[1, column] = value
        trials.to_csv(root / paths.TRIALS, index=False)

    return forge


def forge_winner(**changes: object) -> Callable[[Path], None]:
    return lambda root: edit(root / paths.WINNER, lambda winner: winner.update(changes))


OTHER_TRIALS = "metrics/search/trials.csv: its hyper-parameters are not those that the rebuild drew from the same seed"


@pytest.mark.parametrize(
    ("forge", "objection"),
    [
        (forge_test_metrics(accuracy=0.999), f"metrics/test.json: mlp: accuracy is 99.9 %, but {MLP} gives "),
        (forge_test_metrics(accuracy_low=0.9), f"metrics/test.json: mlp: accuracy_low is 90 %, but {MLP} gives "),
        (
            forge_test_metrics(balanced_accuracy=0.9),
            f"metrics/test.json: mlp: balanced_accuracy is 90 %, but {MLP} gives ",
        ),
        (forge_test_metrics(n=10_000), f"metrics/test.json: mlp: n is 10000, but {MLP} gives 1000"),
        (forge_test_metrics(loss=9), "metrics/test.json: mlp.loss is 9 as committed and "),
        (forge_test_metrics(calibration_error=0.0), "metrics/test.json: mlp.calibration_error is 0.0 as committed "),
        (drop_loss, "metrics/test.json: mlp.loss is None as committed and "),
        (forge_recall, f"metrics/per_class.csv: mlp: recall, precision or n of a class is not that of {MLP}"),
        (forge_size, "metrics/train/mlp.json: parameters is 1 as committed and "),
        (forge_training, "metrics/train/mlp.json: validation.accuracy is 0.999 as committed and 0."),
        (forge_data, "dvc.lock: data/prepared is not what the rebuild made"),
        (add_variant, "metrics/test.json: ghost is committed, but not rebuilt"),
        (forge_trials("learning_rate", 0.5), OTHER_TRIALS),
        (forge_trials("activation", "relu"), OTHER_TRIALS),
        (
            forge_trials("validation_accuracy", 0.05),
            "metrics/search/trials.csv: validation_accuracy of trial 1 is 0.05 as committed and 0.1 as rebuilt",
        ),
        (forge_winner(trial=1), "metrics/search/winner.json: trial 1 with this accuracy is not the best of "),
        (forge_winner(validation_accuracy=0.11), "metrics/search/winner.json: trial 0 with this accuracy is not the "),
        (forge_winner(variant={"dense": [8]}), "metrics/search/winner.json: its hyper-parameters are not those that "),
        (forge_winner(trial="x"), "metrics/search/winner.json: trial x with this accuracy is not the best of "),
    ],
)
def test_what_no_other_machine_explains_does_not_hold(
    clone: Clone, forge: Callable[[Path], None], objection: str
) -> None:
    forge(clone.root)
    proof = proof_of(clone)
    assert [each for each in proof.objections if each.startswith(objection)], proof.objections
    assert not proof.holds


def test_another_winner_of_the_search_is_told_and_not_compared(clone: Clone) -> None:
    forge_trials("validation_accuracy", 0.105)(clone.root)
    forge_winner(trial=1, validation_accuracy=0.105)(clone.root)
    predict(clone.root, "tuned", images=200, right=True)
    proof = proof_of(clone)
    assert proof.objections == []
    assert "The search found another winner, so tuned is another network" in to_markdown(proof)


def test_another_test_set_is_one_objection_and_not_one_for_each_variant(clone: Clone) -> None:
    forge_data(clone.root, "data/raw/test.npz")
    assert proof_of(clone).objections == [
        "dvc.lock: data/raw/test.npz is not what the rebuild made, and its bytes are the same on every machine",
        "metrics/test.json: no comparison: the file of the test images changed (data/raw/test.npz in dvc.lock)",
    ]


def test_a_metric_that_was_never_committed_does_not_hold(clone: Clone) -> None:
    clone.git("rm", "--quiet", "metrics/history/mlp.csv")
    assert proof_of(clone).objections == ["metrics/history/mlp.csv: it is rebuilt, but not committed"]
