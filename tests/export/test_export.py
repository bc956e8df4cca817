"""`glyphline export`: what it writes says what the original says, or nothing is written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from ruamel.yaml import YAML

from glyphline.cli import main
from glyphline.config import load_params
from glyphline.data.splits import normalise
from glyphline.errors import GlyphlineError
from glyphline.evaluation import scoring
from glyphline.export import plain
from glyphline.export.to_litert import LiteRT, to_litert
from glyphline.export.to_onnx import to_int8, to_onnx
from glyphline.model import inference, networks
from glyphline.model.files import save
from glyphline.model.variant import Variant, choices
from glyphline.predict import exported, graph
from stages import evaluate
from tests.conftest import REPOSITORY, Capture, Labelled, edit, python, run_to_evaluate
from tests.predict.test_pictures import drawn

if TYPE_CHECKING:
    import keras

# What a network may have, and of what it is trained with all that its file tells Keras.
BENT: dict[str, Any] = {"space_to_depth": 2, "filters": [6, 8], "pooling": [2], "batch_normalization": True}
BENT |= {"padding": "same", "dense": [12], "dense_dropout": 0.2, "activation": "silu", "precision": "bfloat16"}
BENT |= {"optimizer": "adamw", "schedule": "cosine", "warmup": 0.2, "weight_decay": 0.1, "label_smoothing": 0.1}
BENT |= {"augmentation": {"shift": 2.0, "flip": True, "erase": 0.5}, "batch_size": 32, "epochs": 2}
VARIANTS = {"bent": BENT, "flat": {"dense": [32], "batch_size": 32, "epochs": 3}}
FLAT = "models/flat.keras"
ALL = load_params(REPOSITORY / "params.yaml").variants | {
    name: Variant(filters=[4], batch_normalization=True, dense=[6], activation=name, epochs=1)  # type: ignore[arg-type]
    for name in choices("activation")
}
PADDED: dict[str, Any] = {"filters": [9, 6], "padding": "same", "space_to_depth": 3, "epochs": 1}
ALL |= {
    "even": Variant(**PADDED, batch_normalization=True, pooling=[2], kernel_size=4),
    "unpooled": Variant(**PADDED, pooling="none", dense=[5], activation="tanh"),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pipeline has run up to evaluate. To be copied, not to be written to."""
    root = tmp_path_factory.mktemp("judged")
    run_to_evaluate(root, VARIANTS, limit=800)
    return root


@pytest.fixture
def run(judged: Path, world: Path) -> Path:
    """A copy of it as working directory."""
    return Path(shutil.copytree(judged, world, dirs_exist_ok=True))


def network_of(variant: Variant, shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10) -> keras.Model:
    """A network of random weights, those of batch normalisation included, which begin as 0 and 1."""
    random = np.random.default_rng(3)
    network = networks.build(variant, shape, classes, steps=1)
    network.set_weights([weight + random.uniform(-0.1, 0.1, weight.shape) for weight in network.get_weights()])
    return network


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", ALL)
def test_every_network_that_params_yaml_can_ask_for_is_exported_as_it_is(name: str, digits: Labelled) -> None:
    network = network_of(ALL[name])
    expected = inference.apply(plain.in_float32(network), digits[0][:50])
    content = to_onnx(plain.folded(network))
    assert content == to_onnx(plain.folded(network)), "the same network, other bytes"
    assert graph.widest(content, (28, 28)) < graph.MOST_OUTPUTS / 4
    session = exported.session(content)
    (found,) = session.run(None, {"images": digits[0][:50]})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert {node.op_type for node in onnx.ModelProto.FromString(content).graph.node} <= graph.OPERATORS.keys()


@pytest.mark.usefixtures("deterministic")
def test_a_network_that_is_no_chain_is_refused_in_a_sentence() -> None:
    import keras

    image = keras.Input((28, 28, 1))
    network = keras.Model(image, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(image)))
    with pytest.raises(GlyphlineError, match="no chain of layers"):
        plain.folded(network)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "name", ["fast", *(pytest.param(name, marks=pytest.mark.long) for name in ("gelu", "softmax", "even", "unpooled"))]
)
def test_litert_says_the_same_and_so_do_colours(name: str, channels: int) -> None:
    images = np.random.default_rng(5).integers(0, 256, (20, 20, 20, 3), np.uint8)
    images = images[..., 0] if channels == 1 else images
    network = network_of(ALL[name], (20, 20, channels), 4)
    expected = inference.apply(plain.in_float32(network), images)
    folded = plain.folded(network)
    content = to_litert(folded)
    assert content == to_litert(folded), "the same network, other bytes"
    np.testing.assert_allclose(LiteRT(content).probabilities(images), expected, rtol=0, atol=1e-5)
    (found,) = exported.session(to_onnx(folded)).run(None, {"images": images})
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert to_int8(to_onnx(folded), images) == to_int8(to_onnx(folded), images)
    assert to_litert(folded, images) == to_litert(folded, images)


def test_a_folder_holds_the_network_what_it_needs_and_its_card(run: Path, digits: Labelled, capsys: Capture) -> None:
    assert main(["export", "models/bent.keras"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "All 1,200 validation and test images get the class that Keras gives them in float32" in out
    assert re.search(r"^It was trained in bfloat16: computed so, \d+ of 1,200 images get another class", out, re.M)
    assert [line.split()[0] for line in out.splitlines()[-2:]] == ["Keras", "ONNX"]
    files = {path.name: path.read_bytes() for path in Path("exports/bent").iterdir()}
    assert files.keys() == {"network.onnx", "network.json", "README.md"}
    assert [path.name for path in Path("exports").iterdir()] == ["bent"]

    network = exported.load(Path("exports/bent"))
    reference = inference.load(Path("models/bent.keras"), (28, 28, 1))
    expected = inference.apply(plain.in_float32(reference), digits[0])
    found = network.probabilities(digits[0])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(
        np.concatenate([network.probabilities(one[None]) for one in digits[0][:9]]), found[:9]
    )
    assert (network.name, network.classes) == ("bent", tuple("0123456789"))

    metadata, _, card = files["README.md"].decode().removeprefix("---\n").partition("\n---\n")
    values = YAML(typ="safe").load(metadata)
    scores = scoring.score(digits[1], found)
    assert (values["license"], values["datasets"]) == ("cc-by-sa-3.0", ["mnist-5k"])
    (result,) = values["model-index"][0]["results"]
    assert {each["type"]: each["value"] for each in result["metrics"]}.items() <= scores.items()
    for words in (
        f"| accuracy | {100 * scores['accuracy']:.2f} % | {100 * scores['accuracy_low']:.2f} to ",
        f"| calibration error | {100 * scores['calibration_error']:.2f} % |",
        "| train | 600 |",
        "| validation | 200 |",
        '| `activation` | `"silu"` |',
        "is taken for",
        network.digest,
    ):
        assert words in card, words

    assert main(["export", "models/bent.keras"]) == 0
    assert {path.name: path.read_bytes() for path in Path("exports/bent").iterdir()} == files, "other bytes"


def test_litert_and_int8_have_folders_of_their_own_and_their_verdict(run: Path, capsys: Capture) -> None:
    for options in (["--format", "litert"], ["--int8"], ["--format", "litert", "--int8"]):
        assert main(["export", FLAT, *options]) == 0
    out, _ = capsys.readouterr()
    verdicts = re.findall(
        r"^int8 beside float32, on 200 validation images: accuracy .* (noise|unchanged)\.$", out, re.M
    )
    assert len(verdicts) == 2
    assert sorted(path.name for path in Path("exports").iterdir()) == ["flat-int8", "flat-litert", "flat-litert-int8"]
    assert "int8 beside float32" in Path("exports/flat-int8/README.md").read_text(encoding="utf-8")
    assert exported.of_model(Path(FLAT)) is None
    assert main(["predict", "7.png", "--model", "exports/flat-litert"]) == 1


def test_keras_alone_loads_a_network_whatever_layers_it_has_and_goes_on_training(
    judged: Path, digits: Labelled
) -> None:
    import keras

    inference.check_model(judged / "models/bent.keras")  # nothing in it is of Glyphline
    network = keras.saving.load_model(judged / "models/bent.keras")
    assert int(network.optimizer.iterations) == 2 * 19
    images, labels = digits[0][:160], digits[1][:160]
    network.fit(normalise(images), np.eye(10, dtype=np.float32)[labels], epochs=1, verbose=0)
    assert int(network.optimizer.iterations) == 2 * 19 + 5


@pytest.fixture
def one_loud_unit(run: Path) -> None:
    """In a hidden layer one unit of huge outputs that nothing listens to: float32 stays the same, int8 hears but it."""
    model = Path(FLAT)
    network = inference.load(model, (28, 28, 1))
    kernel, bias, next_kernel, next_bias = network.get_weights()
    kernel[:, 0], next_kernel[0] = 30, 0
    network.set_weights([kernel, bias, next_kernel, next_bias])
    save(network, model)
    evaluate.main()


@pytest.mark.usefixtures("one_loud_unit")
def test_int8_that_is_worse_is_refused_unless_it_is_accepted(capsys: Capture) -> None:
    for to in ("onnx", "litert"):
        assert main(["export", FLAT, "--format", to]) == 0
        capsys.readouterr()
        small = f"small-{to}"
        command = ["export", FLAT, "--format", to, "--int8", "--output", small]
        assert main(command) == 1
        said = rf"glyphline: {small}: not written, as int8 is worse: .* --accept\n"
        assert re.fullmatch(said, capsys.readouterr().err)
        assert not list(Path().glob(f"*{small}*"))
        assert main([*command, "--accept"]) == 0
        assert ": worse." in Path(small, "README.md").read_text(encoding="utf-8")


def not_judged() -> None:
    edit(Path("metrics/test.json"), lambda tests: tests.pop("flat"))


def another_network(classes: int) -> None:
    save(networks.build(Variant(dense=[4], epochs=1), (28, 28, 1), classes, steps=1), Path(FLAT))


def asked_for_otherwise() -> None:
    stage = {"params": {"params.yaml": {"variants.flat": VARIANTS["flat"] | {"epochs": 4}}}}
    Path("dvc.lock").write_text(json.dumps({"stages": {"train@flat": stage}}), encoding="utf-8")


def something_in_the_way() -> None:
    Path("exports/flat").mkdir(parents=True)
    Path("exports/flat/letter.txt").write_text("mine", encoding="utf-8")


# What is done before, what is exported, and what is said.
REFUSED: dict[str, tuple[Callable[[], object], str, str]] = {
    "missing": (lambda: None, "models/none.keras", "models/none.keras: there is no such model; train one with"),
    "no network": (lambda: Path(FLAT).write_text("x"), FLAT, "not a .keras file"),
    "no variant": (
        lambda: shutil.copy(FLAT, "models/copy.keras"),
        "models/copy.keras",
        "params.yaml has no variant copy, so that there is no result to tell of it; export one of: models/bent.keras, ",
    ),
    "not judged": (not_judged, FLAT, "flat is not judged in it; run: dvc repro evaluate"),
    "other classes": (lambda: another_network(7), FLAT, "this network knows 7 classes, and MNIST"),
    "trained again": (lambda: another_network(10), FLAT, f"of another network than {FLAT}; run: dvc repro"),
    "asked for otherwise": (
        asked_for_otherwise,
        FLAT,
        f"params.yaml: variants.flat is not what {FLAT} was trained with; run: dvc repro",
    ),
    "no data": (lambda: Path("data/raw/test.npz").unlink(), FLAT, "missing or damaged; run: dvc repro"),
    "unwritable": (lambda: None, f"{FLAT} --output params.yaml/x", "cannot be written (Not a directory)"),
    "in the way": (something_in_the_way, FLAT, "this is no folder that export has written"),
}


@pytest.mark.parametrize("mistake", REFUSED)
@pytest.mark.usefixtures("deterministic")
def test_what_cannot_be_exported_is_one_sentence_and_leaves_nothing(mistake: str, run: Path, capsys: Capture) -> None:
    prepare, arguments, words = REFUSED[mistake]
    prepare()
    before = sorted(run.rglob("*"))
    assert main(["export", *arguments.split()]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert words in err
    assert [path for path in sorted(run.rglob("*")) if path.name != "exports" or path in before] == before


@pytest.fixture
def pictures(run: Path, digits: Labelled) -> list[str]:
    """Ten digits, one of each class, drawn large and dark on light, and a file that is none."""
    files = [f"{label}.png" for label in range(10)]
    for label, file in enumerate(files):
        drawn(digits[0][digits[1] == label][0]).save(file)
    return [*files, "missing.png"]


def test_predict_says_with_it_what_keras_says(pictures: list[str], capsys: Capture) -> None:
    """In Keras, too, flat computes in float32. Percentages have two decimals, and the last may be rounded otherwise."""

    def said(*arguments: str) -> Any:
        capsys.readouterr()
        assert main(["predict", "--json", *pictures, *arguments]) == 1
        return json.loads(capsys.readouterr().out)

    by_keras = said("--model", FLAT)
    assert main(["export", FLAT]) == 0
    by_export = said("--model", "exports/flat")
    assert (by_keras["model"], by_export["model"]) == (FLAT, "exports/flat")
    for keras_said, export_said in zip(by_keras["pictures"], by_export["pictures"], strict=True):
        assert keras_said.keys() == export_said.keys()
        for key, value in keras_said.items():
            assert export_said[key] == (pytest.approx(value, abs=0.011) if key.endswith("percent") else value), key


def test_predict_takes_the_export_of_the_best_network_while_it_is_up_to_date(pictures: list[str]) -> None:
    best = inference.best_trained()
    assert main(["export", str(best)]) == 0
    program = "import sys\nfrom glyphline.cli import main\nmain(sys.argv[1:])\n"
    program += "slow = {'tensorflow', 'keras', 'pandas', 'matplotlib', 'sklearn', 'optuna'} & set(sys.modules)\n"
    program += "assert not slow, slow"
    done = python("-c", program, "predict", "--json", *pictures, cwd=Path.cwd())
    assert (done.returncode, done.stderr) == (0, "missing.png: there is no such file\n")
    assert json.loads(done.stdout)["model"] == f"exports/{best.stem}"
    best.write_bytes(best.read_bytes() + b" ")
    assert exported.of_model(best) is None
