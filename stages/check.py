"""Refuse a params.yaml, or a record of its data set, that is wrong before any work is done.

Every other stage comes after this one: its output, the JSON schema of params.yaml (for editors that complete and
check YAML), depends on the code alone, so a changed parameter reruns the check and then only what it concerns.

The record is no dependency of this stage: download depends on it, and refuses a wrong one too. Nor is its folder, which
holds the packs of users' data sets: not every clone has them.
"""

import argparse
import contextlib
import json
import os

from glyphline import paths, stage
from glyphline.config import Params, check_dataset, load_params
from glyphline.errors import ParamsError


def main() -> None:
    try:
        check_dataset(load_params(paths.PARAMS))
    except ParamsError:
        # DVC may have written the value within the second of git's last look, and git compares size and time first.
        with contextlib.suppress(OSError):
            os.utime(paths.PARAMS)
        raise
    schema = Params.model_json_schema()
    paths.SCHEMA.parent.mkdir(exist_ok=True)
    paths.SCHEMA.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("check", main)
