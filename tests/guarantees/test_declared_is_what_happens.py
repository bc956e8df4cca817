"""What a stage opens and reads is what dvc.yaml declares of it, and only evaluate opens the test set."""

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import filter as filter_names
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.guarantees.conftest import differing
from tests.guarantees.declared import Needs, closure, declarations, schemas, under
from tests.guarantees.test_root_modules import PROGRAM
from tests.pipeline.conftest import Clone

# What every stage may open beside what it declares, and why.
ALLOWED = (
    "params.yaml",  # DVC watches the keys that a stage reads, not the file
    "runs",  # when and where a stage ran, and the memory of a search: no output
    "data/downloads",  # copies of published files, verified each time
)
# Modules that can change no result: tests/guarantees/test_root_modules.py.
ROOT = {"stages/__init__.py", *(str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("glyphline/*.py"))}
# Declared for the order alone: no other stage begins before check has seen params.yaml.
ORDER = {("download", "data/params.schema.json")}
# Part of a declared folder and not opened: DVC cannot name what a loop's stages write but by the folder.
UNOPENED = {
    ("evaluate", "data/prepared/train/*"),  # of the labels to check, those of the validation split are looked at
    ("plot", "data/evaluation/*/probabilities.npy"),
    ("plot", "metrics/search/*/winner.json"),
    ("report", "data/prepared/*/images.npy"),  # it reads how many there are of each class
    ("report", "data/prepared/*/labels.npy"),
}
# Read and not declared, because it changes nothing that is written: download depends on the record and reads it again.
EARLY = {("check", "datasets")}
# As little does it change where the trials of the searches run.
WHERE = {"workers", "trial_memory_gib"}


def differences(stage: str, declared: Needs, happened: Needs, files: Iterable[str], config: set[str]) -> list[str]:
    """What a stage does and does not declare, and what it declares and does not do.

    files: all there are. config: the modules that glyphline.config imports; a stage opens all, because each section of
    params.yaml is checked, and declares those of the sections that it reads.
    """

    def undeclared(done: set[str], names: Iterable[str], separator: str = "/") -> list[str]:
        return [name for name in sorted(done) if not under(name, names, separator)]

    def in_vain(names: set[str], done: set[str], separator: str = "/") -> list[str]:
        return [name for name in sorted(names) if not any(under(each, [name], separator) for each in done)]

    order = {path for name, path in ORDER if name == stage}
    own = declared.written | set(ALLOWED) | {path for name, path in EARLY if name == stage}
    beside = ROOT | (config if "glyphline/config.py" in happened.read else set())
    code = {name for name in beside if not under(name, schemas(declared), "/")}
    unopened = [pattern for name, pattern in UNOPENED if name == stage]
    inside = {name for name in files if under(name, declared.read, "/") and not is_code(name)} - declared.read
    keys = declared.parameters | (WHERE if stage.startswith("tune@") else set())
    if "params.yaml" in declared.read:
        keys |= happened.parameters
    written = {name.removesuffix(".partial") for name in happened.written}
    folders = {str(parent) for name in own for parent in Path(name).parents}
    return [
        *(f"opens {name}" for name in undeclared(happened.read - code, declared.read | own)),
        *(f"comes before {name}" for name in sorted(order - declared.read)),
        *(f"does not open {name}" for name in in_vain(declared.read - order, happened.read)),
        *(f"leaves {name} shut" for name in sorted(inside - happened.read) if not matches(name, unopened)),
        *(f"opens all of {pattern}" for pattern in unopened if not filter_names(inside - happened.read, pattern)),
        *(f"writes {name}" for name in undeclared(written - folders, own)),
        *(f"does not write {name}" for name in in_vain(declared.written, happened.written)),
        *(f"reads {name}" for name in undeclared(happened.parameters, keys, ".")),
        *(f"does not read {name}" for name in in_vain(declared.parameters, happened.parameters, ".")),
    ]


def is_code(name: str) -> bool:
    """Whether a path is one of code, which is declared by the folder."""
    return name.startswith(("glyphline/", "stages/"))


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Audit:
    """What the stages of one run did, what they declare, and what there is."""

    happened: dict[str, Needs]
    declared: dict[str, Needs]
    files: list[str]
    config: set[str]

    def differences(self, stage: str, declared: Needs | None = None) -> list[str]:
        needs = declared or self.declared[stage]
        return differences(stage, needs, self.happened[stage], self.files, self.config)


@pytest.fixture(scope="module")
def audit(finished: Clone) -> Audit:
    happened: dict[str, Needs] = defaultdict(Needs)
    for path in (finished.root.parent / "audit").glob("*/*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, name = json.loads(line)
            getattr(happened[path.parent.name], kind).add(name)
    # All files but those that .dvcignore leaves out of the declared folders.
    files = [path for path in finished.root.rglob("*") if path.is_file() and path.name != ".gitignore"]
    program = (
        "import sys, glyphline.config; print(*(m.__file__ for n, m in sys.modules.items() if n[:9] == 'glyphline'))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return Audit(
        dict(happened),
        declarations(finished.root),
        [path.relative_to(finished.root).as_posix() for path in files],
        {Path(name).relative_to(REPOSITORY).as_posix() for name in loaded.stdout.split()},
    )


def test_every_stage_was_audited(audit: Audit) -> None:
    assert set(audit.happened) == set(audit.declared)


def test_what_is_declared_is_what_happens(audit: Audit) -> None:
    found = {name: audit.differences(name) for name in audit.declared}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("section", ["read", "written", "parameters"])
def test_a_line_taken_out_of_dvc_yaml_is_missed(audit: Audit, section: str) -> None:
    lines = [(name, line) for name, needs in audit.declared.items() for line in getattr(needs, section)]
    assert len(lines) > len(audit.declared)
    for name, line in lines:
        needs = audit.declared[name]
        fewer = Needs(**vars(needs) | {section: getattr(needs, section) - {line}})
        # Where config opens all that a stage uses of a folder, the imports tell: tests/test_declared.py.
        imports = closure(Path("stages", name.partition("@")[0]).with_suffix(".py")) if is_code(line) else set()
        assert audit.differences(name, fewer) or line in imports, f"{name} needs {line}, and nobody sees it"


def test_a_line_too_many_in_dvc_yaml_is_seen(audit: Audit) -> None:
    for name, needs in audit.declared.items():
        more = Needs(needs.read | {"README.md"}, needs.written | {"data/nothing"}, needs.parameters | {"gate"})
        found = audit.differences(name, more)
        assert {"does not open README.md", "does not write data/nothing", "does not read gate"} <= set(found)


def test_only_evaluate_opens_the_test_set(audit: Audit) -> None:
    assert [name for name, needs in audit.happened.items() if "data/raw/test.npz" in needs.read] == ["evaluate"]
    assert [name for name, needs in audit.happened.items() if "data/raw/test.npz" in needs.written] == ["download"]


@pytest.mark.long
def test_other_labels_in_the_test_file_change_nothing_upstream(clone: Clone, finished: Clone) -> None:
    declared = declarations(clone.root)
    judging = ("evaluate", "plot", "report")
    upstream = [name for name in clone.stages() if name not in ("check", "download", *judging)]
    file = clone.root / "data/raw/test.npz"
    with np.load(file) as raw:
        images, labels = raw["images"], raw["labels"]
    for path in (file, *(clone.root / out for name in upstream for out in declared[name].written)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(clone.root / "runs")  # the finished study too: the trials run again
    np.savez(file, images=images, labels=(labels + 1) % 10)
    clone.run(sys.executable, "-c", PROGRAM, *upstream, "evaluate")
    changed = differing(finished, clone)
    assert "metrics/test.json" in changed
    assert [
        path for path in changed if not under(path, declared["evaluate"].written | {"data/raw/test.npz"}, "/")
    ] == []
