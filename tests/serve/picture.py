"""Take the README's picture of the page of `glyphline serve`, with the networks of exports/.

python -m tests.serve.picture docs/pictures/serve.png
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect

from tests.browser import draw, find_browser, running
from tests.serve.conftest import serving

WIDTH, HEIGHT = 1200, 900  # CSS pixels


def main(destination: Path) -> None:
    """Write the page with a seven on it as a PNG of 256 colours."""
    executable = find_browser()
    if executable is None:
        sys.exit("there is no Chromium on the path; install it, or take the picture elsewhere")
    with serving(Path("exports").resolve()) as server, running(executable) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(server.address)
        draw(page, "7")
        expect(page.locator("#headline")).to_have_text("7")
        page.wait_for_timeout(1000)  # the bars come to rest
        shot = page.screenshot()
    with Image.open(io.BytesIO(shot)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(destination, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
