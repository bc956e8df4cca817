"""What holds of all that learns, of every variant: it can memorise, it starts from nothing, chance stays chance."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from glyphline.config import load_params
from glyphline.data.splits import normalise, split
from glyphline.evaluation.scoring import cross_entropy
from glyphline.model import networks, training
from glyphline.model.training import Examples
from glyphline.model.variant import Augmentation, Variant
from glyphline.search.settings import winning_variant
from tests.conftest import REPOSITORY, Labelled

IMAGE = (28, 28, 1)
CLASSES = 10
QUICK = ("fast", "tuned")  # one of convolutions, one of dense layers


def variants() -> dict[str, Variant]:
    """Those of params.yaml, and the one that the search found."""
    params = load_params(REPOSITORY / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        found = {name: winning_variant(name, search) for name, search in params.searches.items()}
        return dict(params.variants) | found


VARIANTS = variants()


def each(quick: tuple[str, ...] = ()) -> list[Any]:
    """The names of all variants, for pytest; all but the quick ones are long."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.long) for name in VARIANTS]


@pytest.mark.parametrize("name", each(QUICK))
def test_a_variant_memorises_32_digits(name: str, digits: Labelled) -> None:
    """With all that is its own but augmentation, by which a digit would be another one in every epoch.

    Dropout, L2 penalty, weight decay and label smoothing are on; what was learnt is judged with dropout off.
    """
    images, labels = (values[:: len(values) // 32][:32] for values in digits)  # of all classes
    few = Examples(images, labels, CLASSES)
    changes = {"epochs": 20, "batch_size": 8, "augmentation": Augmentation(), "early_stopping": None}
    validation = Examples(few.images[:1], few.labels[:1], CLASSES)  # not looked at
    network = training.fit(VARIANTS[name].model_copy(update=changes), few, validation, seed=1).network
    np.testing.assert_array_equal(network(normalise(few.images)).numpy().argmax(axis=1), few.labels)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("class_count", [10, 49])
@pytest.mark.parametrize("name", VARIANTS)
def test_an_untrained_network_gives_probabilities_with_the_loss_of_one_that_knows_nothing(
    name: str, class_count: int, digits: Labelled
) -> None:
    """The cross-entropy is ln(classes) plus what random weights make of it, within four standard deviations.

    The weights w_k of the last layer are independent, of mean 0 and variance v = 2 / (features + classes) (Glorot), so
    that for an image with features h the logits are independent, of variance s2 = v |h|^2. Of ln(mean_k exp(z_k)) - z_y
    the expectation over the weights is, to the second order, s2 / 2 (1 - 1/classes), half the expected variance of the
    logits, which itself varies as one of (classes - 1) degrees of freedom; the first order is the sum over the classes
    of w_k times what the features differ by. Higher orders are left out; s2^2 bounds them, as s2 is below 1.
    """
    import keras

    images, labels = digits[0][::10], digits[1][::10]
    network = networks.build(VARIANTS[name], IMAGE, class_count, steps=100)
    features = keras.Model(network.inputs[0], network.layers[-1].input)(normalise(images)).numpy().astype(np.float64)
    v = 2 / (features.shape[1] + class_count)
    s2 = v * float((features**2).sum(axis=1).mean())
    pulls = np.eye(class_count)[labels].T @ features / len(labels) - features.mean(axis=0) / class_count
    first_order = math.sqrt(v * float((pulls**2).sum()))
    excess = s2 / 2 * (1 - 1 / class_count)
    second_order = excess * math.sqrt(2 / (class_count - 1))
    assert s2 < 1, "no class is much likelier than another"
    probabilities = network(normalise(images)).numpy()
    assert (probabilities.shape, probabilities.dtype) == ((len(images), class_count), np.float32)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    found = cross_entropy(labels, probabilities) - math.log(class_count)
    assert found == pytest.approx(0, abs=0.1 * math.log(class_count))
    assert abs(found - excess) < 4 * math.hypot(first_order, second_order) + s2**2


@pytest.mark.parametrize("name", each(quick=("convnet",)))
def test_permuted_labels_leave_the_accuracy_at_chance_and_the_same_seed_gives_the_same_weights(
    name: str, digits: Labelled
) -> None:
    """Labels are permuted over all images before the split, so that only a leak could tell those of one part.

    Whatever the network answers, each of its answers on the validation split is then right with probability 1/10.
    """
    images, labels = digits
    labels = np.random.default_rng(5).permutation(labels)
    train, validation = (Examples(images[part], labels[part], CLASSES) for part in split(labels, 0.5, seed=3))
    variant = VARIANTS[name].model_copy(update={"epochs": 1, "batch_size": 50, "early_stopping": None})
    first, again = (training.fit(variant, train, validation, seed=1) for _ in range(2))
    right = round(first.history["validation_accuracy"].iloc[-1] * len(validation.labels))
    low, high = stats.binom.interval(0.9999, len(validation.labels), 1 / CLASSES)
    assert low <= right <= high
    for weights, same in zip(first.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)


@pytest.mark.long
@pytest.mark.parametrize("name", VARIANTS)
def test_another_seed_draws_other_weights(name: str) -> None:
    drawn = []
    for seed in (1, 2):
        training.make_deterministic(seed)
        weights = networks.build(VARIANTS[name], IMAGE, CLASSES, steps=1).get_weights()
        drawn.append([each for each in weights if each.ndim > 1])
    assert not [one for one, other in zip(*drawn, strict=True) if np.array_equal(one, other)]
