"""The process that trains trials, as a worker drives it."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glyphline.evaluation.metrics import METRICS
from glyphline.model import inference, training
from glyphline.model.training import Checkpoint, Examples
from glyphline.model.variant import Augmentation, Variant
from glyphline.search import trial
from glyphline.search.trial import Job, Outcome, Report, Splits
from glyphline.search.worker import TrialProcess
from tests.search.conftest import LONGEST


def test_a_stop_that_comes_too_late_stops_no_other_trial(prepared: Path) -> None:
    splits = Splits.load(prepared)
    variant = Variant(dense=[8], epochs=1)
    process = TrialProcess()
    epochs: list[Report] = []

    def wanted_until_it_has_ended() -> bool:
        if not epochs:
            return True
        assert process._connection.poll(LONGEST), "the outcome has come when the stop is sent"
        return False

    try:
        first = process.run(Job(0, variant, seed=1, end=1), splits, epochs.append, wanted_until_it_has_ended, None)
        second = process.run(Job(1, variant, seed=1, end=1), splits, epochs.append, lambda: True, None)
    finally:
        process.end()
    assert [first, second] == [Outcome(), Outcome()]
    assert len(epochs) == 2


def test_a_million_images_are_not_copied_to_each_process_of_this_machine(prepared: Path) -> None:
    splits = Splits.load(prepared)
    place = pickle.dumps(splits)
    assert len(place) < 1000
    images = pickle.dumps(splits.map(np.array))  # for the workers of other machines
    assert len(images) > splits.train.images.nbytes
    for sent in (place, images):
        arrived = pickle.loads(sent)
        assert arrived.digest == splits.digest
        np.testing.assert_array_equal(arrived.train.images, splits.train.images)
        np.testing.assert_array_equal(arrived.validation.labels, splits.validation.labels)


@pytest.mark.long
def test_a_trial_goes_on_from_its_checkpoint_as_if_it_had_never_stopped(prepared: Path) -> None:
    splits = Splits.load(prepared)
    reports: list[Report] = []
    variant = Variant(filters=[2], convolution_dropout=0.2, augmentation=Augmentation(shift=1.0), epochs=3)
    process = TrialProcess()

    def run(end: int, start: Checkpoint | None = None) -> Checkpoint | None:
        outcome = process.run(Job(0, variant, 1, end, start), splits, reports.append, lambda: True, None)
        assert outcome.failure is None
        return outcome.checkpoint

    try:
        assert run(end=3) is None
        middle = run(end=1)
        assert middle
        assert run(end=3, start=middle) is None
    finally:
        process.end()
    whole, parts = reports[:3], reports[3:]
    assert [report.epoch for report in parts] == [1, 2, 3]
    assert [report.validation_score for report in parts] == [report.validation_score for report in whole]


@pytest.mark.long
@pytest.mark.usefixtures("deterministic")
def test_balanced_accuracy_is_that_of_the_network_on_the_validation_split(prepared: Path) -> None:
    splits = Splits.load(prepared)
    reports: list[Report] = []
    few = np.flatnonzero((splits.validation.labels < 5) | (np.arange(50) % 3 == 0))
    validation = Examples(splits.validation.images[few], splits.validation.labels[few], 10)
    job = Job(0, Variant(dense=[8], epochs=2), seed=1, end=1, metric="balanced_accuracy")
    outcome = trial._run(job, replace(splits, validation=validation), reports.append, threading.Event())
    network = training.fit(job.variant, splits.train, validation, 1, end=1).network
    predicted = inference.apply(network, validation.images).argmax(axis=1)
    measured = {name: metric.score(validation.labels, predicted)[0] for name, metric in METRICS.items()}
    assert outcome.checkpoint
    assert reports[0].validation_score == pytest.approx(measured["balanced_accuracy"])
    assert measured["balanced_accuracy"] != pytest.approx(measured["accuracy"])
    assert set(measured) == {"accuracy", "balanced_accuracy"}, "one that leads is one that a trial knows"
