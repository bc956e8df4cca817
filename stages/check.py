"""Refuse a params.yaml that is wrong before any work is done.

Every other stage comes after this one: its output, the JSON schema of params.yaml (for editors that complete and
check YAML), depends on the code alone, so a changed parameter reruns the check and then only what the parameter
concerns.
"""

import argparse
import json

from glyphline import paths, stage
from glyphline.config import Params, load_params
from glyphline.data.records import DATASETS
from glyphline.errors import ParamsError


def main() -> None:
    params = load_params(paths.PARAMS)
    if params.dataset not in DATASETS:
        raise ParamsError(f"{paths.PARAMS}: dataset: {params.dataset!r} is not one of {', '.join(DATASETS)}")
    schema = Params.model_json_schema()
    schema["properties"]["dataset"]["enum"] = list(DATASETS)
    paths.SCHEMA.parent.mkdir(exist_ok=True)
    paths.SCHEMA.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("check", main)
