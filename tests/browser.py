"""The system's Chromium, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Strokes as people draw them, from 0 to 1, left to right and top to bottom.
DIGITS = {
    "0": [[(0.5, 0.15), (0.3, 0.3), (0.28, 0.65), (0.45, 0.85), (0.65, 0.75), (0.72, 0.4), (0.62, 0.2), (0.48, 0.16)]],
    "1": [[(0.55, 0.15), (0.5, 0.5), (0.47, 0.85)]],
    "2": [[(0.3, 0.3), (0.45, 0.17), (0.65, 0.25), (0.6, 0.5), (0.3, 0.82), (0.45, 0.8), (0.75, 0.83)]],
    "3": [[(0.3, 0.2), (0.55, 0.15), (0.65, 0.3), (0.45, 0.47), (0.7, 0.6), (0.6, 0.82), (0.3, 0.8)]],
    "4": [[(0.35, 0.2), (0.3, 0.5), (0.7, 0.5)], [(0.65, 0.2), (0.62, 0.85)]],
    "5": [[(0.38, 0.2), (0.35, 0.48), (0.55, 0.45), (0.68, 0.6), (0.58, 0.82), (0.3, 0.8)], [(0.38, 0.2), (0.7, 0.18)]],
    "7": [[(0.25, 0.2), (0.72, 0.2), (0.6, 0.45), (0.45, 0.85)]],
}


def find_browser() -> str | None:
    """The path of the system's Chromium or Chrome, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def running(executable: str) -> Iterator[Browser]:
    """The browser at that path, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, place: Path | str, viewport: dict[str, int], **options: Any) -> Iterator[Page]:
    """A page in a window of its own, which must neither complain nor ask for anything but itself and its server.

    place: a file, or the address of a server, without a slash at its end.
    """
    address = place.as_uri() if isinstance(place, Path) else place
    complaints: list[str] = []
    requests: list[str] = []
    context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
    page = context.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert complaints == []
    own = ("data:", f"{address}/", f"blob:{address}/")
    assert [url for url in requests if url != address and not url.startswith(own)] == []


def passed_by_axe(page: Page) -> set[str]:
    """The rules of axe-core that a page passes; it must fail none."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    return {each["id"] for each in results.response["passes"]}


def strokes(page: Page, digit: str) -> list[list[tuple[float, float]]]:
    """Those of DIGITS, where they lie on the page's pad."""
    box = page.locator("#pad").bounding_box()
    assert box
    return [[(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in each] for each in DIGITS[digit]]


def draw(page: Page, digit: str) -> None:
    for points in strokes(page, digit):
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=6)
        page.mouse.up()


def says(page: Page, headline: str) -> None:
    expect(page.locator("#headline")).to_have_text(headline, timeout=30_000)
