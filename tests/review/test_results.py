"""glyphline/review/results.py: revisions of today and of long ago, and files that are not what they should be."""

import json
from pathlib import Path

import numpy as np
import pytest

from glyphline import paths
from glyphline.evaluation.significance import SeedStatistics
from glyphline.review.results import Results, read_results
from glyphline.review.revision import Revision
from tests.conftest import REPOSITORY, load_record, refusal
from tests.review.conftest import DIGITS, LABELS, Scratch, wrong


def read(scratch: Scratch) -> Results:
    return read_results(Revision(scratch.root, None, "now"))


def test_a_revision_says_what_was_committed(scratch: Scratch) -> None:
    spread = {"n": 3, "accuracy_mean": 0.98, "accuracy_sd": 0.002}
    spread |= {"balanced_accuracy_mean": 0.97, "balanced_accuracy_sd": 0.003}
    scratch.write_results({"mlp": wrong(1, 2), "deep": wrong()}, seeds={"deep": spread})
    scratch.write(
        "requirements.lock", "numpy==2.2.0 ; python_version < '3.12' \\\n    --hash=sha256:0\nnumpy==2.3.0 \\\n"
    )
    commit = scratch.commit()
    scratch.write_results({"other": wrong()})
    results = read_results(Revision(scratch.root, commit, "then"))
    assert (results.name, results.dataset, list(results.metrics)) == ("then", "mnist-5k", ["mlp", "deep"])
    np.testing.assert_array_equal(results.labels, LABELS, strict=True)
    np.testing.assert_array_equal(results.right("mlp"), wrong(1, 2), strict=True)
    assert results.class_names == DIGITS
    assert results.costs["mlp"] == {"parameters": 1000, "multiply_adds": 10_000}
    assert SeedStatistics.of(results.metrics["mlp"], "accuracy") == SeedStatistics(1, 0.998, None)
    assert SeedStatistics.of(results.metrics["deep"], "balanced_accuracy") == SeedStatistics(3, 0.97, 0.003)
    assert results.packages == {"numpy": "2.2.0, 2.3.0"}


def test_a_revision_s_own_record_of_its_data_set_counts(scratch: Scratch) -> None:
    scratch.write_results({"mlp": wrong(1)})
    record = (REPOSITORY / "datasets/mnist-5k.yaml").read_text(encoding="utf-8")
    scratch.write("datasets/mnist-5k.yaml", record.replace("metric: accuracy", "metric: balanced_accuracy"))
    commit = scratch.commit()
    scratch.write("datasets/mnist-5k.yaml", "title: 5\n")
    assert read(scratch).record is None, "a record that today's schema refuses says nothing"
    committed = read_results(Revision(scratch.root, commit, "then")).record
    assert committed is not None
    assert (committed.title, committed.leading_metric) == (load_record("mnist-5k").title, "balanced_accuracy")


def test_a_revision_of_another_schema_is_read_with_what_it_has(scratch: Scratch) -> None:
    scratch.write_results({"mlp": wrong(1)})
    scratch.write_params(speed="high", variants={"mlp": {"width": 8}}, gate=5)
    for path in (paths.predictions("mlp"), paths.PER_CLASS, paths.train_metrics("mlp")):
        (scratch.root / path).unlink()
    scratch.write("dvc.lock", "- neither\n- nor")
    scratch.write("dvc.yaml", "{{")
    results = read(scratch)
    assert results.params["variants"] == {"mlp": {"width": 8}}
    assert (results.labels, results.right("mlp"), results.costs) == (None, None, {"mlp": {}})
    assert (results.outs, results.used_by, results.packages) == ({}, {}, {})
    assert results.class_name(7) == "7"


# Over seeds, each without a number that it needs.
SPREADS = ("5", "{}", '{"n": 1, "accuracy_mean": 0.9, "accuracy_sd": 0}', '{"n": 3, "accuracy_mean": 0.9}')


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("metrics/test.json", None, "it has no metrics/test.json"),
        ("metrics/test.json", "<<<<<<< HEAD", "this is not JSON"),
        ("metrics/test.json", "[1]", "expected the metrics of each variant"),
        ("metrics/test.json", '{"mlp": 0.9}', "expected the metrics of each variant"),
        ("metrics/test.json", '{"mlp": {"accuracy": "0.9"}}', "mlp.accuracy: expected a number, but it is '0.9'"),
        ("metrics/test.json", '{"mlp": {"accuracy": NaN}}', "mlp.accuracy: expected a number, but it is nan"),
        ("metrics/test.json", '{"mlp": {"balanced_accuracy": null}}', "mlp.balanced_accuracy: expected a number"),
        ("metrics/predictions/mlp.csv", "image,predicted\n0,1\n", "expected the columns image, label"),
        ("metrics/predictions/mlp.csv", "image,label,predicted\n0,1,x\n", "with whole numbers"),
        ("metrics/predictions/mlp.csv", "image,label,predicted\n0,1,\n", "with whole numbers"),
        ("metrics/predictions/mlp.csv", "image,label,predicted\n0,1,1.5\n", "with whole numbers"),
        ("metrics/predictions/mlp.csv", "image,label,predicted\n", "with whole numbers"),
        ("metrics/predictions/mlp.csv", "", "expected the columns image, label"),
        ("metrics/per_class.csv", "variant\nmlp\n", "expected a table with a column class"),
        ("params.yaml", None, "it has no params.yaml"),
        ("params.yaml", "seed: [", "line 1 is not YAML"),
        ("params.yaml", "- 1", "expected keys and values"),
        *(
            ("metrics/test.json", f'{{"mlp": {{"seeds": {spread}}}}}', "mlp.seeds: expected n > 1")
            for spread in SPREADS
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_revision_and_name(
    scratch: Scratch, path: str, content: str | None, words: str
) -> None:
    scratch.write_results({"mlp": wrong(1)})
    if content is None:
        (scratch.root / path).unlink()
    else:
        scratch.write(path, content)
    message = refusal(read, scratch)
    assert message.startswith("now: ")
    assert path in message
    assert words in message


def test_a_metric_that_a_revision_did_not_measure_yet_is_that_of_its_predictions(scratch: Scratch) -> None:
    scratch.write_results({"mlp": wrong(1, 2)})
    scratch.write(paths.TEST_METRICS, json.dumps({"mlp": {"accuracy": 0.998}}))
    assert read(scratch).metrics["mlp"]["balanced_accuracy"] == 0.998
    (scratch.root / paths.predictions("mlp")).unlink()
    assert "mlp.balanced_accuracy: expected a number, but it is None" in refusal(read, scratch)


def test_names_of_files_are_those_of_the_repository(scratch: Scratch) -> None:
    scratch.write_results({"mlp": wrong(1)})
    scratch.write(
        "dvc.yaml", "stages:\n  a:\n    deps: [x.py]\n  b:\n    foreach: [1]\n    do:\n      deps: [x.py, y.py]\n"
    )
    assert read(scratch).used_by == {"x.py": ["a", "b"], "y.py": ["b"]}
    scratch.write("dvc.lock", "stages:\n  a:\n    outs:\n    - {path: data/raw/test.npz, md5: abc}\n")
    assert read(scratch).outs == {str(Path("data/raw/test.npz")): "abc"}
