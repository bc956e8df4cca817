"""The report in a real browser: what only a browser can tell."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from glyphline.evaluation.metrics import METRICS
from tests.browser import DESKTOP, PHONE, opened, passed_by_axe

PAPER = {"width": 702, "height": 1000}  # A4 without its margins, CSS pixels
HEADINGS = 7 + len(METRICS)  # of the ranking, each of which sorts

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, small_run: Path) -> Iterator[Open]:
    """Opens the report in a window of its own."""
    with contextlib.ExitStack() as windows:
        yield lambda viewport, **options: windows.enter_context(
            opened(browser, small_run / "report/index.html", viewport, **options)
        )


def ranking(page: Page) -> list[str]:
    names: list[str] = page.eval_on_selector_all(".ranking tbody th", "cells => cells.map(c => c.dataset.value)")
    return names


def test_every_picture_loads(open_page: Open) -> None:
    page = open_page(DESKTOP)
    sizes = page.eval_on_selector_all("img", "images => images.map(i => [i.naturalWidth, i.width, i.alt.length])")
    assert len(sizes) > 10
    for natural_width, width, alternative in sizes:
        assert natural_width == 990
        assert width > 300
        assert alternative > 20


def test_each_heading_sorts_up_and_down_and_says_so(open_page: Open) -> None:
    page = open_page(DESKTOP)
    buttons = page.locator(".ranking thead button")
    assert buttons.count() == HEADINGS
    for position in range(HEADINGS):
        button = buttons.nth(position)
        heading = button.locator("xpath=ancestor::th")
        directions = set()
        for _ in range(2):
            button.click()
            direction = heading.get_attribute("aria-sort")
            column = heading.evaluate("cell => cell.cellIndex")
            values: list[str] = page.eval_on_selector_all(
                ".ranking tbody tr", f"rows => rows.map(r => r.cells[{column}].dataset.value)"
            )
            keys: list[Any] = values if position == 0 else [float(value) for value in values]
            assert keys == sorted(keys, reverse=direction == "descending")
            assert page.locator(".ranking th[aria-sort]").count() == 1
            directions.add(direction)
        assert directions == {"ascending", "descending"}


def test_the_table_sorts_by_keyboard_and_shows_where_the_focus_is(open_page: Open) -> None:
    page = open_page(DESKTOP)
    assert ranking(page) == ["winner", "tuned", "large_but_worse"]
    button = page.get_by_role("button", name="Parameters", exact=True)
    while not button.evaluate("button => button === document.activeElement"):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", page.evaluate("document.activeElement.outerHTML")
    page.keyboard.press("Enter")
    assert ranking(page) == ["tuned", "winner", "large_but_worse"]


def test_without_script_the_page_is_whole_and_has_no_dead_button(open_page: Open) -> None:
    page = open_page(PHONE, java_script_enabled=False)
    names = [text.split()[0] for text in page.locator(".ranking tbody th").all_inner_texts()]
    assert names == ["winner", "tuned", "large_but_worse"]
    assert page.locator("button").count() == 0
    assert page.locator(".wide:not([tabindex])").count() == 0


@pytest.mark.long  # the quick run looks at the page with a network to try: test_try_in_browser.py
@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def test_without_a_network_to_try_axe_finds_nothing_and_no_window_has_to_be_scrolled_sideways(
    open_page: Open, viewport: dict[str, int], scheme: str
) -> None:
    page = open_page(viewport, color_scheme=scheme)
    rules = {"color-contrast", "heading-order", "image-alt", "landmark-one-main", "page-has-heading-one"}
    assert rules <= passed_by_axe(page)
    for width in (320, 390, 820, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    expect(page.locator(".wide[tabindex]")).to_have_count(0)  # each table fits


def test_on_a_phone_a_picture_opens_at_its_own_size_and_closes(open_page: Open) -> None:
    page = open_page(PHONE, has_touch=True)
    button = page.get_by_role("button", name="Enlarge: Confusion matrix").first
    button.tap()
    picture = page.locator("dialog img")
    assert picture.evaluate("image => [image.width, image.naturalWidth]") == [990, 990]
    assert picture.evaluate("image => image.parentElement.scrollWidth") >= 990
    assert picture.get_attribute("alt")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert button.evaluate("button => button === document.activeElement")


def test_dark_is_dark_pictures_included(open_page: Open) -> None:
    page = open_page(DESKTOP, color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 18, 19)"
    assert "invert" in page.locator("img").first.evaluate("image => getComputedStyle(image).filter")
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("img").first.evaluate("image => getComputedStyle(image).filter") == "none"


def test_on_paper_nothing_is_cut_off(open_page: Open) -> None:
    page = open_page(PAPER)
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PAPER["width"]
    cut = page.eval_on_selector_all(
        ".wide", "all => all.filter(each => each.scrollWidth > each.clientWidth).map(each => each.innerText)"
    )
    assert cut == []
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
