"""Two runs at once: what one after the other gives, or DVC's own word that it is busy, and never a mixture."""

import re
import time
from pathlib import Path

import pytest

from tests.guarantees.conftest import differing, results
from tests.pipeline.conftest import Clone, lines_until

pytestmark = pytest.mark.long

# What DVC says where another run holds the repository, or a file that this one wants.
BUSY = re.compile(r"Unable to acquire lock|is busy, it is being blocked by|another DVC process", re.IGNORECASE)
ASKED = {"two": 2, "three": 3}  # epochs, by the name of the experiment
QUEUE_SECONDS = 600


def ask(clone: Clone, epochs: int) -> None:
    """Set the epochs of mlp, the first variant."""
    text = re.sub(r"^    epochs: \d$", f"    epochs: {epochs}", clone.read("params.yaml"), count=1, flags=re.MULTILINE)
    (clone.root / "params.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def one_after_the_other(lean: Clone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The results of each experiment, run alone."""
    clone = lean.copy(tmp_path_factory.mktemp("serial") / "clone")
    found = {}
    for name, epochs in ASKED.items():
        ask(clone, epochs)
        clone.dvc("repro")
        found[name] = results(clone)
    assert found["two"]["models/mlp.keras"] != found["three"]["models/mlp.keras"]
    return found


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        ("dvc", ""),
        ("dvc", "Running stage 'train@mlp'"),
        ("dvc", "Updating lock file"),
        ("glyphline", "train@mlp: "),
    ],
)
def test_a_second_repro_during_the_first(
    lean: Clone,
    tmp_path: Path,
    one_after_the_other: dict[str, dict[str, bytes]],
    command: str,
    moment: str,
) -> None:
    clone = lean.copy(tmp_path / "clone")
    ask(clone, ASKED["two"])
    first = clone.start(command, "repro", PYTHONUNBUFFERED="1")
    said = "".join(lines_until(first, moment)) if moment else ""
    assert moment in said
    second = clone.start(command, "repro")
    outputs = [said + first.communicate()[0], second.communicate()[0]]
    codes = [first.returncode, second.returncode]
    assert 0 in codes, outputs
    for code, output in zip(codes, outputs, strict=True):
        assert "Traceback" not in output
        assert code == 0 or BUSY.search(output), output
    assert results(clone) == one_after_the_other["two"]
    assert "Data and pipelines are up to date." in clone.dvc("repro").stdout


def test_two_workers_of_the_queue_give_what_one_after_the_other_gives(
    lean: Clone, tmp_path: Path, one_after_the_other: dict[str, dict[str, bytes]]
) -> None:
    clone = lean.copy(tmp_path / "clone")
    for name, epochs in ASKED.items():
        clone.dvc("exp", "run", "--queue", "--name", name, "-S", f"variants.mlp.epochs={epochs}")
    clone.dvc("queue", "start", "--jobs", "2")
    for _ in range(QUEUE_SECONDS // 4):
        status = clone.dvc("queue", "status").stdout
        if not re.search(r"\b(Queued|Running)\b", status):
            break
        time.sleep(4)  # to ask costs a second of a core
    assert status.count("Success") == len(ASKED), status
    table = clone.run("glyphline", "sweep", "mlp", "--figure", "sweep.png").stdout
    assert [line.split()[1] for line in table.splitlines() if re.match(r"\| \d", line)] == ["2", "3"]
    assert (clone.root / "sweep.png").read_bytes().startswith(b"\x89PNG")
    for name in ASKED:
        clone.dvc("exp", "apply", name)
        assert results(clone) == one_after_the_other[name]
    clone.git("checkout", "HEAD", "--", ".")
    clone.dvc("checkout")
    assert differing(lean, clone) == []
