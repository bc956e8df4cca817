"""glyphline/review/web.py: one file that asks for nothing, reads well and lets nothing in."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from glyphline.evaluation.metrics import METRICS
from glyphline.review.pictures import draw
from glyphline.review.web import to_html, write
from tests.browser import DESKTOP, PHONE, opened, passed_by_axe
from tests.conftest import refusal
from tests.review.conftest import wrong
from tests.review.test_compare import results, spread
from tests.review.test_page import MOVED, page

VOID = {"meta", "img", "br", "hr", "link", "input"}
IS, SAYS = "i => [i.naturalWidth, i.naturalHeight]", "i => [+i.getAttribute('width'), +i.getAttribute('height')]"
BACKGROUND = {"dark": "rgb(22, 24, 26)", "light": "rgb(255, 255, 255)"}


class Parsed(HTMLParser):
    """Every element with its attributes, and all text. What is opened has to be closed, the last one first."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open_now: list[str] = []
        self.feed(html)
        self.close()
        assert self.open_now == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open_now.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_now.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def moved() -> str:
    """The page of changes with its pictures, without DVC's cache."""
    return to_html(MOVED, draw(MOVED.comparison, None))


def test_the_page_holds_what_the_markdown_holds(moved: str) -> None:
    text = " ".join(" ".join(Parsed(moved).text).split())
    cells = ("▲ better", "▼ worse", "within noise", "unchanged", "< 0.0001")
    for words in (MOVED.summary, MOVED.revisions, *(section.title for section in MOVED.sections), *cells):
        assert words in text
    assert "**" not in text
    assert "| ---" not in text


def test_nothing_comes_from_outside_and_nothing_runs(moved: str) -> None:
    parsed = Parsed(moved)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in parsed.elements}
    assert all((image["src"] or "").startswith("data:image/webp;base64,") for image in parsed.named("img"))
    policies = [meta["content"] for meta in parsed.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert "http://" not in moved
    assert "https://" not in moved


def test_what_files_say_never_becomes_markup() -> None:
    evil = "<script>alert(1)</script>"
    before = results({"mlp": wrong()}, params={"dataset": "mnist-5k", "note": "a"}, class_names=[evil] * 10)
    after = results({"mlp": wrong(range(40))}, params={"dataset": "mnist-5k", "note": evil}, class_names=[evil] * 10)
    html = to_html(page(before, after, problems=[evil], failures=[f"**{evil}**"]), [])
    assert Parsed(html).named("script") == []
    assert html.count("&lt;script&gt;") >= 4


def test_the_same_page_is_the_same_bytes(moved: str) -> None:
    assert to_html(MOVED, draw(MOVED.comparison, None)) == moved


def test_a_wide_table_scrolls_by_itself(moved: str) -> None:
    scrolling = [each for each in Parsed(moved).named("div") if each.get("class") == "scroll"]
    assert len(scrolling) == len(Parsed(moved).named("table"))
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolling)


@pytest.mark.parametrize("seeds", [None, {"mlp": spread(0.975, 0.004)}])
def test_pictures_are_drawn_with_and_without_seeds_where_something_moved(seeds: dict[str, Any] | None) -> None:
    before, after = results({"mlp": wrong(range(60))}), results({"mlp": wrong(range(20))}, seeds)
    sections = [section for section, _ in draw(page(before, after).comparison, None)]
    assert sections == ["leading", *list(METRICS)[1:], "classes"]
    assert list(draw(page(after, after).comparison, None)) == []


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    assert "the page cannot be written" in refusal(write, replace(MOVED, repository=tmp_path), blocked / "page.html")


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def test_the_page_is_accessible_fits_and_neither_complains_nor_asks_for_more(
    browser: Browser, moved: str, tmp_path: Path, viewport: dict[str, int], scheme: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(moved, encoding="utf-8")
    with opened(browser, file, viewport, color_scheme=scheme) as page:
        page.eval_on_selector_all("details", "all => all.forEach(details => details.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == BACKGROUND[scheme]
        sizes = page.eval_on_selector_all("img", f"all => all.map({IS})")
        assert [width for width, _ in sizes] == [990] * (len(METRICS) + 1)
        assert page.eval_on_selector_all("img[alt]:not([alt=''])", f"all => all.map({SAYS})") == sizes
        passed_by_axe(page)
