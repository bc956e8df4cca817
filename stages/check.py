"""Refuse a params.yaml, or a record of its data set, that is wrong before any work is done.

Every other stage comes after this one: its output, the JSON schema of params.yaml (for editors that complete and
check YAML), depends on the code and on the names of the data sets alone, so a changed parameter reruns the check and
then only what the parameter concerns.
"""

import argparse
import contextlib
import json
import os

from glyphline import paths, stage
from glyphline.config import Params, load_params
from glyphline.data.records import dataset_names, load_dataset
from glyphline.errors import ParamsError
from glyphline.evaluation.metrics import METRICS

LAYERS = {"space_to_depth", "filters", "kernel_size", "pooling", "augmentation"}  # keys that the images' size limits


def main() -> None:
    try:
        params = load_params(paths.PARAMS)
        record = load_dataset(params.dataset)
        if record.leading_metric not in METRICS:
            raise ParamsError(
                f"{paths.dataset(params.dataset)}: leading_metric: expected {' or '.join(METRICS)}, "
                f"but it is {record.leading_metric!r}"
            )
        check_variants(params, record.side)
    except ParamsError:
        # DVC may have written the value within the second of git's last look, and git compares size and time first.
        with contextlib.suppress(OSError):
            os.utime(paths.PARAMS)
        raise
    schema = Params.model_json_schema()
    schema["properties"]["dataset"]["enum"] = dataset_names()
    paths.SCHEMA.parent.mkdir(exist_ok=True)
    paths.SCHEMA.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


def check_variants(params: Params, side: int) -> None:
    """Raise ParamsError, one line for each variant whose layers cannot read images of side x side pixels."""
    variants = {f"variants.{name}": variant for name, variant in params.variants.items()}
    if params.search and not LAYERS & params.search.space.keys():  # else each trial has layers of its own
        variants["search.fixed"] = params.search.fixed
    mistakes = []
    for key, variant in variants.items():
        try:
            variant.check_fits(side)
        except ValueError as error:
            mistakes.append(f"{paths.PARAMS}: {key}: {error}; data set {params.dataset} has images of that size")
    if mistakes:
        raise ParamsError("\n".join(mistakes))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("check", main)
