"""What several tests need: real digits, and a tiny world in which stages run."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

from glyphline.errors import GlyphlineError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from glyphline.data.records import Dataset
    from tests.pipeline.conftest import Clone

REPOSITORY = Path(__file__).parents[1]

# The same commit gets the same answer, however slow the machine is.
# `pytest --hypothesis-profile=default` looks for what was never tried.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.load_profile("same")

NO_SKIPS = "GLYPHLINE_NO_SKIPS"  # set in the environment: a test that cannot run here fails instead of being skipped


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(NO_SKIPS):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        report.outcome, report.longrepr = "failed", f"{reason}, and {NO_SKIPS} is set"
    return report


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name no case by its bytes: those of a zip file hold the time, and two processes would collect other tests."""
    return "bytes" if isinstance(val, bytes) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes share the work: neither does what the other has done, and neither waits for the other.

    The tests of a file that share a fixture of its module stay in one process. Those of the first file that needs the
    finished pipeline come first of all and stay in one too, and the others that need it come in the middle: one process
    builds it, the other goes on, and at the end there are short tests to share.
    """
    first: Path | None = None
    place: dict[pytest.Item, int] = {}
    for number, item in enumerate(items):
        assert isinstance(item, pytest.Function)
        fixtures = item._fixtureinfo.name2fixturedefs
        if any(each.scope == "module" for found in fixtures.values() for each in found):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        if "finished" in fixtures:
            first = first or item.path
            place[item] = 0 if item.path == first else 2
            if item.path == first:
                item.add_marker(pytest.mark.xdist_group("finished"))
        else:
            place[item] = 1 if number < len(items) / 2 else 3
    items.sort(key=lambda item: place[item])


Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Write = Callable[..., None]
Capture = pytest.CaptureFixture[str]


def load_record(name: str) -> Dataset:
    """The record of a data set of this repository, from whatever folder a test runs in."""
    from glyphline.data.records import parse_dataset

    return parse_dataset((REPOSITORY / "datasets" / f"{name}.yaml").read_bytes(), name)


def python(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with these arguments; it finds our modules from whatever folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def replace(path: Path, old: str, new: str) -> None:
    """Put other words in the place of some that a text file has, once."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change what a JSON file holds."""
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def refusal(action: Callable[..., object], *arguments: Any) -> str:
    """The one line with which a user's mistake is refused."""
    with pytest.raises(GlyphlineError) as caught:
        action(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


@contextmanager
def growing_by_at_most(most: int) -> Iterator[None]:
    """Fail where this process grows by more bytes than that, if the system says how much memory it had at most."""

    def peak() -> int:
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # what the peak was before counts no more
    except OSError:
        yield
        return
    before = peak()
    yield
    assert peak() - before < most


@pytest.fixture(scope="session")
def bundled() -> tuple[Labelled, Labelled]:
    """The bundled data, 4,000 training and 1,000 test digits. Not to be written to."""
    from glyphline.data.source import read_dataset

    parts: Any = read_dataset("mnist-5k", load_record("mnist-5k"), None, REPOSITORY / "data/downloads")
    for images, labels in parts:
        images.setflags(write=False)
        labels.setflags(write=False)
    return tuple(parts)


@pytest.fixture(scope="session")
def digits(bundled: tuple[Labelled, Labelled]) -> Labelled:
    """1,000 real MNIST digits, 100 of each class: the test part of the bundled data. Not to be written to."""
    return bundled[1]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, in which no mirror of the user's is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GLYPHLINE_MIRROR", raising=False)
    return tmp_path


def params_in(folder: Path, **changes: Any) -> None:
    """Write a small, right params.yaml into a folder; keyword arguments replace its keys."""
    values = {
        "seed": 7,
        "dataset": "mnist-5k",
        "limit": 200,
        "preprocess": {"validation_fraction": 0.25},
        "variants": {"thin": {"dense": [8], "batch_size": 32, "epochs": 1}},
    }
    (folder / "params.yaml").write_text(json.dumps(values | changes), encoding="utf-8")


@pytest.fixture
def write_params(world: Path) -> Write:
    """Calls params_in for the world, in which the data sets' records lie as in the repository."""
    shutil.copytree(REPOSITORY / "datasets", world / "datasets", dirs_exist_ok=True)
    return functools.partial(params_in, world)


@pytest.fixture
def deterministic() -> None:
    """TensorFlow imported and seeded, as a stage does it before it builds a network."""
    from glyphline.model import training

    training.make_deterministic(1234)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository with two small variants, run once and committed. To be copied or cloned, not to be written to.

    All processes of a test run share it. Beside it lie the folder `audit`, with what each stage opened and read
    (tests/guarantees/audit), and `said.txt`, with what `dvc repro` printed.
    """
    from tests.pipeline.conftest import Clone, build

    return Clone(once(tmp_path_factory, "finished", build) / "clone")


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process of a test run to ask for it makes, and all share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_file():
            shutil.rmtree(folder, ignore_errors=True)  # another process failed in it
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@pytest.fixture
def clone(finished: Clone, tmp_path: Path) -> Clone:
    """A copy of the finished repository, to be changed."""
    return finished.copy(tmp_path / "clone")


@pytest.fixture(scope="session")
def lean(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The finished repository with one variant and one search, for what runs it again and again. Not to be written to.

    Its last commit is the run, the one before has nothing run, as in the finished one.
    """
    from tests.pipeline.conftest import Clone, thin_out

    return Clone(once(tmp_path_factory, "lean", lambda folder: thin_out(finished, folder)) / "clone")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage has run, made up (tests/finished.py). To be copied, not to be written to."""
    from tests.finished import finish

    return once(tmp_path_factory, "small_run", finish)


def run_to_evaluate(folder: Path, variants: Mapping[str, Mapping[str, Any]], **params: Any) -> None:
    """Run the stages from download to evaluate in an empty folder, for these variants and keys of params.yaml."""
    from stages import download, evaluate, preprocess, train

    shutil.copytree(REPOSITORY / "datasets", folder / "datasets")
    params_in(folder, variants=variants, **params)
    with contextlib.chdir(folder):
        download.main()
        preprocess.main()
        for name in variants:
            train.main(name)
        evaluate.main()


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """exports/ with `fast`, which six epochs make good, and `mlp`, which one leaves worse. Not to be written to.

    It lies beside all that the pipeline made of the two.
    """
    return once(tmp_path_factory, "served", _export) / "exports"


def _export(root: Path) -> None:
    from glyphline.cli import main
    from glyphline.config import load_params

    known = load_params(REPOSITORY / "params.yaml").variants
    epochs = {"fast": 6, "mlp": 1}
    values = {name: known[name].model_dump(exclude_defaults=True) | {"epochs": each} for name, each in epochs.items()}
    run_to_evaluate(root, values, limit=None, preprocess={"validation_fraction": 0.1})
    with contextlib.chdir(root):
        for name in values:
            assert main(["export", f"models/{name}.keras"]) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, for all tests of a module."""
    from tests import browser as chromium

    executable = chromium.find_browser()
    if executable is None:
        pytest.skip(f"none of {', '.join(chromium.NAMES)} is on the path")
    with chromium.running(executable) as running:
        yield running
