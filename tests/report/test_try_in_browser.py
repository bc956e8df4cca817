"""The network within the report: it computes what Keras does, and says what one draws."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, expect

from glyphline import paths
from glyphline.export.plain import folded, in_float32
from glyphline.export.to_json import to_json
from glyphline.model import inference
from glyphline.model.variant import Variant
from glyphline.report import html
from glyphline.report.page import render
from glyphline.report.results import read_run
from tests.browser import DESKTOP, DIGITS, PHONE, draw, opened, passed_by_axe, says
from tests.conftest import Labelled
from tests.export.test_export import ALL, network_of

DIGIT_CLASSES = [*"012345678", "九"]  # one that is Japanese, of which Axe looks at the lang


@pytest.fixture(scope="module")
def page_of(small_run: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Writes the report with the network of `exports`, for pictures that become images in some way."""
    network = json.loads((exports.parent / paths.NETWORK_TO_TRY).read_text(encoding="utf-8"))
    with contextlib.chdir(small_run):
        run = read_run()
    assert run.network is None

    def write(**pictures: Any) -> Path:
        card = run.card | {"class_names": DIGIT_CLASSES, "pictures": pictures}
        path = tmp_path_factory.mktemp("report") / "index.html"
        network["variant"] = "winner"
        path.write_text(render(replace(run, network=network, card=card)), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def report(page_of: Any) -> Path:
    return Path(page_of(how="centred", trimmed=False))


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    with opened(browser, report, DESKTOP) as page:
        yield page


def computed(page: Page, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    flat = images.reshape(len(images), -1).tolist()
    return np.array(page.evaluate("images => images.map((image) => [...probabilities(image)])", flat), np.float32)


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_the_pages_network_gives_the_class_that_evaluate_gave_for_each_of_1000_test_images(
    page: Page, exports: Path, digits: Labelled, count: int
) -> None:
    images = digits[0][:: 1000 // count]
    with contextlib.chdir(exports.parent):
        assert json.loads(paths.NETWORK_TO_TRY.read_text(encoding="utf-8"))["variant"] == "fast"
        judged = np.load(paths.EVALUATION / "fast/probabilities.npy")[:: 1000 // count]
        expected = inference.apply(in_float32(inference.load(paths.model("fast"), (28, 28, 1))), images)
    found = computed(page, images)
    assert len(found) == count
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert (found.argmax(axis=1) == judged.argmax(axis=1)).all()


@pytest.mark.long
@pytest.mark.usefixtures("deterministic")
def test_every_network_that_params_yaml_can_ask_for_is_computed_as_keras_does(
    browser: Browser, tmp_path: Path, digits: Labelled
) -> None:
    odd = Variant(filters=[5], space_to_depth=2, padding="same", pooling=[1], epochs=1)  # its image is padded first
    networks = {name: network_of(each) for name, each in ALL.items()} | {"odd": network_of(odd, (27, 27, 1))}
    script = Path(html.__file__).with_name("network.js").read_text(encoding="utf-8")
    for name, network in networks.items():
        side = network.input_shape[1]
        images = np.ascontiguousarray(digits[0][::50, :side, :side])
        file = tmp_path / f"{name}.html"
        content = json.dumps(to_json(folded(network)))
        file.write_text(
            f'<!doctype html><link rel="icon" href="data:,"><script type="application/json" id="network">{content}'
            f"</script><script>{script}</script>",
            encoding="utf-8",
        )
        with opened(browser, file, DESKTOP) as page:
            expected = inference.apply(in_float32(network), images)
            np.testing.assert_allclose(computed(page, images), expected, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("digit", DIGITS)
def test_a_digit_drawn_with_the_mouse_is_told(page: Page, digit: str) -> None:
    says(page, "Nothing is drawn yet")
    page.locator("#pad").scroll_into_view_if_needed()
    draw(page, digit)
    says(page, digit)
    expect(page.locator("#bars .first b")).to_have_text(digit)
    expect(page.locator("#seen img")).to_have_js_property("naturalWidth", 28)
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Clear").click() if len(DIGITS[digit]) > 1 else None
    says(page, "Nothing is drawn yet")
    expect(page.locator("#seen img")).to_have_count(0)


def test_a_small_drawing_in_a_corner_is_told_too(page: Page) -> None:
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    assert box
    for number, (x, y) in enumerate(DIGITS["7"][0]):
        page.mouse.move(box["x"] + (0.1 + x / 3) * box["width"], box["y"] + (0.1 + y / 3) * box["height"], steps=4)
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    says(page, "7")


@pytest.mark.parametrize("trimmed", [False, True])
def test_where_pictures_are_shown_whole_so_is_the_drawing(browser: Browser, page_of: Any, trimmed: bool) -> None:
    with opened(browser, page_of(how="fitted", trimmed=trimmed), DESKTOP) as page:
        page.locator("#pad").scroll_into_view_if_needed()
        draw(page, "1")
        image = np.array(page.evaluate("[...prepared(current().strokes)]"), np.uint8).reshape(28, 28)
        rows = np.flatnonzero(image.max(axis=1) > 127)
        assert image.max() == 255
        assert (rows[0], rows[-1]) == ((0, 27) if trimmed else (3, 24))


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def test_axe_finds_nothing_inaccessible_in_the_whole_report_and_no_window_has_to_be_scrolled_sideways(
    browser: Browser, report: Path, viewport: dict[str, int], scheme: str
) -> None:
    with opened(browser, report, viewport, color_scheme=scheme) as page:
        page.locator("#pad").scroll_into_view_if_needed()
        draw(page, "7")
        says(page, "7")
        rules = {"color-contrast", "heading-order", "image-alt", "landmark-one-main", "page-has-heading-one"}
        assert rules <= passed_by_axe(page)
        for width in (320, 390, 820, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") == width
        expect(page.locator(".wide[tabindex]")).to_have_count(0)  # each table fits


def test_without_script_there_is_nothing_to_draw_on(browser: Browser, report: Path) -> None:
    with opened(browser, report, PHONE, java_script_enabled=False) as page:
        assert not page.locator("#pad").is_visible()
        assert page.locator("noscript p").is_visible()
