"""A stranger's own pictures through the whole pipeline, as docs/own-data.md says it."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glyphline.data.pictures import read_picture
from glyphline.data.records import Pictures
from glyphline.predict.prepare import Preparation
from tests.conftest import REPOSITORY
from tests.pipeline.conftest import Clone, copy_tree, shrink, start_repository

pytestmark = pytest.mark.long


def fresh(root: Path, *variants: str, searches: tuple[str, ...] = ()) -> Clone:
    """A repository with these variants and searches, and nothing run yet."""
    copy_tree(root)
    shrink(root / "params.yaml", limit=None, variants=variants, searches=searches)
    return start_repository(root)


def blocks() -> list[str]:
    page = (REPOSITORY / "docs/own-data.md").read_text(encoding="utf-8")
    return re.findall(r"^```(?:sh)?\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


def test_the_page_works_to_the_letter_also_in_another_clone_in_its_queue_and_in_the_proof(
    tmp_path: Path,
) -> None:
    own = fresh(tmp_path / "own", "mlp")
    add_and_run, make, said, *_ = blocks()
    assert own.run("bash", "-ec", make).stdout == said
    add, run, _ = add_and_run.split("\n")
    own.run("bash", "-ec", add)
    output = own.run("bash", "-ec", run).stdout
    assert "mlp: accuracy " in output
    assert json.loads(own.read("metrics/test.json"))["mlp"]["n"] == 341
    own.commit("Runes")

    remote = tmp_path / "remote"
    own.dvc("remote", "add", "--default", "here", str(remote))
    own.commit("Remote")
    own.dvc("push", "datasets/runes.npz.dvc")
    other = own.cloned(tmp_path / "clone")
    missing = other.run("python", "-m", "stages.download", check=False)
    assert missing.stdout.startswith("datasets/runes.npz: the packed images of data set runes are not here")
    other.dvc("pull", "datasets/runes.npz.dvc")
    assert "1,456 training and 341 test images" in other.run("python", "-m", "stages.download").stdout

    other.git("config", "user.name", "Test")
    other.git("config", "user.email", "test@example.org")
    params = other.root / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("dataset: runes", "dataset: mnist-5k"), "utf-8")
    other.commit("Digits")
    (other.root / "datasets/runes.npz").unlink()  # the queue takes it from DVC's cache
    other.dvc("exp", "run", "--queue", "--name", "queued", "-S", "dataset=runes", "-S", "limit=300")
    queued = other.dvc("exp", "run", "--run-all").stdout
    assert "ERROR" not in queued
    other.dvc("exp", "apply", "queued")
    assert json.loads(other.read("metrics/test.json"))["mlp"]["n"] == 341

    proof = own.run("python", "-m", "glyphline.review.proof").stdout
    assert "1,456 training and 341 test images" in proof
    assert "**Proven to the byte:** " in proof


def test_a_small_coloured_set_and_predict_agree(tmp_path: Path) -> None:
    clone = fresh(tmp_path / "clone", "mlp", "fast", searches=("tuned",))
    generator = np.random.default_rng(1)
    for number in range(150):
        name = ("red", "green", "blue")[number % 3]
        pixels = generator.integers(0, 120, (40, 30 + number % 20, 3), dtype=np.uint8)
        pixels[8:30, 8:20, number % 3] += 130
        (clone.root / "colours" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(clone.root / "colours" / name / f"{number}.png")
    clone.run("glyphline", "data", "add", "colours", "--name", "colours", "--side", "32")
    clone.dvc("exp", "run", "-S", "dataset=colours", "-S", "variants.mlp.epochs=5")
    assert "Data and pipelines are up to date." in clone.run("glyphline", "repro").stdout
    card = json.loads(clone.read("data/raw/dataset.json"))
    assert (card["side"], card["channels"]) == (32, 3)
    with np.load(clone.root / "data/raw/test.npz") as raw:
        place = {hashlib.sha256(image.tobytes()).digest(): number for number, image in enumerate(raw["images"])}
    prepare = Preparation(32, 3, Pictures.model_validate(card["pictures"]))
    files: dict[int, str] = {}
    for path in sorted((clone.root / "colours").rglob("*.png")):
        digest = hashlib.sha256(prepare(read_picture(path)).image.tobytes()).digest()
        if digest in place:
            files[place[digest]] = str(path)
    assert len(files) == len(place)
    ordered = [files[number] for number in range(len(files))]
    said = json.loads(clone.run("glyphline", "predict", "--json", "--model", "models/mlp.keras", *ordered).stdout)
    evaluated = pd.read_csv(clone.root / "metrics/predictions/mlp.csv")["predicted"]
    expected = [card["class_names"][label] for label in evaluated]
    assert [picture["class"] for picture in said["pictures"]] == expected
