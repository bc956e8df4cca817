"""What glyphline.review.integrity finds in real git repositories, each broken in one way. Nothing is run in them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from glyphline.review.integrity import DELETE, MEND, REBUILD, problems
from tests.conftest import REPOSITORY, python, refusal, replace
from tests.pipeline.conftest import Clone, start_repository

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning:dvc")

NO_STAGE_WRITES = f"delete the files that no stage writes, then {REBUILD}"

# Every kind of stage, file and folder that Glyphline's own pipeline has, without its seconds and minutes.
PIPELINE = """\
stages:
  check:
    desc: Refuse what is wrong
    cmd: mkdir -p data && cp params.yaml data/schema.json
    deps: [params.yaml]
    outs: [data/schema.json]
  prepare:
    cmd: mkdir -p data/prepared && cp code.py data/prepared/train.npz && cp code.py data/raw.npz
    params: [dataset, seed]
    deps: [data/schema.json, code.py, shared.py]
    outs: [data/raw.npz, data/prepared]
  train:
    foreach: ${variants}
    do:
      cmd: mkdir -p models/seeds/${key} data/layers &&
        { test ${key} = small || touch models/seeds/${key}/1.keras; } &&
        echo ${key} > models/${key}.keras && echo ${key} > data/layers/${key}.csv &&
        echo '{}' > metrics/train/${key}.json
      params: [seed, "variants.${key}"]
      deps: [data/prepared, shared.py]
      outs: ["models/${key}.keras", "models/seeds/${key}", "data/layers/${key}.csv"]
      metrics: ["metrics/train/${key}.json": {cache: false}]
  evaluate:
    cmd: cp code.py metrics/test.json
    params: [variants]
    deps: [data/raw.npz, code.py, models, shared.py]
    metrics: [metrics/test.json: {cache: false}]
  plot:
    cmd: mkdir -p plots && cp shared.py plots/all.png
    deps: [data/layers, metrics/train, metrics/test.json, shared.py]
    outs: [plots]
plots: [metrics/test.json]
"""
SETTINGS = (
    *(".dvc/.gitignore", ".dvc/config", ".dvcignore", ".gitattributes", ".gitignore"),
    *("data/.gitignore", "datasets/mnist-5k.yaml", "models/.gitignore"),
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
def origin(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository in which DVC has run everything."""
    root = tmp_path_factory.mktemp("origin")
    (root / "metrics/train").mkdir(parents=True)
    for name, content in {
        "dvc.yaml": PIPELINE,
        "params.yaml": PARAMS,
        "code.py": "import this\n",
        "shared.py": "import shared\n",
        **{name: (REPOSITORY / name).read_text(encoding="utf-8") for name in SETTINGS},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    scratch = start_repository(root)
    scratch.dvc("repro", "--quiet")
    scratch.commit("Run it")
    return scratch


@pytest.fixture(scope="module")
def healthy(origin: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone of it, without data."""
    return origin.cloned(tmp_path_factory.mktemp("clone") / "healthy")


@pytest.fixture
def clone(healthy: Clone, tmp_path: Path) -> Clone:
    """A copy of the healthy clone, to be broken."""
    return healthy.copy(tmp_path / "clone")


def edit_lock(clone: Clone, change: Callable[[Any], object]) -> None:
    lock = YAML().load(clone.root / "dvc.lock")
    change(lock["stages"])
    YAML().dump(lock, clone.root / "dvc.lock")


def entry(stages: Any, stage: str, path: str) -> Any:
    (wanted,) = [each for kind in ("deps", "outs") for each in stages[stage][kind] if each["path"] == path]
    return wanted


def spoil(stages: Any, stage: str, path: str) -> None:
    """Another digest in the place of the one that a stage read."""
    read = entry(stages, stage, path)
    read["md5"] = "0" * 32 + (".dir" if read["md5"].endswith(".dir") else "")


def test_nothing_is_wrong_in_a_fresh_clone_nor_where_its_data_are(clone: Clone, origin: Clone) -> None:
    assert not (clone.root / "data/prepared").exists()
    assert problems(clone.root) == problems(origin.root) == []
    assert clone.git("status", "--porcelain") == "", "looking changes nothing"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("stages:\n", "stages:\n  check: [\n", "YAML file structure is corrupted"),
        ("    desc:", "    speed: 11\n    desc:", "extra keys not allowed @ data['stages']['check']['speed']"),
        ("${variants}", "${varieties}", "Could not find 'varieties'"),
        ("echo ${key}", "echo ${kay}", "Could not find 'kay'"),
        ("[metrics/test.json]\n", "['${nothing}']\n", "Could not find 'nothing'"),
        ("[params.yaml]", "[params.yaml, plots]", "both a dependency and an output"),
        ("[plots]", "[data/raw.npz]", "output 'data/raw.npz' is specified in"),
        (PIPELINE, "", "it is missing, or it declares no stage"),
    ],
)
def test_a_pipeline_that_dvc_cannot_use_is_told_in_its_words(clone: Clone, old: str, new: str, words: str) -> None:
    replace(clone.root / "dvc.yaml", old, new)
    (sentence,) = problems(clone.root)
    assert sentence.startswith("dvc.yaml: DVC cannot work with it: ")
    assert words in sentence
    assert sentence.endswith(MEND)


@pytest.mark.parametrize(
    "content",
    ["<<<<<<< HEAD\nschema: '2.0'\n", "schema: '9.0'\nstages: {}\n", "- a list\n", "cut", "="],
)
def test_a_lock_that_dvc_cannot_read_is_to_be_deleted(clone: Clone, content: str) -> None:
    if content == "cut":
        whole = clone.read("dvc.lock")
        content = whole[: whole.index("hash: md5") + 7]
    (clone.root / "dvc.lock").write_text(content)
    (sentence,) = problems(clone.root)
    assert sentence.startswith("dvc.lock: DVC cannot read it: ")
    assert sentence.endswith(f"delete it, then {REBUILD}")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed: 1234", "seed: [", "params.yaml: line 3 is not YAML: "),
        ("seed: 1234", "seed: 2020-13-45", "month must be in 1..12"),
        ("seed: 1234", "seed: 1234\nspeed: 11", "speed: unknown key; did you mean seed?"),
    ],
)
def test_wrong_parameters_are_told(clone: Clone, old: str, new: str, words: str) -> None:
    replace(clone.root / "params.yaml", old, new)
    sentence = problems(clone.root)[0]
    assert sentence.startswith("params.yaml: ")
    assert words in sentence
    assert sentence.endswith(MEND)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("params.yaml", "fraction: 0.1", "fraction: 2", "preprocess.validation_fraction: input should be less than 1"),
        ("params.yaml", "dataset: mnist-5k", "dataset: ../x", "dataset: '../x' has no file datasets/../x.yaml; "),
        ("datasets/mnist-5k.yaml", "metric: accuracy", "metric: speed", "leading_metric: expected accuracy or "),
        ("datasets/mnist-5k.yaml", "title:", "speed: 11\ntitle:", "speed: unknown key; known here: "),
    ],
)
def test_what_check_would_refuse_is_told_though_the_lock_says_that_it_was_checked(
    clone: Clone, file: str, old: str, new: str, words: str
) -> None:
    replace(clone.root / file, old, new)
    params = (clone.root / "params.yaml").read_bytes()

    def forge(stages: Any) -> None:
        entry(stages, "check", "params.yaml").update(md5=hashlib.md5(params).hexdigest(), size=len(params))
        stages["prepare"]["params"]["params.yaml"]["dataset"] = "../x" if b"../x" in params else "mnist-5k"

    edit_lock(clone, forge)
    sentences = problems(clone.root)
    assert sentences[0].startswith(f"{file}: {words}")
    assert all(sentence.startswith(f"{file}: ") and sentence.endswith(MEND) for sentence in sentences)


CHECK = "params.yaml: it changed since check ran"


@pytest.mark.parametrize(
    ("file", "old", "new", "sentences"),
    [
        ("params.yaml", "seed: 1234", "seed: 4321",
         [CHECK, "params.yaml: seed is not what it was when prepare, train@mlp and train@small ran"]),
        ("params.yaml", "epochs: 15", "epochs: 3",
         [CHECK, "params.yaml: variants.mlp is not what it was when train@mlp ran",
          "params.yaml: variants is not what it was when evaluate ran"]),
        ("params.yaml", "  small:", "  wide: {epochs: 1}\n  small:",
         [CHECK, "dvc.lock: it lacks train@wide of dvc.yaml",
          "params.yaml: variants is not what it was when evaluate ran"]),
        ("dvc.yaml", "[dataset, seed]", "[dataset, seed, preprocess]",
         ["params.yaml: preprocess is not what it was when prepare ran"]),
        ("dvc.yaml", "[dataset, seed]", "[seed]", ["params.yaml: dataset is not what it was when prepare ran"]),
        ("dvc.yaml", "cmd: cp code.py metrics", "cmd: cp -p code.py metrics",
         ["dvc.lock: evaluate ran 'cp code.py metrics/test.json', "
          "and dvc.yaml now says 'cp -p code.py metrics/test.json'"]),
        ("code.py", "import", "# more\nimport", ["code.py: it changed since prepare and evaluate ran"]),
        ("shared.py", "import", "# more\nimport",
         ["shared.py: it changed since prepare, train@mlp and 3 more stages ran"]),
    ],
)  # fmt: skip
def test_what_is_stale_is_told_with_stages(clone: Clone, file: str, old: str, new: str, sentences: list[str]) -> None:
    replace(clone.root / file, old, new)
    assert sorted(problems(clone.root)) == sorted(f"{sentence}; {REBUILD}" for sentence in sentences)


def test_a_frozen_stage_is_looked_at_too(clone: Clone) -> None:
    replace(clone.root / "dvc.yaml", "    cmd: cp code.py metrics", "    frozen: true\n    cmd: cp code.py metrics")
    replace(clone.root / "code.py", "import", "# more\nimport")
    assert problems(clone.root) == [f"code.py: it changed since prepare and evaluate ran; {REBUILD}"]


def test_a_value_written_in_another_way_is_no_other_value(clone: Clone) -> None:
    replace(clone.root / "params.yaml", "epochs: 15", "epochs: 15\n    learning_rate: 1")
    replace(clone.root / "dvc.lock", "            epochs: 15", "            epochs: 15\n            learning_rate: 1.0")
    replace(clone.root / "dvc.lock", "          epochs: 15", "          epochs: 15\n          learning_rate: 1.0")
    assert problems(clone.root) == [f"{CHECK}; {REBUILD}"]


def test_a_variant_that_is_no_more_is_told(clone: Clone) -> None:
    replace(clone.root / "params.yaml", "  mlp:\n    dense: [8]\n    epochs: 15\n", "")
    sentences = problems(clone.root)
    assert f"dvc.lock: it holds train@mlp, which dvc.yaml does not; delete that entry, then {REBUILD}" in sentences
    assert f"metrics/train/mlp.json: plot reads it, and no stage writes it; delete it, then {REBUILD}" in sentences


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("dvc.lock", f"it lacks check, prepare and 4 more stages of dvc.yaml; {REBUILD}"),
        ("params.yaml", f"there is no such file; {MEND}"),
        ("code.py", f"missing, and prepare and evaluate ran with it; bring it back, or {REBUILD}"),
        ("metrics/train/mlp.json", f"missing, and train@mlp wrote it; bring it back, or {REBUILD}"),
    ],
)
def test_what_is_missing_is_told(clone: Clone, file: str, words: str) -> None:
    (clone.root / file).unlink()
    assert problems(clone.root) == [f"{file}: {words}"]


MORE = {"path": "data/more", "hash": "md5", "md5": "0" * 32, "size": 4}


@pytest.mark.parametrize(("kind", "path"), [("deps", "code.py"), ("outs", "data/raw.npz")])
def test_what_the_lock_lacks_or_holds_in_vain_is_told(clone: Clone, kind: str, path: str) -> None:
    lacks = [f"dvc.lock: it lacks {path}, one of the {kind} of prepare; {REBUILD}"]
    edit_lock(clone, lambda stages: entry(stages, "prepare", path).pop("md5"))
    assert problems(clone.root) == lacks
    edit_lock(clone, lambda stages: stages["prepare"][kind].remove(entry(stages, "prepare", path)))
    assert problems(clone.root) == lacks
    edit_lock(clone, lambda stages: stages["prepare"][kind].append(MORE))
    words = f"dvc.lock: it holds data/more, which dvc.yaml does not have among the {kind} of prepare; {REBUILD}"
    assert problems(clone.root) == [*lacks, words]


@pytest.mark.parametrize(
    ("stage", "path", "writers"),
    [
        ("prepare", "data/schema.json", "check"),
        ("train@mlp", "data/prepared", "prepare"),
        ("plot", "data/layers", "train@mlp and train@small"),
        ("plot", "metrics/train", "train@mlp and train@small"),
        ("plot", "metrics/test.json", "evaluate"),  # so too where a metric and its digest were edited by hand
    ],
)
def test_a_stage_that_ran_with_other_files_is_told(clone: Clone, stage: str, path: str, writers: str) -> None:
    edit_lock(clone, lambda stages: spoil(stages, stage, path))
    assert problems(clone.root) == [
        f"dvc.lock: {stage} ran with another {path} than {writers} wrote; {NO_STAGE_WRITES}"
    ]


def test_one_variant_retrained_without_what_follows_is_told(clone: Clone) -> None:
    def change(stages: Any) -> None:
        spoil(stages, "train@mlp", "data/layers/mlp.csv")
        entry(stages, "train@mlp", "models/mlp.keras")["size"] = 123

    edit_lock(clone, change)
    assert problems(clone.root) == [
        f"dvc.lock: {stage} ran with another {path} than train@mlp and train@small wrote; {NO_STAGE_WRITES}"
        for stage, path in (("evaluate", "models"), ("plot", "data/layers"))
    ]


@pytest.mark.parametrize(
    ("path", "stage"), [("metrics/test.json", "evaluate"), ("metrics/train/mlp.json", "train@mlp")]
)
def test_a_metric_edited_by_hand_is_told(clone: Clone, path: str, stage: str) -> None:
    with (clone.root / path).open("a") as file:
        file.write(" ")
    assert problems(clone.root) == [f"{path}: it is not what {stage} wrote; take it back from git, or {REBUILD}"]


def test_a_wrong_size_in_the_lock_is_told(clone: Clone) -> None:
    edit_lock(clone, lambda stages: entry(stages, "evaluate", "metrics/test.json").update(size=1))
    words = "dvc.lock: it has another size for metrics/test.json of evaluate than the file"
    assert problems(clone.root) == [f"{words}; {REBUILD}"]


def test_a_metric_that_git_ignores_is_told_before_it_is_missed(clone: Clone) -> None:
    clone.git("rm", "--quiet", "--cached", "metrics/test.json")
    (clone.root / ".gitignore").write_text("/metrics/test.json\n")
    assert problems(clone.root) == ["metrics/test.json: evaluate wrote it, and git ignores it; mend .gitignore"]


def test_a_metric_that_no_stage_writes_is_told(clone: Clone) -> None:
    (clone.root / "metrics/train/stray.json").write_text("{}\n")
    assert problems(clone.root) == [
        f"metrics/train/stray.json: plot reads it, and no stage writes it; delete it, then {REBUILD}"
    ]


def test_data_that_is_not_what_its_stage_wrote_is_told(origin: Clone, tmp_path: Path) -> None:
    clone = origin.copy(tmp_path / "clone")
    (clone.root / "data/prepared/more.npz").write_text("")
    shutil.rmtree(clone.root / "data/layers")
    (clone.root / "models/mlp.keras").unlink()
    (clone.root / "models/mlp.keras").write_text("another")
    assert problems(clone.root) == [
        f"data/prepared: it is not what prepare wrote; {DELETE}",
        f"models/mlp.keras: it is not what train@mlp wrote; {DELETE}",
    ]


def test_damage_in_the_cache_is_told_where_dvc_trusts_it(origin: Clone, tmp_path: Path) -> None:
    clone = origin.copy(tmp_path / "clone")
    copies = [path for path in (clone.root / ".dvc/cache").rglob("*") if path.is_file()]
    (listing,) = (path for path in copies if path.name.endswith(".dir") and b"train.npz" in path.read_bytes())
    (file,) = json.loads(listing.read_bytes())
    (copy,) = (path for path in copies if path.parent.name + path.name == file["md5"])
    copy.chmod(0o644)
    copy.write_bytes(copy.read_bytes()[::-1])
    copy.chmod(0o444)
    shown = copy.relative_to(clone.root)
    assert problems(clone.root) == [
        f"{shown}: damaged: its bytes are not those of data/raw.npz, which prepare wrote; {DELETE}",
        f"{shown}: damaged: its bytes are not those of data/prepared/train.npz, which prepare wrote; {DELETE}",
    ]


def test_git_does_not_bring_windows_line_ends(healthy: Clone, tmp_path: Path) -> None:
    healthy.git("clone", "--quiet", "--config", "core.autocrlf=true", str(healthy.root), str(tmp_path / "clone"))
    assert problems(tmp_path / "clone") == []


def test_a_lock_of_dvc_2_whose_digests_disregard_line_ends_is_fine(clone: Clone) -> None:
    edit_lock(clone, lambda stages: entry(stages, "prepare", "code.py").pop("hash"))
    path = clone.root / "code.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert problems(clone.root) == [f"code.py: it changed since evaluate ran; {REBUILD}"]


def test_a_folder_without_dvc_gets_one_sentence(tmp_path: Path) -> None:
    assert "not inside of a DVC repository" in refusal(problems, tmp_path)


def test_the_command_prints_what_is_wrong_and_fails(clone: Clone) -> None:
    assert python("-m", "glyphline.review.integrity", cwd=clone.root).returncode == 0
    (clone.root / "metrics/test.json").unlink()
    broken = python("-m", "glyphline.review.integrity", cwd=clone.root)
    assert broken.returncode == 1
    assert broken.stderr.splitlines() == problems(clone.root)
