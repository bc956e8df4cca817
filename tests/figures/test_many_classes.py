"""Thousands of classes: figures stay as large as a page, and name what matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from matplotlib import font_manager

from glyphline.figures import data, mistakes, style

CLASSES = 2000
NAMES = [f"U+{0x4E00 + number:04X}" for number in range(CLASSES)]
HIGHEST = 40  # inches


def test_the_most_confused_pairs_and_the_lowest_recalls_stand_for_the_matrix() -> None:
    counts = np.diag(np.full(CLASSES, 5))
    counts[7, 7], counts[7, 9] = 1, 4
    picture = mistakes.confusion(counts, NAMES, "mlp", "many")
    texts = [text.get_text() for text in picture.figure.texts]
    assert f"{NAMES[7]}   20.0 % of 5 images" in texts
    assert any(text.startswith(f"{NAMES[7]} → {NAMES[9]}   4 ") for text in texts)
    assert f"the lowest are those of {NAMES[7]} (20.0 %)" in picture.alt
    assert picture.figure.get_figheight() < HIGHEST


def test_examples_and_balance_of_many_classes_fit_on_a_page() -> None:
    labels = np.repeat(np.arange(CLASSES), 2)
    examples = data.examples(np.zeros((2 * CLASSES, 28, 28), np.uint8), labels, NAMES, "many")
    balance = data.balance(np.arange(CLASSES) + 3, np.full(CLASSES, 2), NAMES, "many")
    for picture in (examples, balance):
        assert picture.figure.get_figheight() < HIGHEST
        assert len(picture.alt) < 2000
    assert "Examples of 90 of 2,000 classes" in examples.figure.texts[0].get_text()
    assert "From 3 to 2,002 training images of each of 2,000 classes" in balance.figure.texts[0].get_text()


def test_names_are_written_in_a_font_of_this_machine_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    families = list(style._FAMILIES)
    monkeypatch.setattr(style, "_FAMILIES", families)
    monkeypatch.setitem(style._BASE, "font.family", families)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    rune = "\N{RUNIC LETTER FEHU FEOH FE F}"
    assert style.cover(["Ж", "あ", "漢"]) is None
    said = style.cover([rune, "a"])
    assert said is not None
    assert said.startswith(f"names of classes have characters of which no font of this machine has any: {rune}; ")
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "fehu"])
    builder.setupCharacterMap({ord(rune): "fehu"})
    pen = TTGlyphPen(None)
    for place in ((0, 0), (0, 900), (500, 900), (500, 0)):
        (pen.lineTo if pen.points else pen.moveTo)(place)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "fehu": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "fehu": (600, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Test Runes", "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(tmp_path / "runes.ttf")
    boxes = style.to_png(named(rune))
    font_manager.fontManager.addfont(tmp_path / "runes.ttf")
    assert style.cover([rune]) is None
    assert style.to_png(named(rune)) != boxes


def named(name: str) -> style.Picture:
    return data.examples(np.zeros((4, 28, 28), np.uint8), np.arange(4) % 2, [name, "b"], name)


def test_coloured_and_large_images_are_shown_as_they_are() -> None:
    images = np.zeros((6, 128, 128, 3), np.uint8)
    images[..., 0] = 200
    picture = data.examples(images, np.arange(6) % 2, ["a", "b"], "red")
    (axes,) = picture.figure.axes
    canvas = np.asarray(axes.images[0].get_array())
    assert canvas.shape[2] == 3
    assert ((canvas == (200, 0, 0)).all(axis=2)).mean() > 0.1
