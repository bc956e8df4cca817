"""How fast this machine multiplies matrices, and how near a training comes to it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from glyphline import paths
from glyphline.config import load_params
from glyphline.model import training

SIDE = 2048  # of the matrices: large enough to keep every core busy
REPETITIONS = 10


def matrix_product(precision: str) -> float:
    """Operations a second of a large matrix product in TensorFlow, the best of several; float32 or bfloat16."""
    training.make_deterministic(0)  # also starts TensorFlow without its page of messages
    import tensorflow as tf

    matrix = tf.cast(tf.random.stateless_normal((SIDE, SIDE), (1, 2)), precision)
    product = tf.function(tf.matmul)
    product(matrix, matrix)
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        product(matrix, matrix)[0, 0].numpy()
        seconds.append(time.perf_counter() - start)
    return float(2 * SIDE**3 / min(seconds))


def training_multiply_adds(layers: Sequence[int]) -> int:
    """Of one image trained on, from those of each layer's forward pass.

    A layer computes its outputs, the gradient of its weights, and that of its inputs. Nothing asks for the gradient of
    the image, so the first layer that has weights leaves out the last of these.
    """
    return 3 * sum(layers) - next(filter(None, layers))


def of_training(folder: Path, variant: str) -> float:
    """Operations a second of a variant's last training in a folder, validation after each epoch included."""
    seeds = load_params(folder / paths.PARAMS).variants[variant].seeds
    record = json.loads((folder / paths.RUNS / f"train@{variant}.json").read_text(encoding="utf-8"))
    epochs = json.loads((folder / paths.train_metrics(variant)).read_text(encoding="utf-8"))["epochs"]
    train, validation = (
        len(np.load(folder / paths.PREPARED / split / "labels.npy", mmap_mode="r")) for split in ("train", "validation")
    )
    layers = pd.read_csv(folder / paths.layers(variant))["multiply_adds"].tolist()
    multiply_adds = training_multiply_adds(layers) * train + sum(layers) * validation
    return float(2 * multiply_adds * epochs * seeds / record["training_seconds"])
