"""glyphline/review/page.py, tables.py and markdown.py: what the page says, and that GitHub's Markdown reads it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from glyphline.evaluation.metrics import METRICS
from glyphline.review.compare import compare_results
from glyphline.review.limits import Gate
from glyphline.review.markdown import code, escaped, table
from glyphline.review.page import Page, to_markdown
from glyphline.review.results import Results
from glyphline.review.revision import Lines
from tests.conftest import load_record
from tests.review.conftest import wrong
from tests.review.test_compare import results, spread


def page(before: Results, after: Results, **parts: Any) -> Page:
    """The page of two revisions, the gate passing unless told otherwise."""
    values: dict[str, Any] = {"lines": [], "gate": Gate(accuracy_floor=0.5), "failures": [], "problems": []} | parts
    return Page(Path(), compare_results(replace(before, name="abc1234"), replace(after, name="def5678")), **values)


def body(of: Page, key: str) -> str:
    """One section's Markdown; "" where the page leaves it out."""
    return next((section.body for section in of.sections if section.key == key), "")


def row(text: str, first: str) -> list[str]:
    """The cells of the table's row that begins with this cell."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


MOVED = page(
    results({"up": wrong(range(60)), "down": wrong(), "still": wrong(1), "noisy": wrong(range(10))}),
    results({"up": wrong(range(20)), "down": wrong(range(40)), "still": wrong(1), "noisy": wrong(range(4, 16))}),
)


def test_the_first_line_is_the_verdict_of_the_whole() -> None:
    first, _, second = to_markdown(MOVED).splitlines()[:3]
    assert first == "**2 of 4 variants changed beyond noise: 1 better, 1 worse. The gate passes.**"
    assert second == "Before: abc1234. After: def5678."


ALL_RIGHT, SOME_WRONG = results({"a": wrong()}), results({"a": wrong(range(40))})
OTHER_DATA = results({"a": wrong()}, params={"dataset": "kmnist"})
UNTESTED = results({"a": wrong()}, labels=None, predictions={})


@pytest.mark.parametrize(
    ("before", "after", "summary"),
    [
        (ALL_RIGHT, ALL_RIGHT, "1 variant: no test result changed."),
        (results({"a": wrong(1)}), results({"a": wrong(2)}), "0 of 1 variant changed beyond noise."),
        (ALL_RIGHT, results({"b": wrong()}), "No variant is in both revisions."),
        (ALL_RIGHT, OTHER_DATA, "The results are not comparable: the data set changed from mnist-5k to kmnist."),
        (UNTESTED, SOME_WRONG, "1 of 1 variant cannot be tested for want of predictions."),
    ],
)
def test_what_is_no_change_beyond_noise_is_called_what_it_is(before: Results, after: Results, summary: str) -> None:
    assert page(before, after).summary == f"{summary} The gate passes."
    assert page(before, after, gate=Gate()).summary == f"{summary} The gate sets no limits."


def test_what_fails_the_gate_comes_before_the_tables() -> None:
    found = page(ALL_RIGHT, ALL_RIGHT, failures=["a: low"], problems=["b: old", "c: odd"])
    assert found.summary.endswith("The gate fails: 1 limit and 2 problems in the repository.")
    assert not found.passes
    assert [section.key for section in found.sections][:3] == ["failures", "problems", "leading"]
    assert body(found, "problems") == "- b: old\n- c: odd"


def test_a_row_holds_levels_difference_interval_p_value_flips_and_classes() -> None:
    cells = row(body(MOVED, "leading"), "`up`")
    assert cells[1:5] == ["**▲ better**", "94.00 %", "98.00 %", "+4.00"]
    assert re.fullmatch(r"\+2\.\d\d to \+5\.\d\d", cells[5])
    assert cells[6:9] == ["< 0.0001", "0", "40"]
    assert cells[9] == "`0` +4, `1` +4, `2` +4"
    assert row(body(MOVED, "leading"), "`down`")[1] == "**▼ worse**"
    still = row(body(MOVED, "leading"), "`still`")[1:]
    assert still == ["unchanged", "99.90 %", "99.90 %", "0.00", "", "", "0", "0", ""]
    other = row(body(page(ALL_RIGHT, OTHER_DATA), "leading"), "`a`")
    assert other[1:5] == ["not comparable", "100.00 %", "100.00 %", ""]


def test_where_nothing_moved_the_table_is_folded_away() -> None:
    still = page(results({"a": wrong(1)}), results({"a": wrong(1)}))
    assert [section.folded for section in still.sections if section.key == "leading"] == [True]
    assert [section.folded for section in MOVED.sections if section.key == "leading"] == [False]
    assert body(still, "classes") == ""


def test_the_leading_metric_of_the_data_set_stands_first_and_else_accuracy() -> None:
    k49 = results({"a": wrong(1)}, params={"dataset": "k49"}, record=load_record("k49"))
    orders = ((page(k49, k49), "balanced accuracy", "accuracy"), (MOVED, "accuracy", "balanced acc"))
    for found, first, second in orders:
        titles = " ".join(section.title for section in found.sections)
        assert titles.index(f"Test {first}") < titles.index(f"Test {second}")


def test_seeds_are_shown_where_there_are_any() -> None:
    assert body(MOVED, "seeds") == ""
    found = page(
        results({"a": wrong(range(60)), "b": wrong()}),
        results({"a": wrong(range(20)), "b": wrong()}, {"a": spread(0.975, 0.004)}),
    )
    cells = row(body(found, "seeds"), "`a`" + " | accuracy")
    assert cells[2:5] == ["94.00 % (1 seed)", "97.50 ± 0.40 % (5 seeds)", "+3.50"]
    assert "`b`" not in body(found, "seeds")


def test_a_verdict_that_another_seed_might_undo_says_so() -> None:
    assert "\n\n`up`, `down`: trained with fewer than 3 seeds before and after" in body(MOVED, "leading")
    steady = page(
        results({"a": wrong(range(60))}, {"a": spread(0.94, 0.003)}),
        results({"a": wrong(range(20))}, {"a": spread(0.98, 0.003)}),
    )
    assert "▲ better" in body(steady, "leading")
    assert "fewer than" not in body(steady, "leading")


def test_added_and_removed_variants_are_listed_with_their_level_and_cost() -> None:
    before, after = results({"a": wrong(), "old": wrong(1)}), results({"a": wrong(), "new": wrong(1, 2)})
    found = page(before, replace(after, costs={"a": {}, "new": {"parameters": 12_345, "multiply_adds": 67}}))
    assert row(body(found, "come_and_gone"), "`new`")[1:] == ["added", *["99.80 %"] * len(METRICS), "12,345", "67"]
    assert row(body(found, "come_and_gone"), "`old`")[1:] == ["removed", *["99.90 %"] * len(METRICS), "", ""]


def test_parameters_that_changed_alike_everywhere_stand_once() -> None:
    def params(**more: Any) -> dict[str, Any]:
        return {"dataset": "mnist-5k", "variants": {name: {"epochs": 1} | more for name in "ab"}}

    changed = params(seeds=1)
    changed["variants"]["a"]["epochs"] = 2
    both = {"a": wrong(), "b": wrong()}
    text = body(page(results(both, params=params()), results(both, params=changed | {"seed": 3})), "params")
    keys = [line.split("|")[1].strip() for line in text.splitlines()[2:]]
    assert keys == ["`seed`", "`variants.*.seeds`", "`variants.a.epochs`"]
    assert row(text, "`variants.*.seeds`")[1:] == ["not there", "`1`"]


def test_lines_of_code_are_counted_by_whether_stages_use_them() -> None:
    after = results({"a": wrong()}, used_by={"glyphline/model": ["train"], "stages/train.py": ["train"]})
    files = {"glyphline/model/networks.py": (10, 2), "stages/train.py": (1, 0), "tests/test_a.py": (30, 0)}
    lines = [Lines(file, *counts) for file, counts in files.items()]
    (section,) = (each for each in page(ALL_RIGHT, after, lines=lines).sections if each.key == "code")
    used, others = section.title.split(", ")
    assert used == "Code: +11 \N{MINUS SIGN}2 lines in 2 files that stages use"
    assert others == "+30 \N{MINUS SIGN}0 lines in 1 file that none uses"
    assert row(section.body, "`glyphline/model/networks.py`")[1:] == ["10", "2", "`train`"]
    assert "tests" not in section.body
    assert section.folded


def test_a_changed_file_that_decides_how_the_change_is_judged_opens_the_section_of_code() -> None:
    lines = [Lines("Makefile", 1, 1), Lines("tests/test_a.py", 30, 0)]
    found = page(ALL_RIGHT, ALL_RIGHT, lines=lines)
    (section,) = (each for each in found.sections if each.key == "code")
    assert row(section.body, "`Makefile`")[1:] == ["1", "1", "none, but it decides how this change is judged"]
    assert not section.folded


def test_cost_says_in_its_title_whether_it_changed() -> None:
    def costing(parameters: int) -> Results:
        return results({"a": wrong()}, costs={"a": {"parameters": parameters, "multiply_adds": 5}})

    for after, title in ((1000, "Cost: unchanged"), (2000, "Cost: 1 variant changed")):
        (section,) = (each for each in page(costing(1000), costing(after)).sections if each.key == "costs")
        assert section.title == title
        assert row(section.body, "`a`")[1:] == ["1,000", f"{after:,}", "5", "5"]


PIECES = [*"a|`*_<>&[]()#~\\@ \n!-1.", "é", "あ", "\u2028", "http://", "www."]
ANY_TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def shown(markdown: str) -> list[str]:
    """The text of each cell of a table, as a reader sees it."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)
    cells = [token for token in tokens if token.type == "inline"]
    for cell in cells:
        assert {child.type for child in cell.children or []} <= {"text", "code_inline", "text_special"}, markdown
    return ["".join(child.content for child in cell.children or []) for cell in cells]


@given(ANY_TEXT, ANY_TEXT)
@example("", "@a #1 http://a.a www.a.a a@a.a GH-1")
@example("", "_a_ *a* `a` [a](b) <b>a</b> &amp; a|b \\* ~~a~~")
def test_no_text_of_a_file_becomes_markup_and_github_finds_no_user_issue_or_address_in_it(one: str, other: str) -> None:
    visible = shown(table(["name", "text"], [[code(one), escaped(other)]]))
    seen = [each.replace("\u200b", "").strip() for each in visible]
    assert seen == ["name", "text", " ".join(one.split()), " ".join(other.split())]
    assert not re.search(r"@\w|#\d|://|www\.|GH-\d", visible[3])


def test_every_class_of_a_large_data_set_is_not_listed() -> None:
    labels = np.arange(1000) % 30
    before = results({"a": wrong()}, labels=labels, class_names=[], predictions={"a": labels})
    text = body(page(before, replace(before, predictions={"a": labels + 1})), "classes")
    assert len(text.splitlines()) == 2 + 12 + 2
    assert text.endswith("Of each variant the 12 classes that moved most.")
