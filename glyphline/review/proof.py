"""Rebuild the last commit from nothing, and compare: are the metrics in git what its code and parameters give?

On the machine that made them every byte has to come back. Another processor adds in another order, and training
amplifies the difference: there the data still have to be the same, byte by byte, and the predictions within noise. The
standard deviations in the commit excuse nothing, and its accuracies and recalls have to follow from its predictions.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pandas as pd
from dvc.repo import Repo

from glyphline import paths
from glyphline.config import load_params
from glyphline.errors import GlyphlineError
from glyphline.evaluation.significance import Verdict
from glyphline.review.compare import compare_results
from glyphline.review.markdown import bullets, code, table
from glyphline.review.results import Results, contradictions, read_results
from glyphline.review.revision import Revision, find_repository, git_output, resolve
from glyphline.search.settings import CLUSTER_VARIABLES
from glyphline.search.table import winner
from glyphline.stage import machine

PROVEN = ("dvc.lock", "metrics")
# No network is in these: their bytes are the same on every machine.
DATA = (paths.SCHEMA, paths.RAW_TRAIN, paths.RAW_TEST, paths.DATASET_CARD, paths.PREPARED)
FACTS = ("parameters", "multiply_adds", "n")  # in metrics: counted, not measured
# How far other arithmetic may move what no test on the images judges. With other settings of the libraries accuracies
# differed by up to 0.005, and losses by a factor of up to 1.31 (docs/continuous-integration.md).
MOST_APART = {"accuracy": 0.02, "validation_score": 0.02, "calibration_error": 0.02}
MOST_SEEDS_APART = 0.01  # of the mean and the standard deviation over a variant's seeds
MOST_LOSS_TIMES = 2
MEASURED = ["state", "validation_score", "best_epoch", "epochs", "failure"]  # of a trial; all else is drawn
SAME = (Verdict.UNCHANGED, Verdict.WITHIN_NOISE)


class Number(NamedTuple):
    """A number in a metrics file that is not the same; None where one side lacks it."""

    file: str
    key: str
    committed: float | None
    rebuilt: float | None


@dataclass(frozen=True)
class Proof:
    """What a rebuild gave. changed: the files that it wrote otherwise than the commit has them. objections: what no
    other machine explains, one sentence each. other_winners: the searches that found another trial to be the best.
    """

    commit: str
    processor: str
    changed: list[str]
    numbers: list[Number]
    objections: list[str]
    other_winners: list[str]

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
        git_output(repository, "clone", "--quiet", str(repository), str(clone))
        git_output(clone, "checkout", "--quiet", "--detach", commit)
        _bring_packs(repository, clone)
        # This process' own dvc and python, and no cluster: another's machines prove nothing about this one.
        environment = {name: value for name, value in os.environ.items() if name not in CLUSTER_VARIABLES.values()}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # Nothing that was ever built counts, not even in a cache that is shared.
        command = ["dvc", "repro", "--force"]
        if subprocess.run(command, cwd=clone, env=environment, stdout=sys.stderr, check=False).returncode:
            raise GlyphlineError("dvc repro failed, so nothing is proven; what it said stands above")
        return compare(clone)


def _bring_packs(repository: Path, clone: Path) -> None:
    """Copy the packed images of users' data sets: they are what everything is made of, and no result.

    If the pack of the chosen data set is missing, download says so.
    """
    for tracked in (clone / paths.DATASETS).glob("*.npz.dvc"):
        pack = tracked.relative_to(clone).with_suffix("")
        if (repository / pack).is_file():
            shutil.copyfile(repository / pack, clone / pack)


def compare(rebuilt: Path) -> Proof:
    """Compare a working tree in which everything was run with its own HEAD."""
    commit = resolve(rebuilt, "HEAD")
    status = git_output(rebuilt, "status", "--porcelain", "-z", "--untracked-files=all", "--", *PROVEN)
    changed = sorted(entry[3:] for entry in status.split("\0") if entry)
    proof = Proof(commit[:7], str(machine()["processor"]), changed, [], [], other_winners=[])
    if not changed:
        return proof
    with Repo(str(rebuilt)) as repo:
        files: dict[str, dict[str, Any]] = repo.metrics.diff("HEAD").get("diff", {})
    numbers = [
        Number(file, key, values.get("old"), values.get("new"))
        for file, keys in sorted(files.items())
        for key, values in sorted(keys.items())
    ]
    searches = list(load_params(rebuilt / paths.PARAMS).searches)
    # Trials a hair apart change places on another machine.
    changed_trials = {number.file for number in numbers if number.key == "trial"}
    other_winners = [name for name in searches if str(paths.winner(name)) in changed_trials]
    proof = replace(proof, numbers=numbers, other_winners=other_winners)
    before, after = Revision(rebuilt, commit, "as committed"), Revision(rebuilt, None, "as rebuilt")
    new = git_output(rebuilt, "ls-files", "-z", "--others", "--exclude-standard", "--", *PROVEN)
    objections = [
        *(f"{path}: it is rebuilt, but not committed" for path in new.split("\0") if path),
        *_other_results(read_results(before), read_results(after), searches, other_winners),
        *(sentence for number in numbers if (sentence := _too_far_apart(number, other_winners))),
        *(sentence for name in searches for sentence in _other_trials(name, before, after)),
    ]
    return replace(proof, objections=objections)


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
    for name in proof.other_winners:
        headline += f" The search {name} found another winner, so {name} is another network, and is not compared."
    rows = [(code(file), code(key), str(committed), str(rebuilt)) for file, key, committed, rebuilt in proof.numbers]
    numbers = table(["file", "number", "as committed", "as rebuilt"], rows, numbers=range(2, 4))
    return f"{headline}\n\n{numbers}\n\nFiles that differ:\n\n{bullets(proof.changed)}\n"


def _other_results(
    before: Results, after: Results, searches: Sequence[str], other_winners: Sequence[str]
) -> Iterator[str]:
    """Objections to the data and the test results, a sentence each."""
    for path in map(str, (*DATA, *map(paths.space, searches))):
        if before.outs.get(path) != after.outs.get(path):
            yield f"dvc.lock: {path} is not what the rebuild made, and its bytes are the same on every machine"
    yield from contradictions(before)
    for name in sorted(before.metrics.keys() ^ after.metrics.keys()):
        committed = "committed, but not rebuilt" if name in before.metrics else "rebuilt, but not committed"
        yield f"{paths.TEST_METRICS}: {name} is {committed}"
    # The same seeds were trained again, so that their spread explains nothing: the images decide.
    sides = []
    for side in (before, after):
        scores = {name: {key: each[key] for key in each if key != "seeds"} for name, each in side.metrics.items()}
        sides.append(replace(side, metrics=scores))
    comparison = compare_results(*sides)
    if comparison.not_comparable:  # then every variant's verdict says that, and no more
        yield f"{paths.TEST_METRICS}: no comparison: {comparison.not_comparable}"
        return
    for variant in comparison.variants:
        for metric, change in variant.changes.items():
            if change.verdict not in SAME and variant.name not in other_winners:
                values = f"{change.before} as committed and {change.after} as rebuilt"
                yield f"{paths.TEST_METRICS}: {variant.name}: {metric} is {values}: {change.verdict}, beyond noise"


def _too_far_apart(number: Number, other_winners: Sequence[str]) -> str | None:
    """An objection to a number that other arithmetic does not explain, or None."""
    file, key = number.file, number.key
    committed, rebuilt = (each if isinstance(each, int | float) else math.nan for each in number[2:])
    of_test = Path(file) == paths.TEST_METRICS
    of_search = Path(file).is_relative_to(paths.SEARCHES)
    variant = key.partition(".")[0] if of_test else Path(file).parent.name if of_search else Path(file).stem
    kind = key.rpartition(".")[2]
    if variant in other_winners or (of_test and key == f"{variant}.accuracy"):  # the images decide
        return None
    most = MOST_SEEDS_APART if key.startswith(f"{variant}.seeds.") else MOST_APART.get(kind)
    if kind in FACTS:
        agrees = False
    elif kind == "loss":
        agrees = committed <= MOST_LOSS_TIMES * rebuilt and rebuilt <= MOST_LOSS_TIMES * committed
    else:
        agrees = most is None or abs(committed - rebuilt) <= most
    return None if agrees else f"{file}: {key} is {number.committed} as committed and {number.rebuilt} as rebuilt"


def _other_trials(search: str, before: Revision, after: Revision) -> Iterator[str]:
    """Objections to a search, whose trials are drawn from the seed and their numbers alone."""
    of_trials, of_winner = paths.trials(search), paths.winner(search)
    tables = [content for side in (before, after) if (content := side.read(of_trials)) is not None]
    if len(tables) < 2:
        return  # it is said that the file is not committed
    try:
        committed, rebuilt = (pd.read_csv(io.BytesIO(content)) for content in tables)
        chosen, found = (json.loads(side.read(of_winner) or b"") for side in (before, after))
        pairs = [(of_trials, committed.drop(columns=MEASURED), rebuilt.drop(columns=MEASURED))]
        if chosen["trial"] == found["trial"]:
            pairs.append((of_winner, pd.json_normalize(chosen["variant"]), pd.json_normalize(found["variant"])))
        for path, one, other in pairs:
            try:
                pd.testing.assert_frame_equal(one, other, rtol=1e-9)
            except AssertionError:
                yield f"{path}: its hyper-parameters are not those that the rebuild drew from the same seed"
        accuracies = [pd.to_numeric(each["validation_score"], errors="coerce") for each in (committed, rebuilt)]
        for trial, (was, now) in enumerate(zip(*accuracies, strict=True)):
            if not (abs(was - now) <= MOST_APART["validation_score"] or (math.isnan(was) and math.isnan(now))):
                yield f"{of_trials}: validation_score of trial {trial} is {was} as committed and {now} as rebuilt"
        accuracy = dict(zip(committed["trial"], accuracies[0], strict=True))
        if chosen["trial"] != winner(committed) or chosen["validation_score"] != accuracy[chosen["trial"]]:
            yield f"{of_winner}: trial {chosen['trial']} with this accuracy is not the best of {of_trials}"
    except (KeyError, TypeError, ValueError):
        yield f"{of_trials}: as committed, it is no table of trials, or {of_winner} is no trial of it"


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
