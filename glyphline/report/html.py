"""Pages of HTML that need no other file: their templates, and pictures that a page carries within itself."""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image


@dataclass(frozen=True)
class Embedded:
    """A picture within a page. source: a data URL. width, height: pixels. alt: what it shows, in words."""

    source: str
    width: int
    height: int
    caption: str
    alt: str


def embed(png: bytes) -> Embedded:
    """A picture as figures.style.to_png writes it, as lossless WebP: the same pixels in a third of the bytes.

    Raises ValueError for what is no PNG, and for one without a caption and an alt text.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            opaque = image.convert("RGB")
            caption, alt = image.info["Title"], image.info["Description"]
    except (OSError, SyntaxError):
        raise ValueError("this is not a whole PNG file") from None
    except KeyError as missing:
        raise ValueError(f"this picture has no {missing.args[0]}") from None
    encoded = io.BytesIO()
    opaque.save(encoded, format="WEBP", lossless=True, quality=80, method=6)
    source = f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"
    return Embedded(source, opaque.width, opaque.height, str(caption), str(alt))


STYLE, PAD_STYLE, PAD = (Path(__file__).with_name(name) for name in ("style.css", "pad.css", "pad.js"))


def joined(*files: Path) -> str:
    """Style sheets or scripts as one. STYLE has what all pages share, PAD and PAD_STYLE what those for drawing do."""
    return "".join(file.read_text(encoding="utf-8") for file in files)


def environment(package: str) -> Environment:
    """The templates of a package. What they insert is text, and a name that they lack is an error."""
    found = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_unbroken,
    )
    found.tests["japanese"] = _is_japanese
    return found


def _unbroken(value: Any) -> Any:
    """A text in which no line ends between a number and its unit."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return re.sub(r"(?<=\d) (?=[%kMG](?!\w))|(?<=\bp) (?=[<=])|(?<=[<=]) (?=\d)", "\N{NO-BREAK SPACE}", value)


def _is_japanese(text: str) -> bool:
    """Whether a text has kana or kanji, for screen readers to speak and fonts to draw as Japanese."""
    return any(unicodedata.name(sign, "").startswith(("HIRAGANA", "KATAKANA", "CJK")) for sign in text)
