"""How fast this machine multiplies matrices, and how near a training comes to it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from glyphline import paths
from glyphline.config import load_params
from glyphline.model import training

SIDE = 2048  # of the matrices: large enough to keep every core busy
REPETITIONS = 10
# A forward pass, the gradient of the weights and the gradient of the inputs; an addition and a multiplication each.
OPERATIONS_OF_A_MULTIPLY_ADD = 3 * 2


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


def of_training(folder: Path, variant: str) -> float:
    """Operations a second of a variant's last training in a folder, validation not counted as work."""
    params = load_params(folder / paths.PARAMS).variants[variant]
    record = json.loads((folder / paths.RUNS / f"train@{variant}.json").read_text(encoding="utf-8"))
    metrics = json.loads((folder / paths.train_metrics(variant)).read_text(encoding="utf-8"))
    images = len(np.load(folder / paths.PREPARED / "train/labels.npy", mmap_mode="r")) * metrics["epochs"]
    operations = metrics["multiply_adds"] * OPERATIONS_OF_A_MULTIPLY_ADD * images * params.seeds
    return float(operations / record["training_seconds"])
