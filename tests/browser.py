"""The system's Chromium, without a window. As a program: take the README's picture of a page.

python -m tests.browser report/index.html docs/pictures/report.png
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

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
WIDTH, HEIGHT, ZOOM = 1440, 1560, 0.68  # of the README's picture: CSS pixels, and its own pixels for each of them


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
def opened(browser: Browser, file: Path, viewport: dict[str, int], **options: Any) -> Iterator[Page]:
    """A page in a window of its own, which must neither complain nor ask for anything but itself."""
    complaints: list[str] = []
    requests: list[str] = []
    context = browser.new_context(viewport=viewport, **options)  # type: ignore[arg-type]
    page = context.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    yield page
    context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} == {file.as_uri()}


def take_picture(page: Path, destination: Path) -> None:
    """Write the top of a page as a PNG of 256 colours."""
    executable = find_browser()
    if executable is None:
        sys.exit(f"none of {', '.join(NAMES)} is on the path; install one, or take the picture elsewhere")
    if not page.is_file():
        sys.exit(f"{page}: there is no such page; run: dvc repro")
    with running(executable) as browser:
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=ZOOM, color_scheme="light"
        )
        window = context.new_page()
        window.goto(page.resolve().as_uri())
        shot = window.screenshot(caret="initial")
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(destination, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("destination", type=Path)
    arguments = parser.parse_args()
    take_picture(arguments.page, arguments.destination)
