"""The test set and the trained networks to metrics, predictions and the surest errors."""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glyphline import paths
from glyphline.errors import ModelError
from glyphline.evaluation import scoring
from glyphline.evaluation.metrics import METRICS
from glyphline.model import inference, networks, training
from glyphline.model.files import save
from glyphline.model.variant import Variant
from stages import evaluate
from tests.conftest import REPOSITORY, Capture, Labelled, Write, params_in

KANA = list("おきすつなはまやれを")
VARIANTS = {"wide": {"dense": [16], "epochs": 1}, "thin": {"dense": [4], "epochs": 1}}
COUNT = 200


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, digits: Labelled) -> Path:
    """A folder with a test set of 200 digits and two networks that know next to nothing."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "data/raw").mkdir(parents=True)
    np.savez(folder / "data/raw/test.npz", images=digits[0][::5], labels=digits[1][::5])
    (folder / "data/raw/dataset.json").write_text(
        json.dumps({"name": "kmnist", "class_names": KANA, "leading_metric": "balanced_accuracy"}), encoding="utf-8"
    )
    training.make_deterministic(1)
    (folder / "data/prepared/validation").mkdir(parents=True)
    for part, array in (("images", digits[0][1::5]), ("labels", digits[1][1::5]), ("classes", np.full(10, 20))):
        np.save(folder / f"data/prepared/validation/{part}.npy", array)
    (folder / "metrics/train").mkdir(parents=True)
    for name, accuracy in (("wide", 0.1), ("thin", 0.2), ("tuned", 0.3)):
        summary = {"validation": {"accuracy": accuracy}, "parameters": 7_000 if name == "thin" else 9_000_000}
        (folder / f"metrics/train/{name}.json").write_text(json.dumps(summary), encoding="utf-8")
    for name, values in VARIANTS.items():
        network = networks.build(Variant.model_validate(values), (28, 28, 1), 10, steps=1)
        save(network, folder / "models" / f"{name}.keras")
    params_in(folder, limit=None, variants=VARIANTS)
    shutil.copytree(REPOSITORY / "datasets", folder / "datasets")
    return folder


@pytest.fixture
def trained(judged: Path, world: Path) -> Path:
    """The world with the test set, the networks and the parameters."""
    return Path(shutil.copytree(judged, world, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def evaluated_once(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and evaluate has run in it. Not to be written to."""
    folder = Path(shutil.copytree(judged, tmp_path_factory.mktemp("evaluated"), dirs_exist_ok=True))
    with contextlib.chdir(folder):
        evaluate.main()
    return folder


@pytest.fixture
def evaluated(evaluated_once: Path, world: Path) -> Path:
    """The world in which evaluate has run."""
    return Path(shutil.copytree(evaluated_once, world, dirs_exist_ok=True))


def read_json(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def test_what_is_written_agrees_with_the_networks(evaluated: Path, digits: Labelled) -> None:
    assert not list((evaluated / "data").rglob("train*")), "no training data are needed"
    images, labels = digits[0][::5], digits[1][::5]
    metrics = read_json("metrics/test.json")
    per_class = pd.read_csv("metrics/per_class.csv")
    assert list(metrics) == ["wide", "thin"], "in the order of params.yaml"
    assert list(per_class.columns) == ["variant", "class", "recall", "precision", "n"]
    assert per_class["variant"].tolist() == ["wide"] * 10 + ["thin"] * 10
    assert per_class["class"].tolist() == KANA * 2
    for name in VARIANTS:
        folder = Path("data/evaluation") / name
        probabilities = np.load(folder / "probabilities.npy")
        np.testing.assert_array_equal(probabilities, inference.probabilities(Path(f"models/{name}.keras"), images))
        assert metrics[name] == scoring.score(labels, probabilities)
        predictions = pd.read_csv(f"metrics/predictions/{name}.csv")
        assert predictions.to_dict("list") == {
            "image": list(range(COUNT)),
            "label": labels.tolist(),
            "predicted": probabilities.argmax(axis=1).tolist(),
        }
        confusion = pd.read_csv(folder / "confusion.csv", index_col="true")
        assert list(confusion.index) == list(confusion.columns) == KANA
        assert np.trace(confusion) == round(metrics[name]["accuracy"] * COUNT)
        with np.load(folder / "worst_errors.npz") as worst:
            positions = worst["positions"]
            assert len(positions) == evaluate.WORST_ERRORS
            np.testing.assert_array_equal(worst["images"], images[positions])
            np.testing.assert_array_equal(worst["labels"], labels[positions])
            np.testing.assert_array_equal(worst["probabilities"], probabilities[positions])
            assert (worst["labels"] != worst["probabilities"].argmax(axis=1)).all()


def test_labels_to_check_are_those_that_the_best_on_validation_images_finds_least_probable(
    evaluated: Path, digits: Labelled
) -> None:
    table = pd.read_csv("data/evaluation/labels_to_check.csv")
    with np.load("data/evaluation/labels_to_check.npz") as arrays:
        shown = arrays["images"]
    assert len(table) == len(shown) == evaluate.LABELS_TO_CHECK
    assert set(table["variant"]) == {"thin"}
    assert set(table["split"]) == {"validation", "test"}
    splits = {"test": slice(0, None, 5), "validation": slice(1, None, 5)}
    everything = np.concatenate([digits[0][part] for part in splits.values()])
    labels = np.concatenate([digits[1][part] for part in splits.values()])
    probabilities = inference.probabilities(Path("models/thin.keras"), everything)
    given = probabilities[np.arange(len(labels)), labels]
    wrong = probabilities.argmax(axis=1) != labels
    np.testing.assert_allclose(table["probability"], np.sort(given[wrong])[: len(table)], atol=1e-6)
    for row, image in zip(table.itertuples(), shown, strict=True):
        assert row.pixels == hashlib.sha256(image.tobytes()).hexdigest()[:12]
        (place,) = np.flatnonzero((everything == image).all(axis=(1, 2)))
        assert (row.label, row.predicted) == (KANA[labels[place]], KANA[probabilities[place].argmax()])


def test_several_seeds_are_judged_one_by_one_and_make_a_spread(trained: Path) -> None:
    for seed, other in ((8, "thin"), (9, "wide")):
        path = Path(f"models/seeds/wide/{seed}.keras")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"models/{other}.keras", path)
    evaluate.main()
    metrics = read_json("metrics/test.json")
    wide, thin = metrics["wide"]["accuracy"], metrics["thin"]["accuracy"]
    spread = metrics["wide"]["seeds"]
    assert spread["n"] == 3
    assert spread["accuracy_mean"] == pytest.approx((2 * wide + thin) / 3, abs=1e-6)
    assert spread["accuracy_sd"] == pytest.approx(abs(wide - thin) / 3**0.5, abs=1e-6)
    assert set(spread) == {"n", *(f"{name}_{of}" for name in METRICS for of in ("mean", "sd"))}
    assert "seeds" not in metrics["thin"]


def test_judging_again_writes_the_same_bytes(evaluated: Path) -> None:
    written = []
    for again in (False, True):
        if again:
            evaluate.main()
        files = [*Path("metrics").rglob("*.*"), *Path("data/evaluation").rglob("*.*"), paths.NETWORK_TO_TRY]
        written.append({str(path): path.read_bytes() for path in files})
    assert len(written[0]) == 2 + 3 + 2 + 1 + 2 * 4
    assert written[0] == written[1]


def test_the_network_to_try_is_the_best_of_the_small_ones_and_null_where_none_is(evaluated: Path) -> None:
    to_try = json.loads(paths.NETWORK_TO_TRY.read_text(encoding="utf-8"))
    assert (to_try["variant"], to_try["image"]) == ("thin", [28, 28, 1])
    for variants, shape in ((["wide"], (28, 28)), (["thin"], (28, 28, 3))):
        evaluate.write_network_to_try(variants, shape)
        assert paths.NETWORK_TO_TRY.read_text(encoding="utf-8") == "null"


def test_a_network_that_is_missing_is_one_sentence_that_says_how_to_train_it(trained: Path) -> None:
    (trained / "models/thin.keras").unlink()
    with pytest.raises(ModelError, match=r"^models/thin\.keras: .* train it with: dvc repro train@thin$"):
        evaluate.main()
    assert not (trained / "metrics/test.json").exists()


def test_the_winner_of_the_search_is_judged_last_like_any_other(trained: Path, write_params: Write) -> None:
    search = {"trials": 1, "fixed": {"epochs": 1}, "space": {"dense": {"choices": [[4]]}}}
    write_params(variants={"wide": VARIANTS["wide"]}, searches={"tuned": search})
    with pytest.raises(ModelError, match=r"^models/tuned\.keras: .* train it with: dvc repro train_winner@tuned$"):
        evaluate.main()
    shutil.copy("models/thin.keras", "models/tuned.keras")
    evaluate.main()
    assert list(read_json("metrics/test.json")) == ["wide", "tuned"]


def test_a_network_of_no_variant_is_left_out_and_named(trained: Path, write_params: Write, capsys: Capture) -> None:
    write_params(variants={"wide": VARIANTS["wide"]})
    evaluate.main()
    assert list(read_json("metrics/test.json")) == ["wide"]
    assert not Path("data/evaluation/thin").exists()
    assert "models/thin.keras: not a variant of params.yaml any more" in capsys.readouterr().out
    assert Path("models/thin.keras").exists()


def test_classes_that_do_not_occur_in_the_test_set_are_still_in_the_tables(trained: Path, digits: Labelled) -> None:
    few = digits[1] < 3
    np.savez(trained / "data/raw/test.npz", images=digits[0][few], labels=digits[1][few])
    evaluate.main()
    assert pd.read_csv("metrics/per_class.csv")["n"].tolist() == ([100] * 3 + [0] * 7) * 2
    assert pd.read_csv("data/evaluation/thin/confusion.csv", index_col="true").shape == (10, 10)
