"""What everything but training costs: a whole `dvc repro`, one with nothing to do, and one with a changed variant.

python -m benchmarks.pipeline                          # the default run, minutes
python -m benchmarks.pipeline --only mlp pooled fast   # of these variants alone
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from benchmarks.processes import REPOSITORY, machine_line, measure
from glyphline import paths
from glyphline.config import load_params


def training_seconds(folder: Path) -> float:
    """Seconds that went into epochs, over all stages that have run in a folder.

    The trials of a search run several at once: theirs are added up and shared by the workers, so that a worker with
    nothing to train counts as outside.
    """
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / paths.RUNS).glob("*.json")]
    in_stages = sum(float(record.get("training_seconds", 0)) for record in records)
    params = load_params(folder / paths.PARAMS)
    trials = [pd.read_csv(folder / paths.trial_seconds(name)) for name in params.searches]
    return in_stages + sum(float(each["training_seconds"].sum()) for each in trials) / params.workers


def keep(params: Path, variants: Sequence[str]) -> None:
    """Take all other variants out of params.yaml."""
    yaml = YAML()
    values = yaml.load(params.read_text(encoding="utf-8"))
    values["variants"] = {name: values["variants"][name] for name in variants}
    with params.open("w", encoding="utf-8") as file:
        yaml.dump(values, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="default: all")
    parser.add_argument("--variant", default="mlp", help="the one that is changed; default: %(default)s")
    parser.add_argument("--folder", type=Path, help="clone to there, and keep it; default: a temporary folder")
    arguments = parser.parse_args()
    variant, known = arguments.variant, list(load_params(REPOSITORY / paths.PARAMS).variants)
    if unknown := {variant, *(arguments.only or [])} - set(known):
        parser.error(f"no such variant: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if arguments.only and variant not in arguments.only:
        parser.error(f"--variant {variant} is not among those of --only")
    if arguments.folder and arguments.folder.exists():
        parser.error(f"--folder {arguments.folder} is there already; name a new one")
    print(machine_line())
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary) / "clone").absolute()
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)], check=True)
        # The last commit's digests would only be compared; without them everything is to be made.
        (folder / "dvc.lock").unlink()
        if arguments.only:
            keep(folder / "params.yaml", arguments.only)
        whole = measure(["dvc", "repro", "--quiet"], folder).seconds
        training = training_seconds(folder)
        nothing = measure(["dvc", "repro", "--quiet"], folder).seconds
        change = ["dvc", "exp", "run", "--quiet", "-S", f"variants.{variant}.epochs=2"]
        one = measure(change, folder).seconds
    print(
        f"dvc repro of everything: {whole:.1f} s, {training:.1f} s of it in epochs; outside: {1 - training / whole:.0%}"
    )
    print(f"with nothing to do: {nothing:.1f} s ({nothing / whole:.1%} of the whole)")
    print(f"with {variant} changed: {one:.1f} s ({one / whole:.1%} of the whole)")


if __name__ == "__main__":
    main()
