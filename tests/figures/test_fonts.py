"""Names of classes in scripts that the bundled fonts lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from matplotlib import font_manager

from glyphline.figures import data, style


def test_names_are_written_in_a_font_of_this_machine_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    style.cover([])  # registers the kana font, for good, before what is undone
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


def test_a_name_that_is_no_word_stands_on_one_line_that_fits() -> None:
    names = style.shown(["A" * 200, "alphabet_of_the_magi/character17", "a\nb", "plain"])
    assert names == ["AAAAAAAAAA…AAAAAAAAAAAAAAAAAAA", "alphabet_o…he_magi/character17", "'a\\nb'", "plain"]
    picture = data.examples(np.zeros((80, 28, 28), np.uint8), np.arange(80) % 20, names * 5, "long names")
    assert style.to_png(picture)
