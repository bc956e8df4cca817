"""What comes from elsewhere: every package is locked by its digest, and what is downloaded is data, never run."""

import hashlib
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from glyphline.data.source import read_dataset
from tests.conftest import REPOSITORY, load_record
from tests.guarantees.conftest import LOADED, RUN, Event
from tests.stages.test_download import made_up, random_data

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
DIGESTS: dict[str, str] = PROJECT["tool"]["glyphline"]["locks"]
ENTRY = re.compile(r"([a-z0-9-]+)==\S+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n")


def test_no_lock_changes_without_pyproject_toml() -> None:
    locks = [path for path in REPOSITORY.glob("*.lock") if path.name != "dvc.lock"]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in locks}
    assert digests == DIGESTS, "run: make lock"


@pytest.mark.parametrize("name", DIGESTS)
def test_a_lock_holds_versions_with_their_digests_and_nothing_else(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    rest = re.sub(r"^ +#.*\n", "", ENTRY.sub("", text), flags=re.MULTILINE)
    assert rest == "", "neither an address nor an option nor a package without a digest"


def test_every_package_that_pyproject_toml_names_is_locked() -> None:
    groups: dict[str, list[str]] = PROJECT["dependency-groups"]
    asked = {"requirements.lock": PROJECT["project"]["dependencies"] + groups["dev"]}
    asked |= {f"{group}.lock": names for group, names in groups.items() if group != "dev"}
    assert set(asked) == set(DIGESTS)
    for name, requirements in asked.items():
        locked = {match[1] for match in ENTRY.finditer((REPOSITORY / name).read_text(encoding="utf-8"))}
        assert {re.split(r"[^a-z0-9.-]", line)[0].replace(".", "-") for line in requirements} <= locked, name


def test_what_is_installed_is_checked_against_the_locks() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"^.*pip install.*$", makefile, re.MULTILINE)
    assert len(installs) == 4
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation --editable ." in line, line


@pytest.mark.parametrize("name", ["k49", "mnist"])
def test_nothing_that_was_downloaded_is_run(name: str, world: Path, audited: list[Event]) -> None:
    classes = len(load_record(name).class_names)
    for attempt in ("once, by which every module is imported", "again"):
        parts = random_data(2 * classes, classes, seed=1), random_data(classes, classes, seed=2)
        dataset = made_up(name, world / attempt, *parts)
        audited.clear()
        read = read_dataset(name, dataset, str(world / attempt), world / attempt / "downloads")
    events = list(audited)
    np.testing.assert_array_equal(read[0][0], parts[0][0])
    assert sum(event == "open" and "downloads" in str(arguments[0]) for event, arguments in events) >= 4
    assert [(event, arguments) for event, arguments in events if event.startswith((*RUN, *LOADED))] == []
    # NumPy parses an npz member's header into a syntax tree, of which it takes literals alone; nothing executes it.
    sources = [bytes(arguments[0]) for event, arguments in events if event == "compile"]
    assert all(
        re.fullmatch(rb"\{'descr': '\|u1', 'fortran_order': False, 'shape': \([\d, ]+\), \} *\n?", source)
        for source in sources
    )


def test_the_audit_would_hear_of_a_downloaded_pickle(world: Path, audited: list[Event]) -> None:
    np.save("data.npy", np.array([Path()], dtype=object))
    audited.clear()
    np.load("data.npy", allow_pickle=True)
    assert "pickle.find_class" in [event for event, _ in audited]
