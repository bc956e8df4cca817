"""A changed parameter reruns the stages that need it and what follows from them, and no other."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY
from tests.guarantees.declared import declarations, repository, under
from tests.pipeline.conftest import RUNNING, Clone

# By key of params.yaml, the stages that read it and what comes after them. {name} is the variant or search in the key.
# `check` reads the whole file and is left out; what it writes depends on no value, so nothing follows from it. So is a
# stage that no row names.
JUDGED = ("evaluate", "plot", "report")
SEARCHED = ("tune@{name}", "train_winner@{name}", *JUDGED)
TRAINED = ("train@*", "tune@*", "train_winner@*", *JUDGED)
RERUN = {
    "dataset": ("download", "preprocess", *TRAINED),
    "seed": ("preprocess", *TRAINED),
    "limit": ("preprocess", *TRAINED),
    "threads": ("train@*", "train_winner@*", *JUDGED),
    "preprocess.*": ("preprocess", *TRAINED),
    "variants.*": ("train@{name}", *JUDGED),
    "searches.*.trials": SEARCHED,
    "searches.*.minutes": SEARCHED,
    "searches.*.sampler": SEARCHED,
    "searches.*.stopping": SEARCHED,
    "searches.*.patience": SEARCHED,
    "searches.*.rungs": SEARCHED,
    "searches.*.fixed.*": SEARCHED,
    "searches.*.space.*": SEARCHED,
    "searches.*.final.*": ("train_winner@{name}", *JUDGED),
    "workers": (),  # where the trials run
    "trial_memory_gib": (),
    "gate.*": (),  # what is allowed to land, not what comes out
}
NAMED = {name.partition("@")[0] for row in RERUN.values() for name in row}
DECLARED = declarations(REPOSITORY)
with repository(REPOSITORY) as repo:
    FOLLOWS = {(before.name, after.name) for after, before in repo.index.graph.edges}
PARAMS = YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def expected(key: str, stages: list[str]) -> set[str]:
    rows = [row for row in RERUN if fnmatchcase(key, row)]
    assert len(rows) == 1, f"{key} stands in {len(rows)} rows of the table instead of one"
    patterns = [pattern.format(name=key.split(".")[1]) if "{" in pattern else pattern for pattern in RERUN[rows[0]]]
    return {name for name in stages if any(fnmatchcase(name, pattern) for pattern in patterns)}


def named(stages: set[str]) -> set[str]:
    """Of these stages those in the table."""
    return {name for name in stages if name.partition("@")[0] in NAMED}


def affected(key: str) -> set[str]:
    """The stages that declare a key, and all that DVC lets follow."""
    found = {name for name, needs in DECLARED.items() if under(key, needs.parameters, ".")}
    while following := {after for before, after in FOLLOWS if before in found} - found:
        found |= following
    return found


def test_every_parameter_reruns_what_needs_it_and_nothing_else() -> None:
    for key in leaves(PARAMS):
        assert named(affected(key)) == expected(key, list(DECLARED)), key


def test_a_changed_record_concerns_download_alone_and_only_where_it_is_the_chosen_one() -> None:
    readers = {
        name: {stage for stage, needs in DECLARED.items() if under(f"datasets/{name}.yaml", needs.read, "/")}
        for name in (PARAMS["dataset"], "another")
    }
    assert readers == {PARAMS["dataset"]: {"download"}, "another": set()}


@pytest.mark.long
def test_dvc_reruns_just_that_and_goes_back_without_training(lean: Clone, tmp_path: Path) -> None:
    """Another split, after which all is due; of other variants and searches: tests/pipeline/test_repro.py."""
    clone = lean.copy(tmp_path / "clone")
    said = clone.dvc("exp", "run", "-S", "preprocess.validation_fraction=0.2").stdout
    assert named(set(RUNNING.findall(said))) == expected(
        "preprocess.validation_fraction", list(declarations(clone.root))
    )
    (clone.root / "params.yaml").write_text(lean.read("params.yaml"), encoding="utf-8")
    assert "Running stage 'train" not in clone.dvc("repro").stdout
    assert clone.git("status", "--porcelain") == ""
