import base64
import contextlib
import hashlib
import html
import io
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from glyphline.config import parse_params
from glyphline.evaluation import significance
from glyphline.evaluation.metrics import measure
from glyphline.model.variant import Variant
from glyphline.report import intervals, parameters, words
from glyphline.report.html import embed
from glyphline.report.page import render
from glyphline.report.ranking import rank
from glyphline.report.results import Run, read_run
from tests.finished import CLASS_NAMES, ERRORS

N = 400


def predictions_of(errors: dict[str, int]) -> pd.DataFrame:
    """Variants that get the first so many images of class 0 wrong."""
    wrong = {name: (np.arange(N) < count).astype(int) for name, count in errors.items()}
    return pd.DataFrame({"label": np.zeros(N, int), **wrong})


def metrics_of(predictions: pd.DataFrame, **losses: float) -> dict[str, dict[str, Any]]:
    labels = predictions["label"].to_numpy()
    return {
        name: measure(labels, predictions[name].to_numpy()) | {"loss": losses.get(name, 0.1), "n": len(predictions)}
        for name in predictions.columns.drop("label")
    }


def test_p_values_are_corrected_for_all_pairs_of_variants() -> None:
    predictions = predictions_of({"a": 10, "b": 17, "c": 18})
    ranking = rank(metrics_of(predictions), predictions, "accuracy")
    assert ranking.comparisons == 3
    right = [predictions[name].to_numpy() == 0 for name in "abc"]
    raw = [significance.compare(one, other).p_value for one, other in combinations(right, 2)]
    corrected = significance.holm(raw)
    assert corrected[:2] != significance.holm(raw[:2]), "else this would not tell one correction from the other"
    assert [ranking.rivals[name].p_value for name in "bc"] == corrected[:2]


def test_of_equals_the_one_with_the_lower_loss_comes_first_and_the_headline_says_so() -> None:
    predictions = predictions_of({"a": 20, "b": 20})
    metrics = metrics_of(predictions, a=0.2, b=0.1)
    ranking = rank(metrics, predictions, "accuracy")
    assert ranking.variants == ["b", "a"]
    assert words.headline(metrics, ranking).startswith("b comes first, level with a but of lower loss: accuracy 95.0")


def test_the_leading_metric_ranks_and_is_what_is_tested() -> None:
    # `common` fails in the rare class, `rare` in the frequent one, about as often.
    labels = [0] * 380 + [1] * 20
    predictions = pd.DataFrame({"label": labels, "common": [0] * 400, "rare": [1] * 21 + [0] * 359 + [1] * 20})
    metrics = metrics_of(predictions)
    by_accuracy = rank(metrics, predictions, "accuracy")
    by_balance = rank(metrics, predictions, "balanced_accuracy")
    assert (by_accuracy.winner, by_balance.winner) == ("common", "rare")
    assert (by_accuracy.beaten, by_balance.beaten) == ([], ["common"])
    assert by_balance.rivals["common"].images.difference == pytest.approx(0.5 - (359 / 380 + 1) / 2)


@pytest.mark.parametrize(
    ("errors", "finding"),
    [
        ({"a": 20}, "There is no other variant"),
        ({"a": 20, "b": 60}, "It wins beyond noise against the other one."),
        ({"a": 20, "b": 60, "c": 70}, "It wins beyond noise against each of the 2 others."),
        ({"a": 20, "b": 21}, "Its lead is within noise: on these images it is not measurably better than b."),
        ({"a": 20, "b": 21, "c": 22}, "not measurably better than any of the 2 others."),
        ({"a": 20, "b": 21, "c": 60}, "It wins beyond noise against c. Its lead over b is within noise"),
    ],
)
def test_the_finding_says_whom_the_winner_beats(errors: dict[str, int], finding: str) -> None:
    predictions = predictions_of(errors)
    assert finding in words.finding(rank(metrics_of(predictions), predictions, "accuracy"))


def test_the_smallest_network_as_good_as_the_winner_is_named() -> None:
    predictions = predictions_of({"a": 20, "b": 21, "c": 60})
    metrics = metrics_of(predictions)
    ranking = rank(metrics, predictions, "accuracy")
    sizes = {"a": {"parameters": 5000}, "b": {"parameters": 200}, "c": {"parameters": 1}}
    assert "is b: 200 parameters instead of 5,000" in words.smallest(metrics, sizes, ranking)
    assert words.smallest(metrics, sizes | {"b": {"parameters": 9000}}, ranking) == ""


def test_labels_to_check_are_shown_and_listed(page: str) -> None:
    assert 'alt="Validation and test images whose label winner finds least probable' in page
    _, _, table = page.partition("Labels to check: what winner finds least probable</span>")
    row = table[table.index("<tbody>") :].partition("</tr>")[0]
    assert re.search(
        r"<code>[0-9a-f]{12}</code>.*>validation<.*>あ<.*>0\.33\N{NO-BREAK SPACE}%<.*&lt;b&gt;.*>99\.00", row
    )


def test_no_line_of_the_page_ends_between_a_number_and_its_unit(page: str) -> None:
    assert "accuracy 95.0\N{NO-BREAK SPACE}% on" in page
    assert "p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.005" in page
    assert ">900\N{NO-BREAK SPACE}k<" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), ([], "none"), ([32, 64], "32, 64"), (True, "yes"), (0.0, "0.0"), ({"shift": 2}, "shift 2")],
)
def test_a_parameter_is_written_without_punctuation(value: Any, text: str) -> None:
    assert words.value(value) == text


def test_the_most_frequent_confusions_are_named() -> None:
    label, predicted = pd.Series([0, 0, 0, 1, 2, 2]), pd.Series([1, 1, 0, 0, 2, 2])
    told = words.confusions(label, predicted, ["a", "b", "c"])
    assert told == "3 of 6 test images wrong, most often a taken for b (2 times) and b taken for a (1 time)"
    assert words.confusions(label, label, ["a", "b", "c"]) == "0 of 6 test images wrong"


class Wider(Variant, frozen=True):
    """The schema with parameters that it may have one day."""

    class Moves(Variant, frozen=True):
        """A section within the section."""

        epochs: int = 0
        shift: float = 0.0

    seeds: int = 1
    moves: Moves = Moves()


def test_parameters_come_from_the_schema_those_that_differ_first() -> None:
    shown = parameters.of_variant(Wider(epochs=3, dense=[8], moves=Wider.Moves(shift=2.0)), "float32")
    differing = [each for each in shown if each.differs]
    told = [(each.key, each.value, each.default) for each in differing]
    assert told == [("dense", "8", "none"), ("epochs", "3", ""), ("moves.shift", "2.0", "0.0")]
    assert shown[: len(differing)] == differing
    assert "seeds" in [each.key for each in shown]


def test_precision_auto_says_what_it_was() -> None:
    shown = {each.key: each.value for each in parameters.of_variant(Variant(epochs=1, precision="auto"), "bfloat16")}
    assert shown["precision"] == "auto: bfloat16"


def test_variants_are_compared_in_what_they_differ_in() -> None:
    variants = {"a": Variant(epochs=3, dense=[8]), "b": Variant(epochs=3, optimizer="sgd")}
    assert parameters.compared(variants) == (["dense", "optimizer"], {"a": ["8", "adam"], "b": ["none", "sgd"]})
    assert parameters.compared({}) == ([], {})


def test_the_settings_are_those_of_all_variants() -> None:
    shown = {"seed": 7, "dataset": "mnist", "preprocess": {"validation_fraction": 0.25}}
    params = parse_params(shown | {"variants": {"thin": {"epochs": 1}}}, "params.yaml")
    settings = {each.key: each.value for each in parameters.of_run(params)}
    expected = {"seed": "7", "dataset": "mnist", "limit": "none", "threads": "2"}
    assert settings == expected | {"preprocess.validation_fraction": "0.25"}


@example([[0.0, 0.0, 5e-324]])
@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3).map(sorted), min_size=1, max_size=5))
def test_every_mark_and_tick_is_within_the_drawing(triples: list[list[float]]) -> None:
    test = {
        str(number): dict(zip(("accuracy_low", "accuracy", "accuracy_high"), triple, strict=True))
        for number, triple in enumerate(triples)
    }
    scale = intervals.scale_of(test, "accuracy", "0")
    marks = [scale.mark(each, "accuracy") for each in test.values()]
    for mark in marks:
        assert 0 < mark.low <= mark.middle <= mark.high < scale.width
    assert scale.best == marks[0]
    assert len(scale.ticks) <= intervals.MOST_TICKS + 1
    assert all(0 < place < scale.width for place, _ in scale.ticks)


def test_a_scale_has_round_numbers_where_they_belong() -> None:
    scale = intervals.scale_of({"a": {"accuracy_low": 0.92, "accuracy": 0.95, "accuracy_high": 0.98}}, "accuracy", "a")
    assert [label for _, label in scale.ticks] == ["92", "94", "96", "98"]
    assert scale.ticks[0][0] == scale.best.low
    assert scale.ticks[-1][0] == scale.best.high


# The page


@pytest.fixture(scope="module")
def page(small_run: Path) -> str:
    return (small_run / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small(small_run: Path) -> Run:
    with contextlib.chdir(small_run):
        return read_run()


def text_of(page: str) -> str:
    """What a reader sees of a page, on one line."""
    _, _, body = page.partition("<body>")
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_an_embedded_picture_is_the_same_to_the_pixel_and_has_its_words() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    picture = embed(png(pixels, Title="a caption", Description="Ten trials & their losses"))
    kind, _, content = picture.source.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as embedded:
        assert (np.asarray(embedded.convert("RGB")) == pixels).all()
    assert (picture.width, picture.height) == (30, 20)
    assert (picture.caption, picture.alt) == ("a caption", "Ten trials & their losses")


def png(pixels: NDArray[np.uint8], **texts: str) -> bytes:
    written, info = io.BytesIO(), PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.fromarray(pixels).save(written, "PNG", pnginfo=info)
    return written.getvalue()


def test_a_picture_that_is_cut_short_or_lacks_its_words_is_refused() -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    whole = png(pixels, Title="a caption", Description="words")
    for content in (b"", b"GIF89a", whole[:-40]):
        with pytest.raises(ValueError, match="this is not a whole PNG file"):
            embed(content)
    with pytest.raises(ValueError, match="this picture has no Description"):
        embed(png(pixels, Title="a caption"))


def test_the_page_answers_with_figure_interval_and_noise_and_every_variant_in_the_order_of_merit(page: str) -> None:
    assert re.findall(r'id="variant-(\w+)"', page) == ["winner", "tuned", "large_but_worse"]
    text = text_of(page)
    assert "winner comes first: accuracy 95.0 % on 400 test images (95 % interval 92.4 to 96.7 %)." in text
    assert "It wins beyond noise against large_but_worse. Its lead over tuned is within noise" in text
    assert "The smallest network not measurably worse is tuned" in text
    assert "60 images, to learn from" in text
    assert "20 images, to choose by" in text


def test_the_page_shows_every_picture_that_was_drawn(page: str, small: Run, small_run: Path) -> None:
    drawn = list((small_run / "plots").rglob("*.png"))
    assert page.count("<img ") == page.count("data:image/webp;base64,") == len(drawn)
    another = replace(small.pictures["data"]["balance"], caption="One <more>", alt='Of the "winner"')
    folder = {"another": another, **small.pictures["winner"]}
    with_another = render(replace(small, pictures=small.pictures | {"winner": folder}))
    assert '<span class="caption">One &lt;more&gt;</span>' in with_another
    assert 'alt="Of the &#34;winner&#34;"' in with_another


def test_the_page_names_no_other_file_and_no_server(page: str) -> None:
    addresses = re.findall(r'(?:src|href|action|srcset|content|data)="([^"]*)"', page)
    outside = [each for each in addresses if "//" in each.partition(",")[0]]
    assert outside == []
    assert {each.partition(",")[0] for each in re.findall(r'src="([^"]*)"', page)} == {"data:image/webp;base64"}
    assert all(each.startswith("#") or each == "data:," for each in re.findall(r'href="([^"]*)"', page))
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_permits_itself_its_own_script_and_style_alone(page: str) -> None:
    for tag, policy in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{policy} 'sha256-{digest}'" in page.replace("&#39;", "'")


def test_names_are_text_and_no_markup(page: str) -> None:
    assert "<b>&amp;" not in page
    assert "&lt;b&gt;&amp;amp;" in page
    assert "Glyphs &amp; &lt;tags&gt;" in page
    assert '<span lang="ja">あ</span>' in page


def test_every_link_within_the_page_leads_somewhere(page: str) -> None:
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)
    assert set(re.findall(r'aria-labelledby="([^"]*)"', page)) <= set(ids)


def test_the_seeds_are_shown_where_there_are_several(page: str) -> None:
    text = text_of(page)
    assert "94.0 % ± 1.23, 5 seeds" in text
    assert text.count("1 seed ") == len(ERRORS) - 1


def test_the_search_is_shown_with_every_trial_and_the_winner_s_parameters(page: str) -> None:
    assert '<h2 id="search-title">The search</h2>' in page
    table = page[page.index('id="trials-tuned"') : page.index("</table>", page.index('id="trials-tuned"'))]
    assert "4 trials, chosen by their accuracy on the validation split" in table
    assert table.count('<th scope="row"') == 4
    assert "diverged in epoch 2" in table
    tuned = text_of("<body>" + page[page.index('id="variant-tuned"') :])
    assert "dense_dropout 0.375 0.0" in tuned


def test_one_variant_that_params_yaml_does_not_have_is_a_report_too(small: Run) -> None:
    metrics = {key: value for key, value in small.test["winner"].items() if key != "seeds"}
    page = render(replace(small, test={"winner": metrics}, trials={}, variants={}))
    text = text_of(page)
    assert "There is no other variant to compare it with." in text
    assert "beyond noise:" not in text
    assert f"How well does a network tell its {len(CLASS_NAMES)} classes apart?" in text
    assert "The search" not in text
    assert "Over seeds" not in text
    assert text.count("Its parameters are not in params.yaml") == 1
