"""The HTML page of a review in a real browser: what only a browser can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from glyphline.review.pictures import draw
from glyphline.review.web import to_html
from tests.review.test_page import MOVED

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("review") / "page.html"
    path.write_text(to_html(MOVED, draw(MOVED.comparison, None)), encoding="utf-8")
    return path


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def test_the_page_is_accessible_fits_and_neither_complains_nor_asks_for_more(
    browser: Browser, file: Path, viewport: dict[str, int], scheme: str
) -> None:
    context = browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("request", lambda request: noise.append(request.url))
    page.goto(file.as_uri())
    page.eval_on_selector_all("details", "all => all.forEach(details => details.open = true)")
    assert [url for url in noise if not url.startswith("data:image/webp")] == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    widths = page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert widths == [990] * 3
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    context.close()
