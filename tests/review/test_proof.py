"""What a rebuild proves, told from its files: here the committed ones are forged, and the true ones the rebuild."""

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
from tests.conftest import edit
from tests.pipeline.conftest import Clone

TEST_METRICS, OF_MLP = "metrics/test.json", "metrics/test.json: mlp"
MLP, TRAINED = "metrics/predictions/mlp.csv", "metrics/train/mlp.json"


def proof_of(forged: Clone) -> Proof:
    """Commit the working tree, forged as it is; then put the true files back, as a rebuild would, and compare."""
    forged.commit("Forge")
    forged.git("checkout", "HEAD~1", "--", "dvc.lock", "metrics")
    forged.git("reset", "--quiet")
    return compare(forged.root)


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


Forge = Callable[[Path], None]


def replacing(path: Path | str, *keys: str, **values: object) -> Forge:
    """Replaces values in a JSON file, those under some keys in it."""

    def replace(content: Any) -> None:
        for key in keys:
            content = content[key]
        content.update(values)

    return lambda root: edit(root / path, replace)


def replacing_cell(path: Path, row: int, column: str, value: float | str) -> Forge:
    def forge(root: Path) -> None:
        table = pd.read_csv(root / path).astype({column: object})
        table.loc[row, column] = value
        table.to_csv(root / path, index=False)

    return forge


def forge_data(root: Path, path: str = "data/prepared") -> None:
    lock = (root / "dvc.lock").read_text(encoding="utf-8")
    wrong, n = re.subn(rf"(path: {path}\n +hash: md5\n +md5: )\w+", rf"\g<1>{'f' * 32}", lock, count=1)
    assert n == 1
    (root / "dvc.lock").write_text(wrong, encoding="utf-8")


def drop_loss(root: Path) -> None:
    edit(root / TEST_METRICS, lambda metrics: metrics["mlp"].pop("loss"))


def add_variant(root: Path) -> None:
    edit(root / TEST_METRICS, lambda metrics: metrics.update(ghost=metrics["mlp"]))


TRIALS, WINNER = paths.trials("tuned"), paths.winner("tuned")
OTHER_TRIALS = f"{TRIALS}: its hyper-parameters are not those that the rebuild drew from the same seed"


FORGED: list[tuple[Forge, str]] = [
    (replacing(TEST_METRICS, "mlp", accuracy=0.999), f"{OF_MLP}: accuracy is 99.9 %, but {MLP} gives "),
    (replacing(TEST_METRICS, "mlp", accuracy_low=0.9), f"{OF_MLP}: accuracy_low is 90 %, but {MLP} gives "),
    (replacing(TEST_METRICS, "mlp", accuracy_high=0.9), f"{OF_MLP}: accuracy_high is 90 %, but {MLP} gives "),
    (
        replacing(TEST_METRICS, "mlp", balanced_accuracy=0.9),
        f"{OF_MLP}: balanced_accuracy is 90 %, but {MLP} gives ",
    ),
    (replacing(TEST_METRICS, "mlp", n=10_000), f"{OF_MLP}: n is 10000, but {MLP} gives 1000"),
    (replacing(TEST_METRICS, "mlp", loss=9), f"{OF_MLP}.loss is 9 as committed and "),
    (replacing(TEST_METRICS, "mlp", calibration_error=0.0), f"{OF_MLP}.calibration_error is 0.0 as committed "),
    (drop_loss, f"{OF_MLP}.loss is None as committed and "),
    (add_variant, "metrics/test.json: ghost is committed, but not rebuilt"),
    (
        replacing_cell(paths.PER_CLASS, 3, "recall", 0.999),
        f"metrics/per_class.csv: mlp: recall, precision or n of a class is not that of {MLP}",
    ),
    (replacing(TRAINED, parameters=1), f"{TRAINED}: parameters is 1 as committed and "),
    (
        replacing(TRAINED, "validation", accuracy=0.999),
        f"{TRAINED}: validation.accuracy is 0.999 as committed and 0.",
    ),
    (forge_data, "dvc.lock: data/prepared is not what the rebuild made"),
    (replacing_cell(TRIALS, 1, "learning_rate", 0.5), OTHER_TRIALS),
    (replacing_cell(TRIALS, 1, "activation", "relu"), OTHER_TRIALS),
    (
        replacing_cell(TRIALS, 1, "validation_score", 0.05),
        f"{TRIALS}: validation_score of trial 1 is 0.05 as committed and 0.1 as rebuilt",
    ),
    (replacing(WINNER, trial=1), f"{WINNER}: trial 1 with this accuracy is not the best of "),
    (replacing(WINNER, validation_score=0.11), f"{WINNER}: trial 0 with this accuracy is not the "),
    (replacing(WINNER, variant={"dense": [8]}), f"{WINNER}: its hyper-parameters are not those that "),
    (replacing(WINNER, trial="x"), f"{WINNER}: trial x with this accuracy is not the best of "),
]


@pytest.mark.parametrize(
    ("forge", "objection"),
    [pytest.param(*case, marks=[] if place % 5 == 0 else pytest.mark.long) for place, case in enumerate(FORGED)],
)
def test_what_no_other_machine_explains_does_not_hold(clone: Clone, forge: Forge, objection: str) -> None:
    forge(clone.root)
    proof = proof_of(clone)
    assert [each for each in proof.objections if each.startswith(objection)], proof.objections
    assert not proof.holds


def test_another_winner_of_the_search_is_told_and_not_compared(clone: Clone) -> None:
    replacing_cell(TRIALS, 1, "validation_score", 0.105)(clone.root)
    replacing(WINNER, trial=1, validation_score=0.105)(clone.root)
    predict(clone.root, "tuned", images=200, right=True)
    proof = proof_of(clone)
    assert proof.objections == []
    assert "The search tuned found another winner, so tuned is another network" in to_markdown(proof)


def test_another_test_set_is_one_objection_and_not_one_for_each_variant(clone: Clone) -> None:
    forge_data(clone.root, "data/raw/test.npz")
    assert proof_of(clone).objections == [
        "dvc.lock: data/raw/test.npz is not what the rebuild made, and its bytes are the same on every machine",
        "metrics/test.json: no comparison: the file of the test images changed (data/raw/test.npz in dvc.lock)",
    ]


def test_a_metric_that_was_never_committed_does_not_hold(clone: Clone) -> None:
    clone.git("rm", "--quiet", "metrics/history/mlp.csv")
    assert proof_of(clone).objections == ["metrics/history/mlp.csv: it is rebuilt, but not committed"]
