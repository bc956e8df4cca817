"""What glyphline.review.integrity finds in real git repositories, each broken in one way. Nothing is run in them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from glyphline.errors import GlyphlineError
from glyphline.review.integrity import REBUILD, problems
from tests.conftest import REPOSITORY
from tests.pipeline.conftest import Clone, start_repository

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning:dvc")

MEND = f"mend it, then {REBUILD}"

# Every kind of stage, file and folder that Glyphline's own pipeline has, without its seconds and minutes.
PIPELINE = """\
stages:
  check:
    desc: Refuse what is wrong
    cmd: mkdir -p data && cp params.yaml data/schema.json
    deps:
    - params.yaml
    outs:
    - data/schema.json

  prepare:
    cmd: mkdir -p data/prepared && cp code.py data/prepared/train.npz && cp code.py data/raw.npz
    params:
    - dataset
    - seed
    deps:
    - data/schema.json
    - code.py
    - shared.py
    outs:
    - data/raw.npz
    - data/prepared

  train:
    foreach: ${variants}
    do:
      cmd: mkdir -p models/seeds/${key} data/layers &&
        { test ${key} = small || touch models/seeds/${key}/1.keras; } &&
        echo ${key} > models/${key}.keras && echo ${key} > data/layers/${key}.csv &&
        echo '{}' > metrics/train/${key}.json
      params:
      - seed
      - variants.${key}
      deps:
      - data/prepared
      - shared.py
      outs:
      - models/${key}.keras
      - models/seeds/${key}
      - data/layers/${key}.csv
      metrics:
      - metrics/train/${key}.json:
          cache: false

  evaluate:
    cmd: cp code.py metrics/test.json
    params:
    - variants
    deps:
    - data/raw.npz
    - code.py
    - models
    - shared.py
    metrics:
    - metrics/test.json:
        cache: false

  plot:
    cmd: mkdir -p plots && cp shared.py plots/all.png
    deps:
    - data/layers
    - metrics/train
    - metrics/test.json
    - shared.py
    outs:
    - plots

plots:
- metrics/test.json
"""
SETTINGS = (
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitattributes",
    ".gitignore",
    "data/.gitignore",
    "models/.gitignore",
)
PARAMS = """\
seed: 1234
dataset: mnist-5k
preprocess:
  validation_fraction: 0.1
variants:
  mlp:
    dense: [8]
    epochs: 15
  small:
    filters: [4]
    epochs: 20
"""


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository in which DVC has run everything, and from which somebody has cloned: there is no data in it."""
    origin = tmp_path_factory.mktemp("origin")
    (origin / "metrics/train").mkdir(parents=True)
    for name, content in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "code.py": "import this\n",
        "shared.py": "import shared\n",
        **{name: (REPOSITORY / name).read_text(encoding="utf-8") for name in SETTINGS},
    }.items():
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(content, encoding="utf-8")
    scratch = start_repository(origin)
    scratch.dvc("repro", "--quiet")
    scratch.commit("Run it")
    root = tmp_path_factory.mktemp("clone") / "healthy"
    scratch.git("clone", "--quiet", str(origin), str(root))
    scratch.git("-C", str(root), "config", "user.name", "Test")
    scratch.git("-C", str(root), "config", "user.email", "test@example.org")
    return Clone(root)


@pytest.fixture
def clone(healthy: Clone, tmp_path: Path) -> Clone:
    """A copy of the healthy repository, to be broken."""
    return Clone(shutil.copytree(healthy.root, tmp_path / "clone"))


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """What a YAML file says, written back at the end."""
    yaml = YAML()
    values = yaml.load(path)
    yield values
    yaml.dump(values, path)


def digest_of(content: bytes) -> dict[str, Any]:
    return {"md5": hashlib.md5(content).hexdigest(), "size": len(content)}


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def entry(stage: Any, kind: str, path: str) -> Any:
    (wanted,) = [item for item in stage[kind] if item["path"] == path]
    return wanted


def test_nothing_is_wrong_in_a_fresh_clone_whose_data_nobody_has_pulled(clone: Clone) -> None:
    assert not (clone.root / "data/prepared").exists()
    assert problems(clone.root) == problems(clone.root, "HEAD") == []
    assert clone.git("status", "--porcelain") == "", "looking changes nothing"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("stages:\n", "stages:\n  check: [\n", "YAML file structure is corrupted"),
        (
            "    desc: Refuse",
            "    speed: 11\n    desc: Refuse",
            "extra keys not allowed @ data['stages']['check']['speed']",
        ),
        ("${variants}", "${varieties}", "Could not find 'varieties'"),
        ("echo ${key}", "echo ${kay}", "Could not find 'kay'"),
        ("\nplots:\n", "\nplots:\n- ${nothing}\n", "Could not find 'nothing'"),
        ("    - params.yaml\n", "    - params.yaml\n    - plots\n", "both a dependency and an output"),
        ("    - plots\n", "    - data/raw.npz\n", "output 'data/raw.npz' is specified in"),
    ],
)
def test_a_pipeline_that_dvc_cannot_work_with_is_told_in_its_words(
    clone: Clone, old: str, new: str, words: str
) -> None:
    replace(clone.root / "dvc.yaml", old, new)
    (sentence,) = problems(clone.root)
    assert sentence.startswith("dvc.yaml: DVC cannot work with it: ")
    assert words in sentence
    assert sentence.endswith(MEND)


def test_a_missing_pipeline_is_told(clone: Clone) -> None:
    (clone.root / "dvc.yaml").unlink()
    (sentence,) = problems(clone.root)
    assert sentence.startswith("dvc.yaml: DVC cannot work with it: it is missing")


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\nschema: '2.0'\n", "schema: '9.0'\nstages: {}\n", "- a list\n"])
def test_a_lock_that_dvc_cannot_read_is_to_be_deleted(clone: Clone, content: str) -> None:
    (clone.root / "dvc.lock").write_text(content)
    (sentence,) = problems(clone.root)
    assert sentence.startswith("dvc.lock: DVC cannot read it: ")
    assert sentence.endswith(f"delete it, then {REBUILD}")


def test_a_missing_lock_is_told_in_one_sentence(clone: Clone) -> None:
    (clone.root / "dvc.lock").unlink()
    (sentence,) = problems(clone.root)
    assert sentence.startswith("dvc.lock: it lacks check, prepare and 4 more stages of dvc.yaml; ")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed: 1234", "seed: [", "params.yaml: line 3 is not YAML: "),
        ("seed: 1234", "seed: 2020-13-45", "month must be in 1..12"),
        ("seed: 1234", "seed: many", "seed: input should be a valid integer, but it is 'many'"),
        ("seed: 1234", "seed: 1234\nspeed: 11", "speed: unknown key; did you mean seed?"),
    ],
)
def test_wrong_parameters_are_told(clone: Clone, old: str, new: str, words: str) -> None:
    replace(clone.root / "params.yaml", old, new)
    sentence = problems(clone.root)[0]
    assert sentence.startswith("params.yaml: ")
    assert words in sentence
    assert sentence.endswith(MEND)


def test_missing_parameters_are_told(clone: Clone) -> None:
    (clone.root / "params.yaml").unlink()
    assert problems(clone.root) == [f"params.yaml: there is no such file; {MEND}"]


def test_another_value_is_told_with_what_it_was(clone: Clone) -> None:
    replace(clone.root / "params.yaml", "seed: 1234", "seed: 4321")
    assert problems(clone.root) == [
        f"params.yaml: it changed since check ran; {REBUILD}",
        f"params.yaml: seed is 4321, and was 1234 when prepare, train@mlp and train@small ran; {REBUILD}",
    ]


def test_another_value_of_one_variant_names_that_key_alone(clone: Clone) -> None:
    replace(clone.root / "params.yaml", "epochs: 15", "epochs: 3")
    assert problems(clone.root)[1:] == [
        f"params.yaml: variants.mlp.epochs is 3, and was 15 when train@mlp and evaluate ran; {REBUILD}"
    ]


def test_a_value_that_a_stage_never_ran_with_is_told(clone: Clone) -> None:
    replace(clone.root / "dvc.yaml", "    - seed\n", "    - seed\n    - preprocess\n")
    words = "params.yaml: preprocess.validation_fraction is 0.1, and was unset when prepare ran"
    assert problems(clone.root) == [f"{words}; {REBUILD}"]


def test_a_value_that_a_stage_does_not_read_any_more_is_told(clone: Clone) -> None:
    replace(clone.root / "dvc.yaml", "    - dataset\n", "")
    words = "params.yaml: dataset is unset, and was 'mnist-5k' when prepare ran"
    assert problems(clone.root) == [f"{words}; {REBUILD}"]


def test_a_value_written_in_another_way_is_no_other_value(clone: Clone) -> None:
    replace(clone.root / "params.yaml", "epochs: 15", "epochs: 15\n    learning_rate: 1")
    replace(clone.root / "dvc.lock", "            epochs: 15", "            epochs: 15\n            learning_rate: 1.0")
    replace(clone.root / "dvc.lock", "          epochs: 15", "          epochs: 15\n          learning_rate: 1.0")
    assert problems(clone.root) == [f"params.yaml: it changed since check ran; {REBUILD}"]


def test_a_new_variant_that_was_not_run_is_told(clone: Clone) -> None:
    with edited(clone.root / "params.yaml") as params:
        params["variants"]["wide"] = {"epochs": 1}
    assert f"dvc.lock: it lacks train@wide of dvc.yaml; {REBUILD}" in problems(clone.root)


def test_a_variant_that_is_no_more_is_told(clone: Clone) -> None:
    with edited(clone.root / "params.yaml") as params:
        del params["variants"]["mlp"]
    sentences = problems(clone.root)
    assert f"dvc.lock: it holds train@mlp, which dvc.yaml does not; delete that entry, then {REBUILD}" in sentences
    assert f"metrics/train/mlp.json: plot reads it, and no stage writes it; delete it, then {REBUILD}" in sentences


def test_another_command_is_told(clone: Clone) -> None:
    replace(clone.root / "dvc.yaml", "cmd: cp code.py metrics", "cmd: cp -p code.py metrics")
    words = "dvc.lock: evaluate ran 'cp code.py metrics/test.json', and dvc.yaml now says "
    assert problems(clone.root) == [f"{words}'cp -p code.py metrics/test.json'; {REBUILD}"]


def test_changed_code_is_told_once_with_its_stages(clone: Clone) -> None:
    replace(clone.root / "code.py", "import", "# more\nimport")
    assert problems(clone.root) == [f"code.py: it changed since prepare and evaluate ran; {REBUILD}"]


def test_code_that_many_stages_share_does_not_fill_the_page(clone: Clone) -> None:
    replace(clone.root / "shared.py", "import", "# more\nimport")
    assert problems(clone.root) == [f"shared.py: it changed since prepare, train@mlp and 3 more stages ran; {REBUILD}"]


def test_missing_code_is_told(clone: Clone) -> None:
    (clone.root / "code.py").unlink()
    words = "code.py: missing, and prepare and evaluate ran with it"
    assert problems(clone.root) == [f"{words}; bring it back, or {REBUILD}"]


@pytest.mark.parametrize("kind", ["deps", "outs"])
def test_files_that_the_lock_lacks_are_told(clone: Clone, kind: str) -> None:
    with edited(clone.root / "dvc.lock") as lock:
        stage = lock["stages"]["prepare"]
        path = {"deps": "code.py", "outs": "data/raw.npz"}[kind]
        stage[kind].remove(entry(stage, kind, path))
    assert problems(clone.root) == [f"dvc.lock: it lacks {path}, one of the {kind} of prepare; {REBUILD}"]


@pytest.mark.parametrize("kind", ["deps", "outs"])
def test_files_that_the_lock_holds_in_vain_are_told(clone: Clone, kind: str) -> None:
    with edited(clone.root / "dvc.lock") as lock:
        lock["stages"]["prepare"][kind].append({"path": "data/more", "hash": "md5", **digest_of(b"more")})
    words = f"dvc.lock: it holds data/more, which dvc.yaml does not have among the {kind} of prepare"
    assert problems(clone.root) == [f"{words}; {REBUILD}"]


@pytest.mark.parametrize(
    ("stage", "path", "writers"),
    [
        ("prepare", "data/schema.json", "check"),
        ("train@mlp", "data/prepared", "prepare"),
        ("plot", "data/layers", "train@mlp and train@small"),
        ("plot", "metrics/train", "train@mlp and train@small"),
        ("plot", "metrics/test.json", "evaluate"),
    ],
)
def test_a_stage_that_ran_with_something_else_than_was_written_is_told(
    clone: Clone, stage: str, path: str, writers: str
) -> None:
    with edited(clone.root / "dvc.lock") as lock:
        read = entry(lock["stages"][stage], "deps", path)
        read["md5"] = "0" * 32 + (".dir" if read["md5"].endswith(".dir") else "")
    words = f"dvc.lock: {stage} ran with another {path} than {writers} wrote"
    assert problems(clone.root) == [f"{words}; delete the files that no stage writes, then {REBUILD}"]


def test_one_variant_retrained_without_what_follows_is_told(clone: Clone) -> None:
    with edited(clone.root / "dvc.lock") as lock:
        entry(lock["stages"]["train@mlp"], "outs", "data/layers/mlp.csv")["md5"] = "0" * 32
        entry(lock["stages"]["train@mlp"], "outs", "models/mlp.keras")["size"] = 123
    evaluate, plot = problems(clone.root)
    assert evaluate.startswith("dvc.lock: evaluate ran with another models than train@mlp and train@small wrote")
    assert plot.startswith("dvc.lock: plot ran with another data/layers than train@mlp and train@small wrote")


@pytest.mark.parametrize("path", ["metrics/test.json", "metrics/train/mlp.json"])
def test_a_metric_edited_by_hand_is_told(clone: Clone, path: str) -> None:
    with (clone.root / path).open("a") as file:
        file.write(" ")
    (sentence,) = problems(clone.root)
    assert sentence.startswith(f"{path}: it is not what ")
    assert sentence.endswith(f" wrote; take it back from git, or {REBUILD}")


def test_a_metric_and_its_digest_edited_by_hand_are_told_by_the_stage_that_read_it(clone: Clone) -> None:
    content = (clone.root / "metrics/test.json").read_bytes() + b" "
    (clone.root / "metrics/test.json").write_bytes(content)
    with edited(clone.root / "dvc.lock") as lock:
        entry(lock["stages"]["evaluate"], "outs", "metrics/test.json").update(digest_of(content))
    (sentence,) = problems(clone.root)
    assert sentence.startswith("dvc.lock: plot ran with another metrics/test.json than evaluate wrote; ")


def test_a_wrong_size_in_the_lock_is_told(clone: Clone) -> None:
    with edited(clone.root / "dvc.lock") as lock:
        entry(lock["stages"]["evaluate"], "outs", "metrics/test.json")["size"] += 1
    words = "dvc.lock: it has another size for metrics/test.json of evaluate than the file"
    assert problems(clone.root) == [f"{words}; {REBUILD}"]


def test_a_missing_metric_is_told(clone: Clone) -> None:
    (clone.root / "metrics/train/mlp.json").unlink()
    words = "metrics/train/mlp.json: missing, and train@mlp wrote it"
    assert problems(clone.root) == [f"{words}; bring it back, or {REBUILD}"]


def test_a_metric_that_git_ignores_is_told_before_it_is_missed(clone: Clone) -> None:
    clone.git("rm", "--quiet", "--cached", "metrics/test.json")
    (clone.root / ".gitignore").write_text("/metrics/test.json\n")
    assert problems(clone.root) == ["metrics/test.json: evaluate wrote it, and git ignores it; mend .gitignore"]
    clone.commit("Lose it")
    (sentence,) = problems(clone.root, "HEAD")
    assert sentence.startswith("metrics/test.json: missing, and evaluate wrote it; ")


def test_a_metric_that_no_stage_writes_is_told(clone: Clone) -> None:
    (clone.root / "metrics/train/stray.json").write_text("{}\n")
    assert problems(clone.root) == [
        f"metrics/train/stray.json: plot reads it, and no stage writes it; delete it, then {REBUILD}"
    ]


def test_windows_line_ends_are_told_as_such(clone: Clone) -> None:
    path = clone.root / "code.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    words = "code.py: its lines end as on Windows, and as on Unix when prepare and evaluate ran"
    assert problems(clone.root) == [f"{words}; turn git's core.autocrlf off and check it out again"]


def test_git_does_not_bring_windows_line_ends(healthy: Clone, tmp_path: Path) -> None:
    healthy.git("clone", "--quiet", "--config", "core.autocrlf=true", str(healthy.root), str(tmp_path / "clone"))
    assert problems(tmp_path / "clone") == []
    assert problems(tmp_path / "clone", "HEAD") == []


def test_a_lock_of_dvc_2_whose_digests_disregard_line_ends_is_fine(clone: Clone) -> None:
    with edited(clone.root / "dvc.lock") as lock:
        del entry(lock["stages"]["prepare"], "deps", "code.py")["hash"]
    path = clone.root / "code.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (sentence,) = problems(clone.root)
    assert sentence.startswith("code.py: its lines end as on Windows, and as on Unix when evaluate ran; ")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("dvc.yaml", "stages:\n", "stages:\n  check: [\n"),
        ("dvc.yaml", "    desc: Refuse", "    speed: 11\n    desc: Refuse"),
        ("dvc.yaml", "${variants}", "${varieties}"),
        ("dvc.yaml", "    - params.yaml\n", "    - params.yaml\n    - plots\n"),
        ("dvc.yaml", "    - plots\n", "    - data/raw.npz\n"),
        ("dvc.lock", "stages:", "stages:\n="),
        ("params.yaml", "seed: 1234", "seed: ["),
        ("params.yaml", "seed: 1234", "seed: 4321"),
        ("code.py", "import", "\nimport"),
        ("metrics/test.json", "import", "\nimport"),
    ],
)
def test_a_revision_is_judged_as_the_working_tree_is(clone: Clone, path: str, old: str, new: str) -> None:
    replace(clone.root / path, old, new)
    here = problems(clone.root)
    clone.commit("Break it")
    assert problems(clone.root, "HEAD") == here != []


def test_a_revision_is_judged_by_itself(clone: Clone) -> None:
    replace(clone.root / "params.yaml", "seed: 1234", "seed: 4321")
    assert problems(clone.root)
    assert problems(clone.root, "HEAD") == [], "what is not committed does not count"
    clone.commit("Change the seed")
    clone.git("revert", "--no-edit", "HEAD")
    clone.git("branch", "wrong", "HEAD~1")
    assert problems(clone.root) == problems(clone.root, "HEAD") == []
    assert problems(clone.root, "HEAD~1") == problems(clone.root, "wrong") != []


def test_an_unknown_revision_gets_one_sentence(clone: Clone) -> None:
    with pytest.raises(GlyphlineError, match="unknown Git revision 'nowhere'"):
        problems(clone.root, "nowhere")


def test_a_folder_without_dvc_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GlyphlineError, match="not inside of a DVC repository"):
        problems(tmp_path)


def test_the_command_prints_what_is_wrong_and_fails(clone: Clone) -> None:
    def run(*revision: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "glyphline.review.integrity", *revision]
        return subprocess.run(command, cwd=clone.root, capture_output=True, text=True, check=False)

    assert run().returncode == 0
    (clone.root / "metrics/test.json").unlink()
    assert run("HEAD").returncode == 0
    broken = run()
    assert broken.returncode == 1
    assert broken.stderr.splitlines() == problems(clone.root)
    assert run("nowhere").stderr.count("\n") == 1
