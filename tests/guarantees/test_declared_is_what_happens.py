"""What dvc.yaml declares of a stage is what it opens and reads, no less and no more; and the test set stays shut."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY
from tests.guarantees.declared import Needs, declarations, under
from tests.pipeline.conftest import Clone, copy_tree, shrink, start_repository

VARIANTS = ("original", "fast")
SEVERAL_SEEDS = "fast"  # so that there is something in models/seeds

# What every stage may open beside what it declares, and why.
ALLOWED = (
    "params.yaml",  # DVC watches the keys that a stage reads, not the file
    "runs",  # when and where a stage ran, and the memory of a search: no output
    "data/downloads",  # copies of published files, verified each time
)
# Declared for the order alone: no other stage begins before check has seen params.yaml.
ORDER = {("download", "data/params.schema.json")}
# Listed and not declared as a whole: the code that a search's unfinished trials in runs/ belong to.
LISTED = {("tune", "glyphline/search")}
# Part of a declared folder and not opened: DVC cannot name what a loop's stages write but by the folder.
UNOPENED = {
    ("check", "datasets/*.yaml"),  # it needs the names of all, and opens the one that params.yaml names
    ("plot", "data/evaluation/*/probabilities.npy"),
    ("report", "data/evaluation/*/probabilities.npy"),
    ("report", "data/evaluation/*/confusion.csv"),
    ("report", "data/prepared/*/images.npy"),  # it counts the labels, which are written with the images
}
# Read and not declared, because it changes nothing that is written: where the trials of a search run.
WHERE = {"scheduler", "workers", "trial_memory_gib", "tls_ca_file", "tls_certificate", "tls_key"}


def differences(stage: str, declared: Needs, happened: Needs, files: Iterable[str]) -> list[str]:
    """What a stage does and does not declare, and what it declares and does not do. files: all there are."""

    def undeclared(done: set[str], names: Iterable[str], separator: str = "/") -> list[str]:
        return [name for name in sorted(done) if not under(name, names, separator)]

    def in_vain(names: set[str], done: set[str], separator: str = "/") -> list[str]:
        return [name for name in sorted(names) if not any(under(each, [name], separator) for each in done)]

    order = {path for name, path in ORDER if name == stage}
    own = declared.written | set(ALLOWED)
    read = happened.read - {path for name, path in LISTED if name == stage}
    unopened = [pattern for name, pattern in UNOPENED if name == stage]
    inside = {name for name in files if under(name, declared.read, "/")} - declared.read
    keys = declared.parameters | {f"search.{name}" for name in WHERE if stage == "tune"}
    if "params.yaml" in declared.read:
        keys |= happened.parameters
    written = {name.removesuffix(".partial") for name in happened.written}
    folders = {str(parent) for name in own for parent in Path(name).parents}
    return [
        *(f"opens {name}" for name in undeclared(read, declared.read | own)),
        *(f"comes before {name}" for name in sorted(order - declared.read)),
        *(f"does not open {name}" for name in in_vain(declared.read - order, read)),
        *(f"leaves {name} shut" for name in sorted(inside - read) if not matches(name, unopened)),
        *(
            f"opens all of {pattern}"
            for pattern in unopened
            if not any(matches(name, [pattern]) for name in inside - read)
        ),
        *(f"writes {name}" for name in undeclared(written - folders, own)),
        *(f"does not write {name}" for name in in_vain(declared.written, happened.written)),
        *(f"reads {name}" for name in undeclared(happened.parameters, keys, ".")),
        *(f"does not read {name}" for name in in_vain(declared.parameters, happened.parameters, ".")),
    ]


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, dict[str, Needs]]:
    """A repository in which `dvc repro` has run under the audit, and what each stage did."""
    root, logs = tmp_path_factory.mktemp("audited"), tmp_path_factory.mktemp("logs")
    copy_tree(root)
    shrink(root / "params.yaml", variants=VARIANTS)
    text = (root / "params.yaml").read_text(encoding="utf-8")
    before, name, after = text.partition(f"  {SEVERAL_SEEDS}:\n")
    assert "    seeds: 1\n" in after
    (root / "params.yaml").write_text(before + name + after.replace("    seeds: 1\n", "    seeds: 2\n", 1), "utf-8")
    shutil.rmtree(root / "metrics")
    (root / "dvc.lock").unlink()
    clone = start_repository(root)
    audit = REPOSITORY / "tests/guarantees/audit"
    clone.dvc("repro", GLYPHLINE_AUDIT=str(logs), PYTHONPATH=str(audit))
    happened: dict[str, Needs] = defaultdict(Needs)
    for path in logs.glob("*/*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, name = json.loads(line)
            getattr(happened[path.parent.name], kind).add(name)
    return clone, dict(happened)


@pytest.fixture(scope="module")
def declared(audited: tuple[Clone, dict[str, Needs]]) -> dict[str, Needs]:
    return declarations(audited[0].root)


@pytest.fixture(scope="module")
def files(audited: tuple[Clone, dict[str, Needs]]) -> list[str]:
    """All files there are after the run, but for what .dvcignore leaves out of the declared folders."""
    root = audited[0].root
    paths = (path for path in root.rglob("*") if path.is_file() and path.name != ".gitignore")
    return [path.relative_to(root).as_posix() for path in paths]


def test_every_stage_was_audited(audited: tuple[Clone, dict[str, Needs]], declared: dict[str, Needs]) -> None:
    assert set(audited[1]) == set(declared)


def test_what_is_declared_is_what_happens(
    audited: tuple[Clone, dict[str, Needs]], declared: dict[str, Needs], files: list[str]
) -> None:
    found = {name: differences(name, declared[name], happened, files) for name, happened in audited[1].items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("section", ["read", "written", "parameters"])
def test_a_line_taken_out_of_dvc_yaml_is_missed(
    audited: tuple[Clone, dict[str, Needs]], declared: dict[str, Needs], files: list[str], section: str
) -> None:
    count = 0
    for name, needs in declared.items():
        for line in getattr(needs, section):
            fewer = Needs(**vars(needs) | {section: getattr(needs, section) - {line}})
            found = differences(name, fewer, audited[1][name], files)
            assert found, f"{name} needs {line}, and the audit does not see it"
            count += 1
    assert count > len(declared)


def test_a_line_too_many_in_dvc_yaml_is_seen(
    audited: tuple[Clone, dict[str, Needs]], declared: dict[str, Needs], files: list[str]
) -> None:
    for name, needs in declared.items():
        more = Needs(needs.read | {"README.md"}, needs.written | {"data/nothing"}, needs.parameters | {"gate"})
        assert differences(name, more, audited[1][name], files) == [
            "does not open README.md",
            "does not write data/nothing",
            "does not read gate",
        ]


def test_only_evaluate_opens_the_test_set(audited: tuple[Clone, dict[str, Needs]]) -> None:
    _, happened = audited
    assert [name for name, needs in happened.items() if "data/raw/test.npz" in needs.read] == ["evaluate"]
    assert [name for name, needs in happened.items() if "data/raw/test.npz" in needs.written] == ["download"]


def digests(clone: Clone) -> dict[str, str]:
    """By output, its digest in dvc.lock."""
    stages = YAML(typ="safe").load(clone.read("dvc.lock"))["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


@pytest.mark.long
def test_other_labels_in_the_test_file_change_nothing_upstream(
    audited: tuple[Clone, dict[str, Needs]], declared: dict[str, Needs]
) -> None:
    clone, _ = audited
    before = digests(clone)
    file = clone.root / "data/raw/test.npz"
    with np.load(file) as raw:
        images, labels = raw["images"], raw["labels"]
    file.unlink()  # a link into the cache, perhaps
    np.savez(file, images=images, labels=(labels + 1) % 10)
    shutil.rmtree(clone.root / "runs")  # the finished study too: the trials run again
    clone.dvc("commit", "--force", "download")
    upstream = [name for name in declared if name not in {"check", "download", "evaluate", "plot", "report"}]
    for name in upstream:  # whatever DVC thinks of it
        clone.dvc("repro", "--force", "--single-item", name)
    clone.dvc("repro")
    after = digests(clone)
    changed = {path for path, digest in after.items() if digest != before[path]}
    of_the_rest = {path for name in ("evaluate", "plot", "report") for path in declared[name].written}
    assert "metrics/test.json" in changed
    assert changed <= of_the_rest | {"data/raw/test.npz"}
