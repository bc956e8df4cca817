"""A `.keras` file from anywhere: no code in it is run, no file is read for it, and it takes no more than its size."""

import io
import json
import math
import os
import typing
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glyphline.config import load_params
from glyphline.model import inference, networks, training
from glyphline.model.files import save
from glyphline.model.variant import Variant, choices
from tests.conftest import REPOSITORY, python, refusal
from tests.guarantees.conftest import Event

IMAGE = np.zeros((1, 28, 28), np.uint8)
VARIANTS = load_params(REPOSITORY / "params.yaml").variants
Config = dict[str, Any]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as Glyphline saves it."""
    training.make_deterministic(1)
    path = tmp_path_factory.mktemp("honest") / "network.keras"
    save(networks.build(Variant(dense=[8], epochs=1), (28, 28, 1), 10, steps=1), path)
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def wrote(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused(path: Path) -> str:
    """What is said when a model is refused."""
    message = refusal(inference.probabilities, path, IMAGE)
    assert message.startswith(f"{path}: ")
    return message


ALARMS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "marshal.loads", "pickle.find_class", "socket")


def alarms(events: list[Event]) -> list[str]:
    """Of what an audit heard: programs, connections, unpickled code and opened secrets."""
    return [
        event
        for event, arguments in events
        if event.startswith(ALARMS) or (event == "open" and "secret" in str(arguments[0]))
    ]


def part(module: str | None, name: str, /, **config: Any) -> Config:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


def function(module: str, name: str) -> Config:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


SECRET = "/secret"  # stands for a file beside the model
LAYERS = {
    "a program as a class": part("os", "system", command="true"),
    "a Lambda": part(
        "keras.layers", "Lambda", name="x", function={"class_name": "__lambda__", "config": {"code": "4wE="}}
    ),
    "an old Lambda": {"class_name": "Lambda", "config": {"name": "x", "function": ["4wE=", None, None]}},
    "a saved TensorFlow program": part("keras.layers", "TFSMLayer", filepath=SECRET, name="x"),
    "a pickled torch module": part("keras.layers", "TorchModuleWrapper", module="gASVIQAAAA==", name="x"),
    "a function of jax's": part("keras.layers", "JaxLayer", call_fn=function("os", "system"), name="x"),
    "a vocabulary file": part("keras.layers", "StringLookup", vocabulary=SECRET, name="x"),
    "another vocabulary file": part("keras.layers", "TextVectorization", vocabulary=SECRET, name="x"),
    "a custom class": part(None, "Evil") | {"registered_name": "Custom>Evil"},
    "a class of any module": part("keras.src.utils.python_utils", "func_load"),
    "the switch of safe mode": part("keras.config", "enable_unsafe_deserialization"),
    "an image of gigabytes": part("keras.layers", "ZeroPadding2D", padding=[[20000, 20000], [20000, 20000]], name="x"),
    "a module that is none": {"module": ["os"], "class_name": ["system"], "config": {}},
}
ACTIVATIONS = {
    "a program": function("os", "system"),
    "a download": function("keras.utils", "get_file"),
    "a download by another name": function("builtins", "get_file"),
    "a download by its place": function("keras.src.utils.file_utils", "get_file"),
    "safe mode's switch": function("keras.config", "enable_unsafe_deserialization"),
    "another model": function("keras.models", "model_from_json"),
    "Python": "__import__('os').system('true')",
}


def attacks() -> Iterator[tuple[str, Callable[[Config], None]]]:
    for name, layer in LAYERS.items():
        yield name, lambda config, layer=layer: config["config"]["layers"].insert(1, layer)  # type: ignore[misc]
    for name, activation in ACTIVATIONS.items():
        yield name, lambda config, activation=activation: last(config).update(activation=activation)  # type: ignore[misc]
    yield "a program as optimiser", lambda config: config["compile_config"].update(optimizer=part("os", "system"))
    yield "brackets", lambda config: last(config).update(name=json.loads("[" * 900 + "]" * 900))


def last(config: Config) -> Config:
    """The arguments of the last layer."""
    return typing.cast(Config, config["config"]["layers"][-1]["config"])


ATTACKS = dict(attacks())
OWN_CODE = {  # and what is said of it
    "a program as a class": "brings code of its own (system of os), which is not run",
    "a Lambda": "brings code of its own (a Lambda layer), which is not run",
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.usefixtures("growth")
def test_no_code_in_a_model_is_run(attack: str, honest: Path, tmp_path: Path, audited: list[Event]) -> None:
    config = json.loads(members_of(honest)["config.json"])
    ATTACKS[attack](config)
    text = json.dumps(config).replace(SECRET, str(tmp_path / "secret.txt"))
    (tmp_path / "secret.txt").write_text("word\n", encoding="utf-8")
    path = wrote(tmp_path / "wrong.keras", members_of(honest) | {"config.json": text.encode()})
    audited.clear()
    assert OWN_CODE.get(attack, "") in refused(path)
    assert alarms(audited) == []


def test_the_audit_would_hear_of_a_program_and_of_the_secret(tmp_path: Path, audited: list[Event]) -> None:
    (tmp_path / "secret.txt").touch()
    os.system("true")
    assert alarms(audited) == ["open", "os.system"]


@pytest.mark.usefixtures("growth")
@pytest.mark.parametrize("units", [4_000_000, 40_000])
def test_a_network_larger_than_its_file_takes_no_memory(units: int, honest: Path, tmp_path: Path) -> None:
    config = json.loads(members_of(honest)["config.json"])
    hidden, output = config["config"]["layers"][-2:]
    hidden["config"]["units"] = units
    output["build_config"]["input_shape"] = [None, units]
    path = wrote(tmp_path / "large.keras", members_of(honest) | {"config.json": json.dumps(config).encode()})
    assert "larger than its file can hold" in refused(path)


@pytest.mark.parametrize("bomb", ["many layers", "many models", "one layer applied often"])
def test_too_many_layers_are_refused_before_keras_is_loaded(bomb: str, honest: Path, tmp_path: Path) -> None:
    config = json.loads(members_of(honest)["config.json"])
    layers = config["config"]["layers"]
    if bomb == "many layers":
        layers[1:1] = [part("keras.layers", "Activation", name=f"x{n}", activation="relu") for n in range(300)]
    elif bomb == "many models":
        layers[1:1] = [part("keras", "Sequential", name=f"x{n}", layers=[]) for n in range(300)]
    else:
        layers[-1]["inbound_nodes"] = [[["flatten", 0, 0, {}]]] * 300
    path = wrote(tmp_path / "deep.keras", members_of(honest) | {"config.json": json.dumps(config).encode()})
    program = "import sys; from glyphline.model import inference\n"
    program += (
        "try: inference.load(inference.Path(sys.argv[1]), (28, 28, 1))\nexcept inference.ModelError as e: print(e)\n"
    )
    program += "assert 'keras' not in sys.modules and 'tensorflow' not in sys.modules"
    result = python("-c", program, str(path))
    said = f"{path}: this network has more than 100 layers, the most that are read; use another model\n"
    assert (result.stdout, result.stderr) == (said, "")


@pytest.mark.usefixtures("growth")
@pytest.mark.parametrize("member", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_zip_bomb_is_refused_before_it_goes_off(member: str, honest: Path, tmp_path: Path) -> None:
    bomb = members_of(honest)
    bomb[member] += b" " * 2**27
    path = wrote(tmp_path / "bomb.keras", bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    assert "not a .keras file, or it is damaged" in refused(path)


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "assets/../../outside.txt", "assets/more.txt"])
def test_a_member_of_any_other_name_is_refused(name: str, honest: Path, tmp_path: Path) -> None:
    path = wrote(tmp_path / "more.keras", members_of(honest) | {name: b"outside"})
    assert "not a .keras file, or it is damaged" in refused(path)
    assert not list(tmp_path.rglob("outside.txt"))


def linked(file: Any, name: str, secret: Path) -> None:
    import h5py

    file[name] = h5py.ExternalLink(str(secret), "weights")


def placed_outside(file: Any, name: str, secret: Path) -> None:
    file.create_dataset(name, (784, 8), "f4", external=[(str(secret), 0, 784 * 8 * 4)])


def virtual(file: Any, name: str, secret: Path) -> None:
    import h5py

    layout = h5py.VirtualLayout((784, 8), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "weights", (784, 8))
    file.create_virtual_dataset(name, layout)


def unpacked(file: Any, name: str, secret: Path) -> None:
    file.create_dataset(name, (2**29,), "f4", chunks=(2**20,), compression="gzip")


@pytest.mark.usefixtures("growth")
@pytest.mark.parametrize("change", [linked, placed_outside, virtual, unpacked])
def test_weights_that_lie_elsewhere_or_unpack_to_gigabytes_are_refused(
    change: Callable[[Any, str, Path], None], honest: Path, tmp_path: Path
) -> None:
    import h5py

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["weights"] = np.ones((784, 8), np.float32)
    weights = io.BytesIO(members_of(honest)["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        del file["layers/dense/vars/0"]
        change(file, "layers/dense/vars/0", secret)
    refused(wrote(tmp_path / "weights.keras", members_of(honest) | {"model.weights.h5": weights.getvalue()}))


def buildable() -> Iterator[Variant]:
    """Variants that have, between them, every part that params.yaml can ask for."""
    yield from VARIANTS.values()
    for key in ("optimizer", "initializer", "activation", "precision"):
        for value in choices(key):
            yield Variant.model_validate({"dense": [2], "epochs": 1, key: value})
    yield Variant.model_validate({"space_to_depth": 3, "padding": "same", "filters": [2, 2], "epochs": 1})


@pytest.mark.usefixtures("deterministic")
def test_every_part_that_params_yaml_can_ask_for_is_known() -> None:
    import keras

    for variant in buildable():
        network = networks.build(variant, (28, 28, 1), 10, steps=10)
        assert list(inference._unknown_parts(keras.saving.serialize_keras_object(network))) == [], variant
        widest = max(math.prod(layer.output.shape[1:]) for layer in network.layers)
        assert 4 * widest < inference._MOST_OUTPUTS, variant
        assert 4 * len(network.layers) < inference._MOST_LAYERS, variant


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("name", ["original", "fast"])
def test_a_model_of_ours_passes_and_so_does_its_untouched_copy(name: str, tmp_path: Path) -> None:
    own = tmp_path / "own.keras"
    save(networks.build(VARIANTS[name], (28, 28, 1), 10, steps=10), own)
    for path in (own, wrote(tmp_path / "copy.keras", members_of(own))):
        assert inference.probabilities(path, IMAGE).shape == (1, 10)
