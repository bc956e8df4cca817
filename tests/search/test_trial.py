"""The process that trains trials, as a worker drives it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from glyphline.model.variant import Variant
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
        first = process.run(Job(0, variant, seed=1), splits, epochs.append, wanted_until_it_has_ended, None)
        second = process.run(Job(1, variant, seed=1), splits, epochs.append, lambda: True, None)
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
