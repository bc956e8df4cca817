"""`glyphline predict`: every picture gets its line or its sentence, whatever the others are."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glyphline import paths
from glyphline.cli import main
from glyphline.data.pictures import Picture
from glyphline.model import inference, training
from glyphline.model.files import save
from glyphline.model.variant import Variant
from glyphline.predict.command import class_names
from glyphline.predict.prepare import Preparation
from tests.conftest import REPOSITORY, Capture, Labelled, Write, load_record, python
from tests.guarantees.test_models import members_of, wrote
from tests.predict.test_pictures import drawn

KANA = ["あ", "い", "う", "え", "お", "か", "き", "く", "け", "こ"]


@pytest.fixture(scope="module")
def trained(bundled: tuple[Labelled, Labelled], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network trained for a second or two, some nine in ten right."""
    images, labels = bundled[0]
    examples = training.Examples(images, labels, 10)
    variant = Variant(dense=[64], epochs=4, batch_size=32)
    path = tmp_path_factory.mktemp("models") / "trained.keras"
    save(training.fit(variant, examples, examples, seed=1).network, path)
    return path


@pytest.fixture
def model(trained: Path, world: Path) -> Path:
    """The trained network, in an otherwise empty working directory."""
    path = world / "models" / "small_l2.keras"
    path.parent.mkdir()
    path.symlink_to(trained)
    return path


@pytest.fixture
def pictures(digits: Labelled, world: Path) -> list[str]:
    """Ten digits, one of each class, drawn large and dark on light."""
    files = []
    for label in range(10):
        drawn(digits[0][digits[1] == label][0]).save(world / f"{label}.png")
        files.append(f"{label}.png")
    return files


# What comes out


def test_a_line_has_class_confidence_and_runner_up(model: Path, pictures: list[str], capsys: Capture) -> None:
    assert main(["predict", *pictures]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.splitlines()) == 10
    assert len({line.index("%") for line in out.splitlines()}) == 1, "the columns are not aligned"
    for file, line in zip(pictures, out.splitlines(), strict=True):
        words = line.split()
        assert words[0] == file
        assert 50 < float(words[2]) <= 100 or float(words[2]) > float(words[6])
        assert words[3:5] == ["%", "(then"]
    assert sum(line.split()[1] == file[0] for file, line in zip(pictures, out.splitlines(), strict=True)) >= 9


def test_digits_that_people_drew_are_recognised_as_well_as_mnists_own(
    model: Path, digits: Labelled, world: Path, capsys: Capture
) -> None:
    chosen = np.arange(0, len(digits[0]), 10)
    for position in chosen:
        drawn(digits[0][position]).save(world / f"{position}.png")
    assert main(["predict", "--json", *(f"{position}.png" for position in chosen)]) == 0
    said = [int(picture["class"]) for picture in json.loads(capsys.readouterr().out)["pictures"]]
    own = inference.probabilities(model, digits[0][chosen]).argmax(axis=1)
    right = digits[1][chosen]
    assert (np.array(said) == right).mean() >= (own == right).mean() - 0.05
    assert (own == right).mean() > 0.85


@pytest.mark.parametrize("name", ["mnist", "mnist-5k", "fashion-mnist", "kmnist", "k49"])
def test_a_picture_of_the_set_gets_the_class_that_evaluate_gave_it(
    name: str, model: Path, digits: Labelled, capsys: Capture
) -> None:
    record, images = load_record(name), digits[0][::5]
    if record.pictures.how == "fitted":  # clothes and kana reach to the edges, and may be light there
        images = np.roll(images, 14, axis=(1, 2)) + np.arange(0, 200, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    card = {"side": record.side, "channels": record.channels, "pictures": record.pictures.model_dump()}
    paths.RAW.mkdir(parents=True)
    paths.DATASET_CARD.write_text(json.dumps(card), encoding="utf-8")
    files = [f"{number:03}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image).save(file)
    assert main(["predict", "--json", *files]) == 0
    said = [int(picture["class"]) for picture in json.loads(capsys.readouterr().out)["pictures"]]
    assert said == inference.probabilities(model, images).argmax(axis=1).tolist()


def test_clothes_on_a_white_page_are_trimmed_turned_over_and_centred() -> None:
    record = load_record("fashion-mnist")
    page = np.full((60, 90, 3), 250, np.uint8)
    page[10:50, 20:80] = (90, 90, 90)
    prepared = Preparation(28, 1, record.pictures)(Picture((page / 255).astype(np.float32), 1))
    assert prepared.inverted
    height = round(28 * 40 / 60)
    top = (28 - height) // 2
    assert (prepared.image[top : top + height] == 255 - 90).all()
    assert (prepared.image[:top] == 255 - 250).all()
    assert (prepared.image[top + height :] == 255 - 250).all()


def test_json_says_all_of_it(model: Path, pictures: list[str], capsys: Capture) -> None:
    assert main(["predict", "--json", pictures[0], "missing.png"]) == 1
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert record["model"] == "models/small_l2.keras"
    found, missing = record["pictures"]
    assert missing == {"file": "missing.png", "error": "there is no such file"}
    assert err.splitlines() == ["missing.png: there is no such file"]
    told = {"file", "class", "confidence_percent", "runner_up", "runner_up_percent"}
    assert set(found) == told | {"inverted", "thickened", "box", "frames"}
    assert found["inverted"] is True
    assert 100 >= found["confidence_percent"] >= found["runner_up_percent"] >= 0


def test_show_draws_what_the_network_saw(model: Path, pictures: list[str], world: Path, capsys: Capture) -> None:
    assert main(["predict", *pictures, "missing.png", "--show", "seen.png"]) == 1
    with Image.open(world / "seen.png") as seen:
        assert seen.width == 990
        assert len(seen.convert("L").getcolors() or []) > 50
    assert len(capsys.readouterr().out.splitlines()) == 10


@pytest.mark.parametrize("show", ["seen.jpg", "nowhere/seen.png", ".", "0.png"])
def test_show_never_overwrites_a_picture_and_says_where_it_cannot_write(
    show: str, model: Path, pictures: list[str], world: Path, capsys: Capture
) -> None:
    before = (world / "0.png").read_bytes()
    assert main(["predict", *pictures, "--show", show]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert (world / "0.png").read_bytes() == before


def test_classes_have_the_names_of_the_data_set_or_plain_numbers(world: Path) -> None:
    model = world / "models" / "small_l2.keras"
    numbers = [str(number) for number in range(10)]
    assert class_names(model, 10) == numbers
    card = world / paths.DATASET_CARD
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"class_names": KANA}), encoding="utf-8")
    assert class_names(model, 10) == KANA
    assert class_names(model, 9) == numbers[:9]
    assert class_names(Path("elsewhere/copied.keras"), 10) == KANA, "the working directory's"
    for broken in ("no json", "[]", '{"class_names": 10}'):
        card.write_text(broken, encoding="utf-8")
        assert class_names(model, 10) == numbers


def test_a_name_or_a_class_that_no_terminal_shows_is_escaped(
    model: Path, pictures: list[str], world: Path, capsys: Capture
) -> None:
    (world / paths.DATASET_CARD).parent.mkdir(parents=True)
    (world / paths.DATASET_CARD).write_text(json.dumps({"class_names": [f"\x1b[3{n}m" for n in range(10)]}))
    names = ["two\nlines.png", "\x1b[31mred.png", os.fsdecode(b"\xff.png")]
    for name in names:
        (world / name).write_bytes((world / pictures[0]).read_bytes())
    assert main(["predict", *names, "missing\n.png"]) == 1
    out, err = capsys.readouterr()
    assert [line.split("  ")[0] for line in out.splitlines()] == ["two\\nlines.png", "\\x1b[31mred.png", "\\udcff.png"]
    assert all(r"\x1b[3" in line.split("  ", 1)[1] for line in out.splitlines())
    assert "\x1b" not in out
    assert err.splitlines() == ["missing\\n.png: there is no such file"]
    assert main(["predict", "--json", *names]) == 0
    assert [picture["file"] for picture in json.loads(capsys.readouterr().out)["pictures"]] == names


# What cannot be classified


@pytest.fixture
def unreadable(world: Path) -> dict[str, str]:
    """Files that are no pictures, and a word that the sentence about each has."""
    (world / "folder.png").mkdir()
    (world / "notes.png").write_text("seven\n", encoding="utf-8")
    os.mkfifo(world / "pipe.png")
    Image.new("L", (300, 200), 255).save(world / "white.png")
    return {
        "folder.png": "directory",
        "notes.png": "not a PNG",
        "pipe.png": "not an ordinary file",
        "white.png": "nothing is drawn",
        "missing.png": "no such file",
    }


def test_each_bad_file_gets_one_sentence_and_the_others_their_line(
    model: Path, pictures: list[str], unreadable: dict[str, str], capsys: Capture
) -> None:
    assert main(["predict", pictures[3], *unreadable, pictures[4]]) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [pictures[3], pictures[4]]
    assert len(err.splitlines()) == len(unreadable)
    for (file, word), sentence in zip(unreadable.items(), err.splitlines(), strict=True):
        assert sentence.startswith(f"{file}: ")
        assert word in sentence


def test_tensorflow_is_only_imported_for_pictures_that_can_be_classified(
    model: Path, unreadable: dict[str, str], world: Path
) -> None:
    code = (
        "import sys\nfrom glyphline.cli import main\nstatus = main(sys.argv[1:])\n"
        "assert 'tensorflow' not in sys.modules\nassert 'keras' not in sys.modules\nsys.exit(status)"
    )
    done = python("-c", code, "predict", *unreadable, cwd=world)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", len(unreadable))


# Models that are none


def refused(model: Path, pictures: list[str], capsys: Capture) -> str:
    """The one sentence that there is about a model."""
    assert main(["predict", *pictures, "--model", str(model)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert str(model) in err
    return err


def test_a_missing_model_says_how_to_train_it(pictures: list[str], world: Path, capsys: Capture) -> None:
    assert "no such model; name another file with --model" in refused(paths.model("convnet"), pictures, capsys)
    (world / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert "train it with: dvc repro train@convnet" in refused(paths.model("convnet"), pictures, capsys)
    assert "train it with: dvc repro train@convnet" in refused(world / paths.model("convnet"), pictures, capsys)
    assert "train it with: dvc repro train@best" in refused(paths.seed_models("best") / "7.keras", pictures, capsys)
    assert "train it with: dvc repro train_winner@tuned" in refused(paths.model("tuned"), pictures, capsys)
    assert "train one with: dvc repro train@original" in refused(paths.model("smal"), pictures, capsys)
    assert "train one with: dvc repro train@original" in refused(world / "convnet.keras", pictures, capsys)


def test_without_a_name_the_model_is_the_one_with_the_best_validation_accuracy(
    trained: Path, pictures: list[str], write_params: Write, capsys: Capture
) -> None:
    write_params(variants={name: {"epochs": 1} for name in ("first", "second", "third")})
    assert main(["predict", *pictures]) == 1
    assert "models: no network is trained; train one with: dvc repro train@first\n" in capsys.readouterr().err
    paths.MODELS.mkdir()
    paths.TRAIN_METRICS.mkdir(parents=True)
    chosen = []
    for name, accuracy in (("third", None), ("first", 0.5), ("second", 0.75)):
        shutil.copy(trained, paths.model(name))
        if accuracy is not None:
            paths.train_metrics(name).write_text(json.dumps({"validation": {"accuracy": accuracy}}), encoding="utf-8")
        assert main(["predict", "--json", pictures[0]]) == 0
        chosen.append(json.loads(capsys.readouterr().out)["model"])
    assert chosen == ["models/third.keras", "models/first.keras", "models/second.keras"]


def test_what_is_no_keras_file_is_refused(trained: Path, pictures: list[str], world: Path, capsys: Capture) -> None:
    content = trained.read_bytes()
    for name, wrong in (("text", b"a network"), ("empty", b""), ("truncated", content[: len(content) // 2])):
        (world / f"{name}.keras").write_bytes(wrong)
    (world / "folder.keras").mkdir()
    os.mkfifo(world / "pipe.keras")
    for name in ("text", "empty", "truncated", "folder", "pipe"):
        assert "not a .keras file" in refused(world / f"{name}.keras", pictures, capsys)
    wrote(world / "damaged.keras", members_of(trained) | {"model.weights.h5": b"no weights"})
    assert "Keras cannot load this model" in refused(world / "damaged.keras", pictures, capsys)


@pytest.mark.usefixtures("deterministic")
def test_a_model_of_another_shape_is_refused(pictures: list[str], world: Path, capsys: Capture) -> None:
    import keras

    dense, flatten, image = keras.layers.Dense, keras.layers.Flatten, keras.Input((28, 28, 1))
    path = world / "other.keras"
    for stack, words in (
        ([keras.Input((32, 32, 3)), flatten(), dense(10, activation="softmax")], "reads 32 x 32 x 3 numbers, and pict"),
        ([image, flatten(), dense(10)], "does not return probabilities"),
        ([image, flatten(), dense(1, activation="sigmoid")], "does not return probabilities"),
        ([image, keras.layers.Conv2D(1, 3)], "does not return probabilities"),
    ):
        keras.Sequential(stack).save(path)
        assert words in refused(path, pictures, capsys)
    inputs = [keras.Input((28, 28, 1)), keras.Input((28, 28, 1))]
    keras.Model(inputs, flatten()(inputs[0])).save(path)
    assert "several inputs" in refused(path, pictures, capsys)


@pytest.mark.usefixtures("deterministic")
def test_keras_own_safe_mode_stands_behind_it(
    pictures: list[str], world: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    stack = [keras.Input((28, 28, 1)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
    keras.Sequential(stack).save(world / "lambda.keras")
    monkeypatch.setattr(inference, "_unknown_parts", lambda config: iter(()))
    assert "Keras cannot load this model" in refused(world / "lambda.keras", pictures, capsys)
