"""params.yaml: what it says, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from glyphline.config import load_params, parse_params
from glyphline.errors import ParamsError
from glyphline.model.variant import Augmentation, Variant
from glyphline.review.limits import Limits
from tests.conftest import REPOSITORY, refusal, replace

# The layers, optimiser, rate, batch and epochs that the reference systems published.
_DROPOUT = {"convolution_dropout": 0.25, "dense_dropout": 0.5}
_ORIGINAL = {"filters": [32, 64], "pooling": "last", "dense": [128], "batch_size": 128, "epochs": 20} | _DROPOUT
_SMALL = _ORIGINAL | {"filters": [32, 32], "dense": [64]}
_ADADELTA = {"filters": [32, 64], "pooling": "last", "dense": [128], "batch_size": 128, "epochs": 12}
_ADADELTA |= {"optimizer": "adadelta", "learning_rate": 1.0}
PUBLISHED: dict[str, dict[str, Any]] = {
    "original": _ORIGINAL,
    "small": _SMALL,
    "l2": _ORIGINAL | {"first_convolution_l2": 0.01},
    "small_l2": _SMALL | {"first_convolution_l2": 0.01},
    "pooled": {"filters": [32, 64], "pooling": "each", "dense": [128], "batch_size": 100, "epochs": 10},
    "adadelta": _ADADELTA,
    "adadelta_dropout": _ADADELTA | _DROPOUT,
    "mlp": {"dense": [512], "optimizer": "rmsprop", "batch_size": 128, "epochs": 15},
    "convnet": {"filters": [32, 64], "pooling": "each", "convolution_dropout": 0.5, "batch_size": 128, "epochs": 15},
}

VARIANTS = """\
variants:
  mlp:
    dense: [8]
    epochs: 1
"""
SMALL = f"""\
seed: 1
dataset: mnist-5k
limit:
preprocess:
  validation_fraction: 0.1
{VARIANTS}"""


@pytest.fixture
def params_file(world: Path) -> Path:
    """params.yaml of the world, by the name that errors call it."""
    return Path("params.yaml")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_variant_is_what_its_reference_published(name: str) -> None:
    variant = load_params(REPOSITORY / "params.yaml").variants[name]
    assert variant == Variant.model_validate({"optimizer": "adam"} | PUBLISHED[name])
    # What all of them share, and the table above leaves to the schema's defaults, none of them of the references':
    assert (variant.space_to_depth, variant.batch_normalization, variant.precision) == (1, False, "float32")
    assert (variant.schedule, variant.weight_decay, variant.label_smoothing) == ("constant", 0.0, 0.0)
    assert variant.augmentation == Augmentation()
    assert variant.seeds == 1
    assert (variant.kernel_size, variant.activation, variant.initializer) == (3, "relu", "glorot_uniform")
    assert variant.early_stopping is None
    assert variant.learning_rate == (1.0 if variant.optimizer == "adadelta" else 0.001)


def test_the_repository_runs_on_the_bundled_digits_with_the_seed_of_its_reference() -> None:
    params = load_params(REPOSITORY / "params.yaml")
    assert (params.dataset, params.limit, params.seed) == ("mnist-5k", None, 1234)


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("seed: 1", "seed: one", "seed", "valid integer, but it is 'one'"),
        ("seed: 1", "seed: -1", "seed", "greater than or equal to 0"),
        ("seed: 1", "seed: 4294967296", "seed", "less than 4294967296"),
        ("seed: 1", "speed: 1\nseed: 1", "speed", "unknown key; did you mean seed?"),
        ("seed: 1\n", "", "seed", "missing"),
        ("dataset: mnist-5k", "dataset: 5", "dataset", "valid string"),
        ("limit:", "limit: 0", "limit", "greater than or equal to 1"),
        ("limit:", "limit: no", "limit", "but it is 'no'"),
        ("0.1", "0.0", "preprocess.validation_fraction", "greater than 0"),
        ("0.1", "1.0", "preprocess.validation_fraction", "less than 1"),
        ("0.1", ".nan", "preprocess.validation_fraction", "nan"),
        ("epochs: 1", "epochs: '1'", "variants.mlp.epochs", "valid integer, but it is '1'"),
        ("epochs: 1", "epochs: true", "variants.mlp.epochs", "valid integer, but it is True"),
        ("epochs: 1", "epochs: 1.5", "variants.mlp.epochs", "valid integer"),
        ("epochs: 1", "epoch: 1\n    epochs: 1", "variants.mlp.epoch", "did you mean epochs?"),
        ("epochs: 1", "xyzzy: 1\n    epochs: 1", "variants.mlp.xyzzy", "known here: space_to_depth, filters"),
        ("[8]", "[8, 0]", "variants.mlp.dense.1", "greater than or equal to 1"),
        ("[8]", "8", "variants.mlp.dense", "valid list"),
        ("[8]", "[8]\n    dense_dropout: 1.5", "variants.mlp.dense_dropout", "less than 1, but it is 1.5"),
        ("[8]", "[8]\n    convolution_dropout: -0.1", "variants.mlp.convolution_dropout", "greater than or equal to 0"),
        ("[8]", "[8]\n    optimizer: adamm", "variants.mlp.optimizer", "'adam', 'adamw', 'rmsprop'"),
        ("[8]", "[8]\n    pooling: first", "variants.mlp.pooling", "'each', 'last' or 'none'"),
        ("[8]", "[8]\n    learning_rate: 0", "variants.mlp.learning_rate", "greater than 0"),
        ("[8]", "[8]\n    learning_rate: .inf", "variants.mlp.learning_rate", "finite"),
        ("[8]", "[8]\n    learning_rate: '1e-3'", "variants.mlp.learning_rate", "valid number, but it is '1e-3'"),
        ("[8]", "[8]\n    first_convolution_l2: 0.1", "variants.mlp", "needs a convolution"),
        ("dense: [8]", "filters: [4]\n    first_convolution_l2: .inf", "variants.mlp.first_convolution_l2", "finite"),
        ("[8]", "[8]\n    filters: [4]\n    pooling: [0]", "variants.mlp.pooling.0", "greater than or equal to 1"),
        ("[8]", "[8]\n    filters: [4]\n    pooling: [2]", "variants.mlp", "pooling is [2], but there are 1 conv"),
        ("[8]", "[8]\n    schedule: linear", "variants.mlp.schedule", "'constant' or 'cosine'"),
        ("[8]", "[8]\n    warmup: 0.1", "variants.mlp", "warmup belongs to a schedule of cosine"),
        ("[8]", "[8]\n    weight_decay: -0.1", "variants.mlp.weight_decay", "greater than or equal to 0"),
        ("[8]", "[8]\n    label_smoothing: 1", "variants.mlp.label_smoothing", "less than 1"),
        ("[8]", "[8]\n    precision: float16", "variants.mlp.precision", "'auto', 'float32' or 'bfloat16'"),
        ("[8]", "[8]\n    seeds: 0", "variants.mlp.seeds", "greater than or equal to 1"),
        ("[8]", "[8]\n    augmentation: {shift: 65}", "variants.mlp.augmentation.shift", "less than or equal to 64"),
        ("[8]", "[8]\n    augmentation: {turn: 5}", "variants.mlp.augmentation.turn", "known here: shift, rotation"),
        ("[8]", "[8]\n    augmentation: {until: 2}", "variants.mlp.augmentation.until", "less than or equal to 1"),
        ("[8]", "[8]\n    augmentation: 5", "variants.mlp.augmentation", "but it is 5"),
        ("dataset: ", f"dataset: {'m' * 60}", "dataset", "at most 60 characters"),
        ("  mlp:", "  Mlp:", "variants.Mlp", "a variant's name is a lower-case letter"),
        ("  mlp:", "  2mlp:", "variants.2mlp", "a variant's name is a lower-case letter"),
        ("  mlp:", f"  {'m' * 41}:", "variants." + 41 * "m", "a variant's name is a lower-case letter, then up to 39"),
        ("  mlp:", '  "../mlp":', "variants.../mlp", "a variant's name is a lower-case letter"),
        ("  mlp:", '  "mlp\\n":', r"variants.'mlp\n'", "a variant's name is a lower-case letter"),
        ("  mlp:", "  7:", "variants.7", "valid string"),
        ("  mlp:", "  mlp: 5\n  other:", "variants.mlp", "but it is 5"),
        ("seed: 1", "seed: 1\ngate: 5", "gate", "but it is 5"),
        ("seed: 1", "seed: 1\ngate: {accuracy_floor: 95}", "gate.accuracy_floor", "less than or equal to 1"),
        ("seed: 1", "seed: 1\ngate: {accuracy_drop: -0.1}", "gate.accuracy_drop", "greater than or equal to 0"),
        ("seed: 1", "seed: 1\ngate: {accuracy_flor: 0.9}", "gate.accuracy_flor", "did you mean accuracy_floor?"),
        ("seed: 1", "seed: 1\ngate: {variants: {M: {}}}", "gate.variants.M", "a variant's name is"),
        ("seed: 1", "seed: 1\ngate: {variants: {mlp: {accuracy_dop: 0}}}", "gate.variants.mlp.accuracy_dop", "did you"),
        (VARIANTS, "variants: {}\n", "variants", "at least 1 item"),
    ],
)
def test_what_the_schema_forbids_is_refused_by_key(params_file: Path, old: str, new: str, key: str, words: str) -> None:
    params_file.write_text(SMALL, encoding="utf-8")
    replace(params_file, old, new)
    message = refusal(load_params, params_file)
    assert message.startswith(f"params.yaml: {key}: ")
    assert words in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file: "),
        (b"- seed\n", "the file: "),
        (SMALL.replace("  mlp", "\tmlp").encode(), r"line 7 is not YAML: found character '\t'"),
        (SMALL.encode() + b"seed: 2\n", 'line 10 is not YAML: found duplicate key "seed"'),
        (SMALL.replace("epochs: 1", "epochs: 1\n    epochs: 2").encode(), 'found duplicate key "epochs"'),
        (SMALL.replace("[8]", "[8").encode(), "is not YAML"),
        (SMALL.replace("seed: 1", "seed: *other").encode(), "line 1 is not YAML: found undefined alias 'other'"),
        (SMALL.replace("seed: 1", "seed: !!python/object:os.system x").encode(), "line 1 is not YAML: could not"),
        (SMALL.replace("seed: 1", "seed: \x00").encode(), "this is not YAML"),
        (SMALL.replace("seed", "s\xe9ed").encode("latin-1"), "byte 1 is not UTF-8 text"),
        (SMALL.encode("utf-16"), "byte 0 is not UTF-8 text"),
        (SMALL.replace("seed: 1", "seed: 2026-13-01").encode(), "month must be in 1..12"),
        (SMALL.replace("seed: 1", "seed: " + "9" * 5000).encode(), "digits"),
        (SMALL.replace("seed: 1", "seed: 0x" + "f" * 5000).encode(), "digits"),
        (SMALL.replace("seed: 1", "seed: !!bool x").encode(), "a value in it cannot be read"),
        (SMALL.replace("seed: 1", "seed: " + "[" * 1000).encode(), "a value in it cannot be read"),
    ],
)
def test_what_is_not_yaml_is_refused_in_one_line(params_file: Path, content: bytes, words: str) -> None:
    params_file.write_bytes(content)
    message = refusal(load_params, params_file)
    assert message.startswith("params.yaml: ")
    assert words in message


def test_every_mistake_gets_a_line_of_its_own_however_long_the_value_is(params_file: Path) -> None:
    wrong = SMALL.replace("seed: 1", f"seed: {list(range(999))}").replace("epochs: 1", "epochs: 0")
    params_file.write_text(wrong, encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_params(params_file)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["seed", "variants.mlp.epochs"]
    assert "[0, 1, 2, 3" in lines[0]
    assert len(lines[0]) < 200


@pytest.mark.parametrize(("written", "read"), [("1e-3", 0.001), ("1E-3", 0.001), ("1", 1.0), ("0.5", 0.5)])
def test_numbers_are_those_of_yaml_1_2_as_dvc_reads_them(params_file: Path, written: str, read: float) -> None:
    params_file.write_text(SMALL + f"    learning_rate: {written}\n", encoding="utf-8")
    assert load_params(params_file).variants["mlp"].learning_rate == read


def test_what_is_left_out_takes_the_default(params_file: Path) -> None:
    params_file.write_text(SMALL, encoding="utf-8")
    params = load_params(params_file)
    variant = params.variants["mlp"]
    assert (variant.filters, variant.optimizer, variant.learning_rate, variant.batch_size) == ([], "adam", 0.001, 128)
    assert params.gate.limits("mlp") == Limits(), "nothing is limited"


GATE = """\
gate:
  accuracy_floor: 0.9
  accuracy_drop: 0.01
  variants:
    mlp:
      accuracy_floor: 0.8
      balanced_accuracy_drop: 0
"""


def test_a_variant_is_held_to_its_own_limits_and_else_to_those_of_all(params_file: Path) -> None:
    params_file.write_text(SMALL + GATE, encoding="utf-8")
    gate = load_params(params_file).gate
    assert gate.limits("other") == Limits(accuracy_floor=0.9, accuracy_drop=0.01)
    assert gate.limits("mlp") == Limits(accuracy_floor=0.8, accuracy_drop=0.01, balanced_accuracy_drop=0.0)


def test_what_is_read_can_be_written_and_read_again() -> None:
    params = load_params(REPOSITORY / "params.yaml")
    assert parse_params(json.loads(params.model_dump_json()), "again") == params
