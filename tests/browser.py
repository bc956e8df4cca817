"""The system's Chromium, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
