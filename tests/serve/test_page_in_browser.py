"""The page of `glyphline serve` in a real browser, drawn on with mouse, finger and keys."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from glyphline.export import plain
from glyphline.export.to_onnx import to_onnx
from glyphline.model import networks
from glyphline.model.variant import Variant
from tests.browser import DESKTOP, DIGITS, PHONE, draw, opened, passed_by_axe, says, strokes
from tests.conftest import Labelled
from tests.fuzzing import PICTURE_KINDS
from tests.guarantees.test_exported import wrote
from tests.predict.test_pictures import drawn
from tests.serve.conftest import Server, serving

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    with ExitStack() as windows:
        yield lambda viewport=DESKTOP, **options: windows.enter_context(
            opened(browser, server.address, viewport, **options)
        )


@pytest.mark.parametrize("digit", DIGITS)
def test_a_digit_drawn_with_the_mouse_is_told(open_page: Open, digit: str) -> None:
    page = open_page()
    says(page, "Nothing is drawn yet")
    draw(page, digit)
    heading = page.locator(".network h3").filter(has_text="fast")
    expect(heading.locator("> span")).to_have_text(digit, timeout=30_000)


def test_the_probabilities_move_while_one_draws(open_page: Open) -> None:
    page = open_page()
    box = page.locator("#pad").bounding_box()
    assert box
    page.mouse.move(box["x"] + 80, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, box["y"] + 80, steps=5)
    expect(page.locator("#seen img")).to_have_count(1, timeout=30_000)
    before = page.locator("#networks").inner_text()
    page.mouse.move(box["x"] + 170, box["y"] + 330, steps=10)
    expect(page.locator("#networks")).not_to_have_text(before, timeout=30_000)
    page.mouse.up()
    says(page, "7")


def test_a_finger_draws_and_does_not_scroll(open_page: Open) -> None:
    page = open_page(PHONE, has_touch=True, is_mobile=True)
    session = page.context.new_cdp_session(page)
    (points,) = strokes(page, "7")
    for kind, touches in (("touchStart", points[:1]), *(("touchMove", [point]) for point in points), ("touchEnd", [])):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in touches]})
    says(page, "7")
    assert page.evaluate("scrollY") == 0
    expect(page.get_by_text("Take a photo")).to_be_visible()


def test_keys_draw_undo_and_clear(open_page: Open) -> None:
    page = open_page()
    page.locator("#pad").focus()
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("Pen down")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    says(page, "1")
    page.keyboard.press("Control+z")
    says(page, "Nothing is drawn yet")
    draw(page, "7")
    says(page, "7")
    page.keyboard.press("Delete")
    says(page, "Nothing is drawn yet")
    assert page.get_by_role("button", name="Clear").is_disabled()
    page.get_by_role("button", name="Undo").click()
    says(page, "7")
    page.get_by_role("button", name="Clear").click()
    says(page, "Nothing is drawn yet")


@pytest.mark.parametrize("kind", PICTURE_KINDS)
def test_a_picture_of_every_kind_is_opened_dropped_and_pasted(
    open_page: Open, digits: Labelled, kind: str, tmp_path: Path
) -> None:
    """Chromium itself shows no TIFF and PPM; the server reads them all the same."""
    page = open_page()
    for how, digit in (("open", 3), ("drop", 8), ("paste", 6)):
        file = io.BytesIO()
        drawn(digits[0][digits[1] == digit][1]).convert("RGB").save(file, kind)
        name = f"{digit}.{kind.lower()}"
        if how == "open":
            (tmp_path / name).write_bytes(file.getvalue())
            page.locator("#open").set_input_files(tmp_path / name)
        else:
            page.evaluate(
                """([how, name, content]) => {
                    const data = new DataTransfer();
                    data.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
                    const options = { bubbles: true, cancelable: true };
                    document.getElementById("pad").dispatchEvent(how === "drop"
                        ? new DragEvent("drop", { ...options, dataTransfer: data })
                        : new ClipboardEvent("paste", { ...options, clipboardData: data }));
                }""",
                [how, name, base64.b64encode(file.getvalue()).decode()],
            )
        says(page, str(digit))
    page.keyboard.press("Control+z")
    says(page, "8")


def test_what_is_no_picture_gets_a_sentence_and_the_page_goes_on(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    for name, content, said in (
        ("text.txt", b"no picture", "This is not a PNG, JPEG, BMP, GIF, TIFF, WebP or PPM picture."),
        ("blank.pgm", b"P5 60 60 255\n" + b"\xff" * 3600, "Nothing is drawn in it, or too faintly to be read."),
    ):
        (tmp_path / name).write_bytes(content)
        page.locator("#open").set_input_files(tmp_path / name)
        expect(page.locator("#finding")).to_have_text(said, timeout=30_000)
        expect(page.get_by_role("status")).to_have_text(f"No answer. {said}", timeout=30_000)
    draw(page, "7")
    says(page, "7")


def test_where_the_networks_differ_is_shown_and_spoken(open_page: Open) -> None:
    """A page that gets the server's answers for another network shows them as the server gives them."""
    page = open_page()
    page.route("**/api/compare", differing)
    draw(page, "7")
    says(page, "7")
    expect(page.locator("#finding")).to_contain_text("1 of 2 networks say so")
    expect(page.locator("#finding")).to_contain_text("But mlp says あ (")
    assert page.locator(".network.other h3").inner_text().split() == ["mlp", "あ"]
    assert page.locator(".network.other h3 [lang=ja]").count() == 1
    expect(page.get_by_role("status")).to_contain_text("But mlp says あ", timeout=30_000)
    page.unroute_all(behavior="wait")


def differing(route: Any) -> None:
    """The server's own answer, but for the name of a class."""
    answer = route.fetch()
    record = answer.json()
    other = record["answers"][1]["pictures"][0]
    if "error" not in other:  # as of the first point of a drawing
        other["class"] = other["probabilities"][0]["class"] = "あ"
    route.fulfill(response=answer, json=record)


@pytest.mark.long
def test_it_asks_for_the_token_or_takes_it_from_the_address(browser: Browser, exports: Path) -> None:
    with serving(exports, "--token", "secret") as server:
        for address in (server.address, f"{server.address}/#secret"):
            context = browser.new_context()
            page = context.new_page()
            page.goto(address)
            if not address.endswith("secret"):
                page.get_by_role("textbox", name="Token").fill("wrong")
                page.get_by_role("button", name="Go on").click()
                page.get_by_role("textbox", name="Token").fill("secret")
                page.get_by_role("button", name="Go on").click()
            expect(page.locator(".network")).to_have_count(2)
            assert "secret" not in page.url
            draw(page, "7")
            says(page, "7")
            context.close()


def test_of_thousands_of_classes_the_best_ten_are_shown(browser: Browser, tmp_path: Path) -> None:
    """Of a network that has learned nothing, with long names in two scripts, and shown colours as they are."""
    content = to_onnx(plain.folded(networks.build(Variant(dense=[8], epochs=1), (32, 32, 3), 3000, steps=1)))
    names = [f"しるし {n}" if n % 2 else f"a_sign_of_a_rather_long_name_{n}" for n in range(3000)]
    folder = tmp_path / "exports"
    wrote(folder / "untrained", content, classes=names, side=32, channels=3, pictures={"how": "fitted"})
    with serving(folder) as server, opened(browser, server.address, PHONE) as page:
        draw(page, "7")
        expect(page.locator(".bars li")).to_have_count(10, timeout=30_000)
        expect(page.locator("#finding")).to_contain_text("sure; then")
        expect(page.locator(".bars [lang=ja], .bars b:has-text('rather_long')")).to_have_count(10)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")], ids=["phone", "desktop"])
def test_axe_finds_nothing_inaccessible(open_page: Open, viewport: dict[str, int], scheme: str) -> None:
    page = open_page(viewport, color_scheme=scheme)
    for digit in (None, "7"):
        if digit:
            draw(page, digit)
            says(page, digit)
        rules = passed_by_axe(page)
    assert {"color-contrast", "heading-order", "image-alt", "landmark-one-main", "label"} <= rules


def test_no_window_has_to_be_scrolled_sideways_and_a_phone_shows_the_answer_beside_the_drawing(open_page: Open) -> None:
    page = open_page(PHONE)
    draw(page, "7")
    says(page, "7")
    box = page.locator("#verdict").bounding_box()
    assert box
    assert box["y"] + box["height"] <= PHONE["height"]
    for width in (320, 390, 820, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
