"""Rebuild the last commit from nothing, and compare: are the metrics in git what its code and parameters give?

On the machine that made them every byte has to come back. Another processor adds in another order, and training makes
much of little: there the data still have to be the same, byte by byte, and the test results the same within noise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from dvc.repo import Repo
from ruamel.yaml import YAML

from glyphline import paths
from glyphline.errors import GlyphlineError
from glyphline.evaluation.significance import Verdict
from glyphline.review.compare import compare_results
from glyphline.review.markdown import bullets, code, table
from glyphline.review.results import contradictions, read_results
from glyphline.review.revision import Revision, find_repository, resolve
from glyphline.stage import machine

PROVEN = ("dvc.lock", "metrics")
DATA_STAGES = ("check", "download", "preprocess")  # no network is in them: their bytes are the same on every machine
ACCURACIES = ("accuracy", "validation_accuracy")
FACTS = ("parameters", "multiply_adds", "n")  # in metrics: counted, not measured
# What other arithmetic explains, for accuracy on the training and validation splits and for every loss: with other
# settings of the libraries they differed by up to 0.005 and by a factor of up to 1.31 (docs/continuous-integration.md).
# The test accuracies have tests of their own.
MOST_ACCURACY_APART = 0.02
MOST_LOSS_TIMES = 2
SAME = (Verdict.UNCHANGED, Verdict.WITHIN_NOISE)


class Number(NamedTuple):
    """A number in a metrics file that is not the same; None where one side lacks it."""

    file: str
    key: str
    committed: float | None
    rebuilt: float | None

    @property
    def variant(self) -> str | None:
        """The variant that it is a result of, or None."""
        if Path(self.file) == paths.TEST_METRICS:
            return self.key.partition(".")[0]
        return Path(self.file).stem if Path(self.file).parent == paths.TRAIN_METRICS else None


@dataclass(frozen=True)
class Proof:
    """What a rebuild gave. changed: the files that it wrote otherwise than the commit has them. objections: what no
    other machine explains, one sentence each.
    """

    commit: str
    processor: str
    changed: list[str]
    numbers: list[Number]
    objections: list[str]

    @property
    def holds(self) -> bool:
        return not self.objections


def prove(repository: Path) -> Proof:
    """Run the pipeline of the repository's last commit in a scratch clone. Raises GlyphlineError where it fails.

    DVC's progress goes to stderr. What is not committed does not count.
    """
    commit = resolve(repository, "HEAD")
    with TemporaryDirectory(prefix="glyphline-") as folder:
        clone = Path(folder) / "clone"
        _run(["git", "clone", "--quiet", str(repository), str(clone)], cwd=repository)
        _run(["git", "checkout", "--quiet", "--detach", commit], cwd=clone)
        # Nothing that was ever built counts, not even in a cache that is shared between repositories.
        _run(["dvc", "repro", "--force"], cwd=clone)
        return compare(clone)


def compare(rebuilt: Path) -> Proof:
    """Compare a working tree in which everything was run with its own HEAD."""
    commit = resolve(rebuilt, "HEAD")
    status = _output(["git", "status", "--porcelain", "-z", "--untracked-files=all", "--", *PROVEN], rebuilt)
    changed = sorted(entry[3:] for entry in status.split("\0") if entry)
    numbers = _other_numbers(rebuilt) if changed else []
    objections = _objections(rebuilt, commit, numbers) if changed else []
    return Proof(commit[:7], str(machine()["processor"]), changed, numbers, objections)


def to_markdown(proof: Proof) -> str:
    """What came of it, ended by a line feed."""
    what = f"a rebuild of {proof.commit} from nothing"
    if not proof.changed:
        return f"**Proven to the byte:** {what} gives the same dvc.lock and metrics/.\n"
    if proof.holds:
        headline = f"**Proven within noise, not to the byte:** {what} gives the same data and, within noise, the same"
        headline += f" test results. Bytes are promised on one machine alone; this one is: {proof.processor}."
    else:
        headline = f"**Not proven:** {what} gives something else.\n\n{bullets(proof.objections)}\n\n"
    if _has_another_winner(proof.numbers):
        headline += f" The search found another winner, so {paths.TUNED} is another network, and is not compared."
    rows = [(code(file), code(key), str(committed), str(rebuilt)) for file, key, committed, rebuilt in proof.numbers]
    numbers = table(["file", "number", "as committed", "as rebuilt"], rows, numbers=range(2, 4))
    return f"{headline}\n\n{numbers}\n\nFiles that differ:\n\n{bullets(proof.changed)}\n"


def _objections(rebuilt: Path, commit: str, numbers: list[Number]) -> list[str]:
    before = read_results(Revision(rebuilt, commit, "as committed"))
    after = read_results(Revision(rebuilt, None, "as rebuilt"))
    comparison = compare_results(before, after)
    left_out = paths.TUNED if _has_another_winner(numbers) else None
    found: list[str | None] = [
        *_other_files(rebuilt),
        *_other_data(rebuilt),
        *(_too_far_apart(number) for number in numbers if left_out is None or number.variant != left_out),
        *contradictions(before),
    ]
    found += [f"{paths.TEST_METRICS}: {name} is rebuilt, but not committed" for name in comparison.added]
    found += [f"{paths.TEST_METRICS}: {name} is committed, but not rebuilt" for name in comparison.removed]
    if comparison.not_comparable:  # then every variant's verdict says that, and no more
        return [*filter(None, found), f"{paths.TEST_METRICS}: no comparison: {comparison.not_comparable}"]
    for variant in (each for each in comparison.variants if each.name != left_out):
        for metric, change in variant.changes.items():
            if change.verdict not in SAME:
                values = f"{change.before} as committed and {change.after} as rebuilt"
                found.append(
                    f"{paths.TEST_METRICS}: {variant.name}: {metric} is {values}: {change.verdict}, beyond noise"
                )
    return [*filter(None, found)]


def _has_another_winner(numbers: list[Number]) -> bool:
    """Whether the search found another trial to be the best: those a hair apart change places on another machine."""
    return any((number.file, number.key) == (str(paths.WINNER), "trial") for number in numbers)


def _other_files(rebuilt: Path) -> list[str]:
    new = _output(["git", "ls-files", "-z", "--others", "--exclude-standard", "--", *PROVEN], rebuilt)
    return [f"{path}: it is rebuilt, but not committed" for path in new.split("\0") if path]


def _other_data(rebuilt: Path) -> list[str]:
    committed = _data(_output(["git", "show", "HEAD:dvc.lock"], rebuilt))
    made = _data((rebuilt / "dvc.lock").read_text(encoding="utf-8"))
    return [
        f"dvc.lock: {path} is not what {stage} makes, on whatever machine"
        for (stage, path), digest in made.items()
        if committed.get((stage, path)) != digest
    ]


def _data(lock: str) -> dict[tuple[str, str], str]:
    """The digest of every output of the stages before training, as the text of a dvc.lock has it."""
    stages = YAML(typ="safe").load(lock)["stages"]
    return {(name, out["path"]): out["md5"] for name in DATA_STAGES if name in stages for out in stages[name]["outs"]}


def _too_far_apart(number: Number) -> str | None:
    """What other arithmetic does not explain, as a sentence; None for a number that it may."""
    file, key, committed, rebuilt = number
    kind = key.rpartition(".")[2]
    if committed is None or rebuilt is None:
        apart = kind in (*FACTS, *ACCURACIES, "loss")
    elif kind in ACCURACIES and Path(file) != paths.TEST_METRICS:
        apart = abs(committed - rebuilt) > MOST_ACCURACY_APART
    elif kind == "loss":
        apart = max(committed, rebuilt) > MOST_LOSS_TIMES * min(committed, rebuilt)
    else:
        apart = kind in FACTS
    return f"{file}: {key} is {committed} as committed and {rebuilt} as rebuilt" if apart else None


def _other_numbers(rebuilt: Path) -> list[Number]:
    with Repo(str(rebuilt)) as repo:
        files: dict[str, dict[str, Any]] = repo.metrics.diff("HEAD").get("diff", {})
    return [
        Number(file, key, values.get("old"), values.get("new"))
        for file, keys in sorted(files.items())
        for key, values in sorted(keys.items())
    ]


def _run(command: list[str], cwd: Path) -> None:
    """Run a command whose every word goes to stderr, as progress. Raises GlyphlineError where it fails."""
    if subprocess.run(command, cwd=cwd, env=_environment(), stdout=sys.stderr, check=False).returncode:
        raise GlyphlineError(f"{' '.join(command[:2])} failed, so nothing is proven; what it said stands above")


def _output(command: list[str], cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, env=_environment(), capture_output=True, text=True, check=False)
    if result.returncode:
        raise GlyphlineError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def _environment() -> dict[str, str]:
    """That of this process, with its own dvc and python first on PATH."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def main() -> None:
    """Print the proof and leave with 0, or with 1 where it does not hold."""
    argparse.ArgumentParser(prog="python -m glyphline.review.proof", description=__doc__).parse_args()
    try:
        proof = prove(find_repository(Path()))
    except GlyphlineError as error:
        sys.exit(str(error))
    print(to_markdown(proof), end="")
    sys.exit(0 if proof.holds else 1)


if __name__ == "__main__":
    main()
