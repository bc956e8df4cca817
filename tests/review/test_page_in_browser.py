"""The HTML page of a review in a real browser: what only a browser can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from glyphline.review.pictures import draw
from glyphline.review.web import to_html
from tests.browser import DESKTOP, PHONE, opened
from tests.review.test_page import MOVED


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def test_the_page_is_accessible_fits_and_neither_complains_nor_asks_for_more(
    browser: Browser, tmp_path: Path, viewport: dict[str, int], scheme: str
) -> None:
    file = tmp_path / "page.html"
    file.write_text(to_html(MOVED, draw(MOVED.comparison, None)), encoding="utf-8")
    with opened(browser, file, viewport, color_scheme=scheme) as page:
        page.eval_on_selector_all("details", "all => all.forEach(details => details.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        widths = page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        assert widths == [990] * 3
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
