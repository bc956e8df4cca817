"""The batches, the training, its history and summary."""

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from glyphline.data.splits import normalise
from glyphline.evaluation.scoring import cross_entropy
from glyphline.model import networks, training
from glyphline.model.files import save
from glyphline.model.training import Checkpoint, Examples
from glyphline.model.variant import Augmentation, Variant
from tests.conftest import Capture, Labelled, python

pytestmark = pytest.mark.usefixtures("deterministic")


@pytest.fixture(scope="module")
def examples(digits: Labelled) -> Examples:
    """100 digits, ten of each class."""
    images, labels = digits
    return Examples(images[::10], labels[::10], 10)


@pytest.fixture(scope="module")
def others(digits: Labelled) -> Examples:
    """100 other digits."""
    images, labels = digits
    return Examples(images[5::10], labels[5::10], 10)


def fit(variant: Variant, train: Examples, validation: Examples) -> tuple[Any, pd.DataFrame]:
    trained = training.fit(variant, train, validation, seed=1)
    return trained.network, trained.history


def test_the_start_of_keras_leaves_out_what_it_does_not_need_and_what_is_never_garbage() -> None:
    program = (
        "import gc, sys, weakref; from glyphline.model import training; training.make_deterministic(1); import keras; "
        "assert not {'matplotlib', 'sklearn'} & set(sys.modules); "
        "frozen = gc.get_freeze_count(); assert frozen > len(gc.get_objects()) and gc.isenabled(); "
        "network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]); kept = weakref.ref(network); "
        "training.make_deterministic(2); assert gc.get_freeze_count() <= frozen; "
        "del network; gc.collect(); assert kept() is None; import matplotlib, sklearn; "
        "gc.disable(); training.make_deterministic(3); assert not gc.isenabled()"
    )
    result = python("-c", program)
    assert result.returncode == 0, result.stderr


def loss_of(network: Any, examples: Examples) -> float:
    """The cross-entropy of a network as it stands, dropout off, without any penalty."""
    return cross_entropy(examples.labels, network(normalise(examples.images)).numpy())


def seen_in_training(variant: Variant, train: Examples, validation: Examples) -> list[Any]:
    """The batches of images, of both splits, that a network meets while it is trained with seed 5."""
    import keras
    import tensorflow as tf

    seen: list[Any] = []

    def note(images: Any) -> Any:
        seen.append(images.copy())
        return images

    def build(variant: Variant, shape: tuple[int, ...], classes: int, steps: int) -> Any:
        spy = keras.layers.Lambda(lambda x: tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), (None, *shape)))
        outputs = keras.layers.Dense(classes, activation="softmax")
        network = keras.Sequential([keras.Input(shape), spy, keras.layers.Flatten(), outputs])
        network.compile(loss="categorical_crossentropy", metrics=["accuracy", "categorical_crossentropy"])
        return network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "build", build)
        training.fit(variant, train, validation, seed=5)
    return seen


def epoch_of(dataset: Any) -> list[list[int]]:
    """One pass over numbered examples, whose images come with their labels."""
    batches = [((images.numpy().ravel() * 255).round().astype(int), labels.numpy()) for images, labels in dataset]
    assert all((numbers % 2 == labels.argmax(axis=1)).all() for numbers, labels in batches)
    return [numbers.tolist() for numbers, _ in batches]


def numbered(count: int) -> Examples:
    numbers = np.arange(count, dtype=np.uint8)
    return Examples(numbers.reshape(count, 1, 1), numbers % np.uint8(2), 2)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_batches_of_a_seed_come_in_the_same_orders_another_in_every_epoch(seed: int) -> None:
    """Every image once an epoch; the last batch is what is left."""
    datasets = [training.batches(numbered(50), 20, shuffle_seed=each) for each in (seed, seed, 7)]
    first, again, other = ([epoch_of(dataset) for _ in range(3)] for dataset in datasets)
    assert first == again
    orders = [tuple(itertools.chain(*epoch)) for epoch in (*first, *other)]
    assert len({*orders, tuple(range(50))}) == 7
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert [len(batch) for epoch in first for batch in epoch] == [20, 20, 10] * 3
    assert len(datasets[0]) == 3


def test_without_a_seed_the_order_is_that_of_the_examples() -> None:
    dataset = training.batches(numbered(10), 4)
    assert epoch_of(dataset) == epoch_of(dataset) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_a_batch_is_normalised_as_evaluate_and_predict_normalise(shape: tuple[int, ...]) -> None:
    levels = np.resize(np.arange(256, dtype=np.uint8), (3, *shape))
    examples = Examples(levels, np.array([0, 299, 7], np.uint16), 300)
    for dataset in (training.batches(examples, 3), training.batches(examples, 3, shuffle_seed=1)):
        ((images, labels),) = dataset
        order = [[0, 299, 7].index(label) for label in labels.numpy().argmax(axis=1)]
        np.testing.assert_array_equal(images.numpy(), normalise(levels[order]))
        assert labels.shape == (3, 300)
        assert (labels.numpy().sum(axis=1) == 1).all()


def test_augmentation_moves_images_another_way_in_every_epoch_and_the_same_way_in_every_run(examples: Examples) -> None:
    untouched = {image.tobytes() for image in normalise(examples.images)}
    first, second = (
        [np.concatenate([images.numpy() for images, _ in dataset]) for _ in range(2)]
        for dataset in (training.batches(examples, 32, 1, Augmentation(shift=2.0)) for _ in range(2))
    )
    np.testing.assert_array_equal(first, second)
    one, other = ({image.tobytes() for image in epoch} for epoch in first)
    assert not one & other
    assert not (one | other) & untouched


def test_the_autotuner_is_off_and_the_order_is_kept() -> None:
    options = training.batches(numbered(10), 4, shuffle_seed=1).options()
    assert options.autotune.enabled is False
    assert options.deterministic is True


def test_fit_gets_every_epoch_in_an_order_of_its_own() -> None:
    orders = seen_in_training(Variant(batch_size=30, epochs=3), numbered(30), numbered(1))
    orders = [(255 * order).round().ravel().tolist() for order in orders if len(order) == 30]
    assert len(orders) == 3
    assert orders[0] != orders[1] != orders[2] != orders[0]
    # Keras may look at a batch before it starts, so the orders need not be the first three.
    dataset = training.batches(numbered(30), 30, shuffle_seed=5)
    given = [epoch_of(dataset)[0] for _ in range(6)]
    assert all(order in given for order in orders)


@pytest.mark.parametrize(("until", "moved"), [(1.0, [True] * 4), (0.6, [True, True, False, False])])
def test_images_are_left_alone_after_epochs_that_augment(until: float, moved: list[bool], examples: Examples) -> None:
    untouched = {image.tobytes() for image in normalise(examples.images)}
    variant = Variant(batch_size=100, epochs=4, augmentation=Augmentation(shift=2.0, until=until))
    seen = seen_in_training(variant, examples, Examples(examples.images[:1], examples.labels[:1], 10))
    epochs = [images for images in seen if len(images) == 100]
    assert {images.tobytes() for images in seen if len(images) == 1} <= untouched, "of validation none is augmented"
    assert [not untouched & {image.tobytes() for image in images} for images in epochs] == moved
    assert [untouched == {image.tobytes() for image in images} for images in epochs] == [not each for each in moved]


PARTS: dict[str, dict[str, Any]] = {
    "everything that draws": {
        "filters": [2],
        "batch_normalization": True,
        "convolution_dropout": 0.25,
        "dense": [8],
        "dense_dropout": 0.5,
        "augmentation": Augmentation(shift=2.0, until=0.5),
        "precision": "bfloat16",
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "schedule": "cosine",
        "warmup": 0.2,
    },
    "a fused optimiser": {"dense": [8], "optimizer": "rmsprop"},
}


@pytest.mark.long
@pytest.mark.parametrize("values", PARTS.values(), ids=PARTS)
def test_a_training_in_parts_gives_the_bytes_of_the_whole(
    values: dict[str, Any], examples: Examples, others: Examples, tmp_path: Path
) -> None:
    variant = Variant(**values, batch_size=32, epochs=4)
    whole = training.fit(variant, examples, others, seed=1)
    histories, start = [], None
    for end in (1, 3, 4):
        part = training.fit(variant, examples, others, seed=1, start=start, end=end)
        Checkpoint.of(part.network, end).save(tmp_path / "checkpoint.npz")
        start = Checkpoint.load(tmp_path / "checkpoint.npz")
        histories.append(part.history)
    assert start
    pd.testing.assert_frame_equal(pd.concat(histories, ignore_index=True), whole.history, check_exact=True)
    arrays = [array.tobytes() for array in start.arrays]
    assert arrays == [array.tobytes() for array in Checkpoint.of(whole.network, 4).arrays]
    for network, name in ((whole.network, "whole.keras"), (part.network, "parts.keras")):
        save(network, tmp_path / name)
    assert (tmp_path / "whole.keras").read_bytes() == (tmp_path / "parts.keras").read_bytes()


def test_each_epoch_is_a_row_and_a_line_for_a_log_and_a_schedule_reaches_its_end_with_the_last_step(
    examples: Examples, others: Examples, capsys: Capture
) -> None:
    network, history = fit(Variant(dense=[8], schedule="cosine", batch_size=32, epochs=3), examples, others)
    assert history["epoch"].tolist() == [1, 2, 3]
    assert int(network.optimizer.iterations) == 3 * 4, "100 images make three batches of 32 and one of 4"
    assert float(network.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert f"validation_accuracy {history['validation_accuracy'].iloc[2]:.4f}" in lines[2]


def test_the_loss_leaves_out_the_penalty_that_training_minimises(examples: Examples) -> None:
    penalised = Variant(filters=[4], first_convolution_l2=1.0, learning_rate=0.05, batch_size=100, epochs=20)
    before = float(sum(networks.build(penalised, examples.image_shape, 10, steps=20).losses))
    assert before > 1, "there is a penalty to leave out"
    network, history = fit(penalised, examples, examples)
    assert float(sum(network.losses)) < before / 10, "and it is minimised all the same"
    # An epoch is one step, so that its loss is that of the network after the epoch before.
    np.testing.assert_allclose(history["loss"][1:], history["validation_loss"][:-1], atol=1e-5)
    assert history["validation_loss"].iloc[-1] == pytest.approx(loss_of(network, examples), abs=1e-5)


@pytest.mark.parametrize(
    ("epochs", "early_stopping", "stops"),
    [(30, 2, True), (4, 10, False), (4, None, False)],
    ids=["stopped", "never stopped", "without early stopping"],
)
def test_early_stopping_ends_with_the_weights_of_the_best_epoch_and_without_it_the_last_stay(
    epochs: int, early_stopping: int | None, stops: bool, examples: Examples, others: Examples
) -> None:
    # Each is called the next digit: the better a network gets, the worse its loss on them.
    mislabelled = Examples(others.images, (others.labels + 1) % np.uint8(10), 10)
    variant = Variant(dense=[32], batch_size=10, epochs=epochs, early_stopping=early_stopping)
    network, history = fit(variant, examples, mislabelled)
    best = training.best_epoch(history)
    assert best < len(history) == (best + 2 if stops else epochs)
    assert len(history) < 30
    losses = history["validation_loss"]
    kept = losses.iloc[-1] if early_stopping is None else losses.min()
    assert loss_of(network, mislabelled) == pytest.approx(kept, abs=1e-5)


def test_seeds_follow_one_another() -> None:
    assert training.seeds(1234, 3) == [1234, 1235, 1236]
    assert training.seeds(2**32 - 1, 2) == [2**32 - 1, 0]


def test_the_spread_over_seeds_is_mean_and_sample_standard_deviation() -> None:
    summaries = [{"validation": {"accuracy": accuracy, "loss": 0.5}} for accuracy in (0.9, 0.92, 0.94)]
    assert training.over_seeds(summaries) == {
        "n": 3,
        "validation_accuracy_mean": 0.92,
        "validation_accuracy_sd": 0.02,
        "validation_loss_mean": 0.5,
        "validation_loss_sd": 0.0,
    }


def test_training_fails_where_the_losses_of_its_network_are_no_numbers(examples: Examples, others: Examples) -> None:
    # One step an epoch; the first has a learning rate of 0, and those that follow go far too far.
    steep = Variant(optimizer="sgd", learning_rate=1e38, schedule="cosine", warmup=0.5, batch_size=100, epochs=4)
    with pytest.raises(FloatingPointError):
        fit(steep, examples, others)
    _, history = fit(steep.model_copy(update={"early_stopping": 5}), examples, others)
    assert history["validation_loss"].isna().tolist()[0] is False
    assert history["validation_loss"].isna().any(), "the weights of the first epoch are restored"


def test_the_summary_is_that_of_the_saved_network_and_of_the_best_epochs_the_first_counts() -> None:
    rows = [(1, 0.9, 0.1, 0.5, 0.05), (2, 0.5, 0.2, 0.2, 0.1), (3, 0.4, 0.3, 0.2, 0.15), (4, 1 / 3, 0.4, 0.3, 0.2)]
    history = pd.DataFrame(rows, columns=["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"])
    best = {"train": {"accuracy": 0.2, "loss": 0.5}, "validation": {"accuracy": 0.1, "loss": 0.2}}
    last = {"train": {"accuracy": 0.4, "loss": 0.333333}, "validation": {"accuracy": 0.2, "loss": 0.3}}
    either = {"generalisation_gap": {"best_epoch": -0.3, "last_epoch": -0.033333}, "best_epoch": 2, "epochs": 4}
    assert training.summary(history, early_stopping=True) == best | either
    assert training.summary(history, early_stopping=False) == last | either


def test_images_of_a_file_are_read_where_they_lie(deterministic: None, tmp_path: Path) -> None:
    """By every batch of an epoch, shuffled or not, where operations are deterministic: none of them is copied."""
    images = np.zeros((100_000, 28, 28), np.uint8)
    images[:, 0, 0] = np.arange(len(images)) % 10
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", images[:, 0, 0])
    np.save(tmp_path / "classes.npy", np.arange(12))  # two without images
    loaded = Examples.load(tmp_path)
    del images
    assert isinstance(loaded.images, np.memmap)
    assert (loaded.class_count, loaded.image_shape) == (12, (28, 28, 1))

    def own_bytes() -> int:
        memory = psutil.Process().memory_info()
        return int(memory.rss - memory.shared)

    for seed in (None, 1):
        before = own_bytes()
        for batch, labels in training.batches(loaded, 1000, seed):
            np.testing.assert_array_equal(batch[:, 0, 0, 0] * 255, np.argmax(labels, axis=1))
            assert own_bytes() - before < loaded.images.nbytes / 2


def test_standard_error_is_heard_again_once_tensorflow_has_started(capfd: Capture) -> None:
    training.make_deterministic(1)
    os.write(2, b"still here")
    assert "still here" in capfd.readouterr().err
