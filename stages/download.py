"""Bring the data set that params.yaml names, verified and parsed, into data/raw."""

import argparse
import json
import os

from glyphline import paths, stage
from glyphline.config import load_params
from glyphline.data.arrays import save_arrays
from glyphline.data.fetch import MIRROR_VARIABLE
from glyphline.data.records import load_dataset
from glyphline.data.source import read_dataset


def main() -> None:
    name = load_params(paths.PARAMS).dataset
    dataset = load_dataset(name)
    train, test = read_dataset(name, dataset, os.environ.get(MIRROR_VARIABLE), paths.DOWNLOADS)
    paths.RAW.mkdir(parents=True, exist_ok=True)
    save_arrays(paths.RAW_TRAIN, images=train[0], labels=train[1])
    save_arrays(paths.RAW_TEST, images=test[0], labels=test[1])
    described = ("title", "class_names", "side", "channels", "leading_metric", "licence", "citation")
    card = {"name": name} | {key: getattr(dataset, key) for key in described}
    card |= {"pictures": dataset.pictures.model_dump(), "found": dataset.found}
    paths.DATASET_CARD.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{dataset.title}: {len(train[1]):,} training and {len(test[1]):,} test images")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("download", main)
