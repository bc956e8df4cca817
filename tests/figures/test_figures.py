import functools
import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image

from glyphline.figures import architecture, changes, comparison, data, learning, mistakes, style
from glyphline.figures.style import Picture
from tests.conftest import load_record

DIGITS = tuple("0123456789")
FASHION_MNIST, K49 = load_record("fashion-mnist"), load_record("k49")
LONG_NAME = "adadelta_dropout"


@pytest.fixture(autouse=True)
def _warnings_are_errors(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    yield
    assert [str(warning.message) for warning in recwarn] == []


def history(epochs: int, best: int) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "loss": 1 / (epoch + 1),
            "accuracy": 1 - 0.5 / epoch,
            "validation_loss": 0.3 + 0.01 * np.abs(epoch - best),
            "validation_accuracy": 1 - 0.6 / epoch,
        }
    )


def counts(classes: int, n: int = 100, wrong: float = 0.05) -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    rates = (1 - wrong) * np.eye(classes) + wrong * rng.dirichlet(np.full(classes, 0.2), size=classes)
    return np.stack([rng.multinomial(n, row) for row in rates])


def pictures(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)


def layers(hidden: int = 1) -> pd.DataFrame:
    rows = [
        ("image", "28 x 28 x 1", 0, 0),
        ("convolution_1", "26 x 26 x 32", 320, 194_688),
        ("convolution_1_normalization", "26 x 26 x 32", 0, 0),
        ("convolution_1_activation", "26 x 26 x 32", 0, 0),
        ("convolution_dropout", "26 x 26 x 32", 0, 0),
        ("flatten", "21632", 0, 0),
        *((f"dense_{depth}", "512", 11_076_096, 11_075_584) for depth in range(1, hidden + 1)),
        ("probabilities", "10", 5130, 5120),
    ]
    return pd.DataFrame(rows, columns=["layer", "output_shape", "parameters", "multiply_adds"])


def variants(names: list[str], parameters: list[int], metric: str = "accuracy") -> pd.DataFrame:
    accuracy = np.linspace(0.9, 0.99, len(names))
    return pd.DataFrame(
        {
            metric: accuracy,
            f"{metric}_low": accuracy - 0.004,
            f"{metric}_high": accuracy + 0.003,
            "parameters": parameters,
            "multiply_adds": [10 * count for count in parameters],
        },
        index=names,
    )


def gallery(class_names: Sequence[str], shown: int, errors: int) -> Picture:
    classes = len(class_names)
    labels = (np.arange(shown) % classes).astype(np.uint8)
    probabilities = np.zeros((shown, classes), np.float32)
    probabilities[np.arange(shown), (labels + 1) % classes] = 0.875
    counts = np.diag([1000 - errors, *[0] * (classes - 1)])
    counts[0, 1] = errors
    return mistakes.worst_errors(
        pictures(shown), labels, probabilities, counts, class_names, variant=LONG_NAME, dataset="MNIST"
    )


def to_check(shown: int) -> Picture:
    names = FASHION_MNIST.class_names
    rows = [(LONG_NAME, "test", names[row % 10], 0.0001, names[(row + 1) % 10], 0.875) for row in range(shown)]
    columns = ["variant", "split", "label", "probability", "predicted", "predicted_probability"]
    return mistakes.labels_to_check(pictures(shown), pd.DataFrame(rows, columns=columns), "Fashion-MNIST")


def difference_rows(count: int, seeds: bool = False) -> list[changes.Row]:
    rows = []
    for place in range(count):
        middle = 0.01 * (place - 4)
        interval = changes.Interval(middle, middle - 0.012, middle + 0.013)
        verdict = "within noise" if place in (3, 4) else "better" if place > 4 else "worse"
        certain, of_seeds = verdict != "within noise", interval if seeds else None
        rows.append(changes.Row(f"{LONG_NAME}_{place}", verdict, certain, interval, of_seeds))
    return rows


def class_changes(class_names: Sequence[str], dataset: str) -> Picture:
    net = np.random.default_rng(0).integers(-9, 10, (9, len(class_names)))
    sizes = np.full(len(class_names), 100)
    variants = [f"{LONG_NAME}_{place}" for place in range(9)]
    return changes.class_changes(variants, class_names, net, sizes, dataset, count=len(class_names))


def flips(
    class_names: Sequence[str], count: int, probabilities: tuple[float, float] | None = (0.5, 1.0)
) -> list[changes.Flip]:
    return [
        changes.Flip(image, class_names[place % 10], class_names[(place + 1) % 10], probabilities)
        for place, image in enumerate(pictures(count))
    ]


PICTURES: dict[str, Callable[[], Picture]] = {
    "curves": lambda: learning.curves(history(20, 19), 19, LONG_NAME, "MNIST"),
    "curves_of_one_epoch": lambda: learning.curves(history(1, 1), 1, "mlp", "MNIST"),
    "curves_of_many_epochs": lambda: learning.curves(history(300, 2), 2, "a_name_that_goes_on" * 6, "MNIST"),
    "confusion_10": lambda: mistakes.confusion(counts(10), DIGITS, "mlp", "MNIST"),
    "confusion_10_full": lambda: mistakes.confusion(counts(10, 1200, 0.6), DIGITS, "mlp", "MNIST"),
    "confusion_long_names": lambda: mistakes.confusion(
        counts(10, 1000), FASHION_MNIST.class_names, "mlp", "Fashion-MNIST"
    ),
    "confusion_20": lambda: mistakes.confusion(counts(20), [str(name) for name in range(20)], "mlp", "?"),
    "confusion_49": lambda: mistakes.confusion(counts(49, 1000), K49.class_names, "mlp", K49.title),
    "confusion_1": lambda: mistakes.confusion(counts(1), ["one"], "mlp", "?"),
    "errors": lambda: gallery(DIGITS, shown=40, errors=59),
    "errors_long_names": lambda: gallery(FASHION_MNIST.class_names, shown=40, errors=59),
    "all_errors": lambda: gallery(DIGITS, shown=3, errors=3),
    "one_error": lambda: gallery(DIGITS, shown=1, errors=1),
    "no_errors": lambda: gallery(DIGITS, shown=0, errors=0),
    "labels_to_check": lambda: to_check(24),
    "no_labels_to_check": lambda: to_check(0),
    "network": lambda: architecture.network(layers(), "mlp", "MNIST"),
    "network_deep": lambda: architecture.network(layers(12), "mlp", "MNIST"),
    "examples_10": lambda: data.examples(
        pictures(100), np.arange(100, dtype=np.uint8) % 10, FASHION_MNIST.class_names, "Fashion-MNIST"
    ),
    "examples_49": lambda: data.examples(
        pictures(300), np.arange(300, dtype=np.uint8) % 48, K49.class_names, K49.title
    ),
    "balance_10": lambda: data.balance(np.full(10, 6000), np.full(10, 1000), FASHION_MNIST.class_names, "?"),
    "balance_49": lambda: data.balance(100 * np.arange(1, 50), np.arange(49), K49.class_names, K49.title),
    "overfitting": lambda: comparison.overfitting(
        {f"{LONG_NAME}_{index}": history(5 + index, 3) for index in range(10)},
        {f"{LONG_NAME}_{index}": 3 for index in range(10)},
        "MNIST",
    ),
    "overfitting_of_one": lambda: comparison.overfitting({"mlp": history(1, 1)}, {"mlp": 1}, "MNIST"),
    "accuracy_vs_cost": lambda: comparison.accuracy_vs_cost(
        variants([f"{LONG_NAME}_{index}" for index in range(20)], [1_199_882] * 15 + [34_826] * 5), "MNIST"
    ),
    "differences": lambda: changes.differences(difference_rows(9, seeds=True), "accuracy", "MNIST"),
    "differences_of_one": lambda: changes.differences(difference_rows(1), "balanced_accuracy", "MNIST"),
    "class_changes_10": lambda: class_changes(FASHION_MNIST.class_names, "Fashion-MNIST"),
    "class_changes_49": lambda: class_changes(K49.class_names, K49.title),
    "class_changes_1": lambda: class_changes(("7",), "MNIST"),
    "flips": lambda: changes.flips(flips(FASHION_MNIST.class_names, 30), 1200, f"{LONG_NAME}: lost", "Fashion-MNIST"),
    "flips_without_probabilities": lambda: changes.flips(flips(DIGITS, 1, None), 1, "mlp: lost", "MNIST"),
    "accuracy_vs_cost_of_one": lambda: comparison.accuracy_vs_cost(variants(["mlp"], [407_050]), "MNIST"),
    "balanced_accuracy_vs_cost": lambda: comparison.accuracy_vs_cost(
        variants(["mlp", "small"], [400_000, 300_000], "balanced_accuracy"), "K49", "balanced_accuracy"
    ),
}


@functools.cache
def drawn(name: str) -> Picture:
    """One of the pictures, drawn once for all tests that look at it alone."""
    return PICTURES[name]()


def written(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Text, Bbox]]:
    """Every text that is drawn, and the box it fills, in pixels."""
    found: list[tuple[Text, Bbox]] = []
    draw = Text.draw

    def noting(text: Text, renderer: object) -> None:
        if text.get_visible() and text.get_text():
            found.append((text, text.get_window_extent()))
        draw(text, renderer)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, style.house_style():
        patch.setattr(Text, "draw", noting)
        figure.canvas.draw()
    return found


def texts(picture: Picture) -> list[str]:
    found = [text.get_text() for text in picture.figure.findobj(Text)]
    return [text for text in found if text]


def labelled(axes: Axes, label: str) -> list[list[float]]:
    """The x of the lines with this label."""
    return [list(np.asarray(line.get_xdata(), float)) for line in axes.get_lines() if line.get_label() == label]


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off_and_no_text_stands_on_another(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(name).figure
    boxes = written(figure, monkeypatch)
    assert len(boxes) > 1
    left, bottom, right, top = np.array([box.extents for _, box in boxes]).T
    cut_off = (left < 0) | (bottom < 0) | (right > figure.bbox.width) | (top > figure.bbox.height)
    assert [text.get_text() for (text, _), cut in zip(boxes, cut_off, strict=True) if cut] == []

    def common(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.minimum.outer(high, high) - np.maximum.outer(low, low)

    overlap = (common(left, right) > 3) & (common(bottom, top) > 3)  # pixels
    # The boxes of slanted names are those of their diagonals, so among themselves they overlap.
    slanted = np.array([text.get_rotation() not in (0, 90) for text, _ in boxes])
    overlap &= ~np.logical_and.outer(slanted, slanted) & ~np.eye(len(boxes), dtype=bool)
    assert [(boxes[one][0].get_text(), boxes[other][0].get_text()) for one, other in np.argwhere(overlap)] == []


@pytest.mark.parametrize("name", ["curves", "confusion_10", "one_error", "accuracy_vs_cost_of_one", "differences"])
def test_the_same_input_gives_the_same_bytes_whatever_matplotlib_is_configured_to(name: str, tmp_path: Path) -> None:
    style.save(drawn(name), tmp_path / "one.png")
    with mpl.rc_context({"font.size": 20, "axes.grid": False, "lines.linewidth": 9, "savefig.dpi": 30}):
        before = dict(mpl.rcParams)
        style.save(PICTURES[name](), tmp_path / "folder" / "two.png")
        assert dict(mpl.rcParams) == before
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "folder" / "two.png").read_bytes()


def test_a_png_has_its_caption_and_alt_text_and_neither_date_nor_version() -> None:
    picture = drawn("examples_49")
    with Image.open(io.BytesIO(style.to_png(picture))) as image:
        image.load()
        assert image.info.keys() == {"dpi", "Title", "Description"}
        assert (image.info["Title"], image.info["Description"]) == (picture.caption, picture.alt)
    assert "ゑ" in picture.alt


@pytest.mark.parametrize(
    ("name", "written", "alt"),
    [
        ("curves", [], "loss is lowest after epoch 19. At the last epoch it is +0.262 nats from train loss."),
        ("confusion_1", [], ": 0 of 100 test images wrong."),
        (
            "errors",
            ["adadelta_dropout: the 40 most confident of 59 errors on 1,000 test images"],
            "The first: 0 taken for 1 with 87.5 %, 1 taken for 2 with 87.5 % and 2 taken for 3 with 87.5 %.",
        ),
        ("all_errors", ["adadelta_dropout: all 3 errors on 1,000 test images, the most confident first"], ""),
        ("all_errors", ["0", "1  87.5 %", "1", "2  87.5 %", "2", "3  87.5 %"], ""),
        (
            "no_errors",
            ["adadelta_dropout: no errors on 1,000 test images", "no errors"],
            "No pictures: adadelta_dropout classifies every test image right.",
        ),
        (
            "network",
            ["mlp: 11,081,546 parameters, 11.3 M multiply-adds an image", "convolution 1"],
            "convolution 1 26 by 26 by 32, convolution 1 normalization 26 by 26 by 32, convolution 1 activation "
            "26 by 26 by 32, convolution dropout 26 by 26 by 32, flatten 21632, ",
        ),
        ("network", ["26 × 26 × 32", "21,632", "320", "194,688", "11,081,546", "11,275,392"], ""),  # noqa: RUF001
        ("network", ["normalization", "activation"], ""),  # what belongs to a layer does not repeat its name
        ("examples_49", K49.class_names, ""),
        ("balance_10", [], "6,000 training images of each class; the test set has 1,000 images of each class."),
        ("balance_49", K49.class_names, "the test set has from 0 images (あ) to 48 (ゝ) of a class."),
        ("accuracy_vs_cost_of_one", [], "From the fewest parameters to the most: mlp 90.00 %."),
        ("balanced_accuracy_vs_cost", ["Test balanced accuracy against the size and the work of the network"], ""),
        ("differences_of_one", [], f"{LONG_NAME}_0 \N{MINUS SIGN}4.00, worse."),
        ("flips", [], f"{LONG_NAME}: lost: 1,200 test images. The first were taken for T-shirt/top and now Trouser, "),
    ],
)
def test_a_picture_says_in_words_and_in_its_alt_text_what_it_shows(name: str, written: list[str], alt: str) -> None:
    found = texts(drawn(name))
    assert set(written) <= set(found)
    assert alt in drawn(name).alt
    assert ("no errors" in found) == (name == "no_errors")
    assert name != "network" or "0" not in found, "a layer without parameters has no count"


# What one sees of a variant.


@pytest.mark.parametrize(("epochs", "best"), [(20, 14), (1, 1), (300, 2)])
def test_curves_show_every_epoch_of_train_and_validation_and_mark_the_best(epochs: int, best: int) -> None:
    table = history(epochs, best)
    picture = learning.curves(table, best, "mlp", "MNIST")
    for axes, measure, scale in zip(picture.figure.axes, ("loss", "accuracy"), (1, 100), strict=True):
        assert list(axes.get_xticks()) == style.epoch_ticks(epochs)
        assert labelled(axes, learning.BEST_LINE) == [[best, best]]
        rings = [line for line in axes.get_lines() if line.get_markersize() == 7]
        of_both = (learning.TRAIN_LINE, measure), (learning.VALIDATION_LINE, f"validation_{measure}")
        for ring, (label, column) in zip(rings, of_both, strict=True):
            values = scale * table.set_index("epoch")[column]
            [line] = [each for each in axes.get_lines() if each.get_label() == label]
            np.testing.assert_array_equal(np.asarray(line.get_xdata(), float), table["epoch"])
            np.testing.assert_allclose(np.asarray(line.get_ydata(), float), values)
            np.testing.assert_allclose(np.asarray(ring.get_xydata(), float), np.array([[best, values[best]]]))
    assert f"mlp: validation loss is lowest after epoch {best} of {epochs}" in texts(picture)


@pytest.mark.parametrize(
    "ticks", [[1], [1, 2, 3], [1, 2, 4, 6, 8, 10, 12], [1, 5, 10, 15, 20], [1, *range(20, 101, 20)]]
)
def test_epochs_are_numbered_from_1_in_whole_numbers(ticks: list[int]) -> None:
    assert style.epoch_ticks(ticks[-1]) == ticks


def test_a_diverged_history_is_drawn_too() -> None:
    table = history(4, 2)
    table.loc[2:, ["loss", "validation_loss"]] = [[math.nan, math.nan], [math.inf, math.nan]]
    style.to_png(learning.curves(table, 2, "mlp", "MNIST"))
    style.to_png(comparison.overfitting({"mlp": table}, {"mlp": 2}, "MNIST"))


def test_rows_of_the_normalised_matrix_sum_to_1_and_an_empty_one_to_0() -> None:
    matrix = mistakes.row_normalised(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 5]]))
    np.testing.assert_allclose(matrix, np.array([[0.75, 0.25, 0], [0, 0, 0], [0, 0, 1]]))


def test_a_single_error_shows_beside_a_diagonal_of_thousands() -> None:
    matrix = np.diag([5000, 5000, 5000])
    matrix[0, 2] = 1
    matrix[2, 1] = 90
    raw, _ = mistakes.confusion(matrix, "abc", "mlp", "MNIST").figure.axes
    colours = np.asarray(raw.images[0].get_array())[..., :3]

    def distance(cell: tuple[int, int], colour: str) -> float:
        return float(np.abs(colours[cell] - to_rgba(colour)[:3]).max())

    assert all(distance((index, index), mistakes.DIAGONAL) < 0.01 for index in range(3))
    assert distance((0, 1), "white") == 0
    assert distance((0, 2), "white") > 0.15
    assert distance((2, 1), "white") > 0.7


def test_a_small_matrix_has_its_numbers_raw_and_as_shares_and_says_how_many_are_wrong() -> None:
    picture = mistakes.confusion(np.array([[996, 4], [0, 500]]), ["no", "yes"], "mlp", "MNIST")
    raw, shares = picture.figure.axes
    assert [text.get_text() for text in raw.texts] == ["996", "4", "500"]
    assert [text.get_text() for text in shares.texts] == ["99.6", "0.4", "100"]
    assert "mlp: 4 of 1,500 test images in the wrong class" in texts(picture)
    assert picture.alt.endswith(": 4 of 1,500 test images wrong, most often no taken for yes (4 times).")


def test_all_49_classes_are_named_on_both_sides_of_both_matrices() -> None:
    matrices = [axes for axes in drawn("confusion_49").figure.axes if axes.images]
    assert len(matrices) == 2
    for axes in matrices:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            assert [label.get_text() for label in labels] == K49.class_names


def test_where_cells_hold_no_number_the_most_frequent_confusions_are_listed() -> None:
    matrix = 1000 * np.eye(49, dtype=np.int64)
    matrix[3, 7], matrix[20, 1] = 30, 90
    assert mistakes.most_frequent(matrix) == [(20, 1), (3, 7)]
    found = texts(mistakes.confusion(matrix, K49.class_names, "mlp", K49.title))
    assert "な → い   90 (8.3 % of な)" in found
    assert "え → く   30 (2.9 % of え)" in found


def test_kana_are_drawn_in_bold_without_a_complaint(caplog: pytest.LogCaptureFixture) -> None:
    style.to_png(architecture.network(layers(), "ゑ", "ゝ"))
    assert caplog.messages == []


def test_the_pictures_are_shown_as_they_are_three_times_as_large() -> None:
    image = pictures(1)
    label, probabilities = np.zeros(1, np.uint8), np.array([[0, 1]], np.float32)
    counts = np.array([[8, 1], [0, 0]])
    [axes] = mistakes.worst_errors(image, label, probabilities, counts, "ab", variant="mlp", dataset="?").figure.axes
    canvas = np.asarray(axes.images[0].get_array())
    rows, columns = np.nonzero(canvas)
    framed = canvas[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(framed[3:-3, 3:-3], image[0].repeat(3, axis=0).repeat(3, axis=1))


# What one sees of all variants.


def test_points_stand_at_their_cost_with_the_intervals_of_the_input_and_equal_costs_close_by() -> None:
    table = variants(["b", "a", "c", "d"], [1_200_000, 30_000, 1_200_000, 1_200_000])
    order = table.loc[["a", "b", "c", "d"]]
    plots = [axes for axes in comparison.accuracy_vs_cost(table, "MNIST").figure.axes if axes.containers]
    for axes, factor in zip(plots, (1, 10), strict=True):
        [container] = axes.containers
        assert isinstance(container, ErrorbarContainer)
        points, _, [bars] = container.lines
        np.testing.assert_allclose(np.asarray(points.get_ydata(), float), 100 * order["accuracy"])
        segments = np.array(bars.get_segments())
        np.testing.assert_allclose(segments[:, 0, 1], 100 * order["accuracy_low"])
        np.testing.assert_allclose(segments[:, 1, 1], 100 * order["accuracy_high"])
        assert axes.get_ylim()[0] < 100 * table["accuracy_low"].min()
        assert axes.get_xscale() == "log"
        costs = np.asarray(points.get_xdata(), float)
        assert costs[[0, 2]] == pytest.approx([factor * 30_000, factor * 1_200_000])
        assert len(set(costs)) == 4
        assert np.abs(costs[1:] / (factor * 1_200_000) - 1).max() < 0.1


@given(st.lists(st.floats(0, 8), min_size=1, max_size=30).map(sorted))
def test_names_are_kept_apart_within_the_width_and_moved_only_where_they_must(places: list[float]) -> None:
    apart = comparison.keep_apart(np.array(places), gap=0.2, width=8)
    assert (np.diff(apart) > 0.2 - 1e-9).all()
    assert apart.min() > -1e-9
    assert apart.max() < 8 + 1e-9
    if (np.diff(places) >= 0.2).all():
        np.testing.assert_allclose(apart, places, atol=1e-9)


def test_more_names_than_there_is_room_for_stay_within_the_width() -> None:
    np.testing.assert_allclose(comparison.keep_apart(np.full(5, 1.0), gap=1, width=2), [0, 0.5, 1, 1.5, 2])


def test_overfitting_has_the_gaps_at_the_best_and_at_the_last_epoch() -> None:
    table = history(3, 2).assign(loss=[0.9, 0.375, 0.125], validation_loss=[0.8, 0.5, 0.75])
    picture = comparison.overfitting({"small": table, "mlp": table.iloc[:1]}, {"small": 2, "mlp": 1}, "MNIST")
    gaps = picture.figure.axes[-1]
    assert labelled(gaps, "small at best") == [[0.125]]
    assert labelled(gaps, "small at last") == [[0.625]]
    found = texts(picture)
    assert {"+0.125", "at 2", "+0.625", "at 3", "\N{MINUS SIGN}0.100", "at 1"} <= set(found)


def test_losses_of_all_variants_share_their_scales() -> None:
    tables = {"short": history(3, 2), "long": history(30, 20) * [1, 0.01, 1, 5, 1]}
    figure = comparison.overfitting(tables, {"short": 2, "long": 20}, "MNIST").figure
    one, other = figure.axes[:2]
    assert one.get_xlim() == other.get_xlim()
    assert one.get_ylim() == other.get_ylim()
    assert one.get_xlim()[1] > 30
    assert one.get_ylim()[0] < tables["long"]["loss"].min()
    assert one.get_ylim()[1] > tables["long"]["validation_loss"].max()
    assert [labelled(axes, learning.BEST_LINE) for axes in (one, other)] == [[[2, 2]], [[20, 20]]]


# What one sees of the data.


def test_examples_are_of_their_class() -> None:
    labels = np.array([2, 0, 0, 2, 2], np.uint8)
    images = np.zeros((5, 28, 28), np.uint8) + np.array([200, 100, 101, 201, 202], np.uint8)[:, None, None]
    [axes] = data.examples(images, labels, ["a", "b", "c"], "MNIST").figure.axes
    canvas = np.asarray(axes.images[0].get_array())
    rows = np.array_split(canvas, 3)
    assert [sorted(set(row[row >= 100].tolist())) for row in rows] == [[100, 101], [], [200, 201, 202]]


def test_examples_are_spread_over_the_data() -> None:
    assert data.evenly_spaced(np.arange(100), 4).tolist() == [0, 25, 50, 75]
    assert data.evenly_spaced(np.arange(3), 4).tolist() == [0, 1, 2]


def test_balance_counts_train_and_test() -> None:
    picture = data.balance(np.array([6000, 384]), np.array([1000, 64]), ["a", "b"], "MNIST")
    train, test = picture.figure.axes
    assert [bar.get_width() for bar in train.patches] == [6000, 384]  # type: ignore[attr-defined]
    assert [text.get_text() for text in train.texts] == ["6,000", "384"]
    assert [bar.get_width() for bar in test.patches] == [1000, 64]  # type: ignore[attr-defined]
    assert "From 384 to 6,000 training images of each class" in texts(picture)


# What stays of a page's size, and names what matters, where there are thousands of classes.

MANY = 2000
MANY_NAMES = [f"U+{0x4E00 + number:04X}" for number in range(MANY)]
HIGHEST = 40  # inches


def test_the_most_confused_pairs_and_the_lowest_recalls_stand_for_the_matrix() -> None:
    counts = np.diag(np.full(MANY, 5))
    counts[7, 7], counts[7, 9] = 1, 4
    picture = mistakes.confusion(counts, MANY_NAMES, "mlp", "many")
    texts = [text.get_text() for text in picture.figure.texts]
    assert f"{MANY_NAMES[7]}   20.0 % of 5 images" in texts
    assert any(text.startswith(f"{MANY_NAMES[7]} → {MANY_NAMES[9]}   4 ") for text in texts)
    assert f"the lowest are those of {MANY_NAMES[7]} (20.0 %)" in picture.alt
    assert picture.figure.get_figheight() < HIGHEST


def test_examples_and_balance_of_many_classes_fit_on_a_page() -> None:
    labels = np.repeat(np.arange(MANY), 2)
    examples = data.examples(np.zeros((2 * MANY, 28, 28), np.uint8), labels, MANY_NAMES, "many")
    balance = data.balance(np.arange(MANY) + 3, np.full(MANY, 2), MANY_NAMES, "many")
    for picture in (examples, balance):
        assert picture.figure.get_figheight() < HIGHEST
        assert len(picture.alt) < 2000
    assert "Examples of 90 of 2,000 classes" in examples.figure.texts[0].get_text()
    assert "From 3 to 2,002 training images of each of 2,000 classes" in balance.figure.texts[0].get_text()


def test_coloured_and_large_images_are_shown_as_they_are() -> None:
    images = np.zeros((6, 128, 128, 3), np.uint8)
    images[..., 0] = 200
    picture = data.examples(images, np.arange(6) % 2, ["a", "b"], "red")
    (axes,) = picture.figure.axes
    canvas = np.asarray(axes.images[0].get_array())
    assert canvas.shape[2] == 3
    assert ((canvas == (200, 0, 0)).all(axis=2)).mean() > 0.1
