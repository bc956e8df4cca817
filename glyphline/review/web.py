"""The page as one HTML file that asks for nothing from outside, with its pictures in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from matplotlib.figure import Figure

from glyphline.errors import GlyphlineError
from glyphline.figures.style import house_style
from glyphline.review.changed import find_changed
from glyphline.review.page import Page, Section
from glyphline.review.pictures import Picture, draw

IMAGES = Section("images", "Test images that changed", "", folded=True)


@dataclass(frozen=True)
class Inline:
    """A PNG as base64 text, its words, and its size in pixels."""

    data: str
    alternative: str
    width: int
    height: int


def write(page: Page, path: Path) -> None:
    """Write the page with its pictures; with the gallery of changed images where DVC's cache has the test set.

    Raises GlyphlineError when the file cannot be written.
    """
    changed = find_changed(page.repository, page.comparison)
    html = to_html(page, draw(page.comparison, changed))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise GlyphlineError(f"{path}: the page cannot be written: {error.strerror}") from None


def to_html(page: Page, pictures: Iterable[Picture]) -> str:
    """The page as HTML. Its Markdown is read without HTML in it, so nothing that a file says becomes markup."""
    inline: dict[str, list[Inline]] = {}
    for picture in pictures:
        inline.setdefault(picture.section, []).append(_inline(picture))
    *sections, how_to_read = page.sections
    sections += [IMAGES, how_to_read] if IMAGES.key in inline else [how_to_read]
    template = Environment(
        loader=PackageLoader("glyphline.review", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html.j2")
    return template.render(
        page=page,
        sections=[
            {
                "title": section.title,
                "folded": section.folded,
                "body": _body(section),
                "pictures": inline.get(section.key, []),
            }
            for section in sections
        ],
    )


def _body(section: Section) -> Markup:
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(section.body)
    # A table that is wider than the window scrolls by itself, also with the keyboard.
    scroll = Markup('<div class="scroll" role="region" tabindex="0" aria-label="{}">').format(section.title)
    html = html.replace("<table>", f"{scroll}<table>").replace("</table>", "</table></div>")
    return Markup(html.replace("<strong>▼", '<strong class="worse">▼'))


def _inline(picture: Picture) -> Inline:
    width, height = (int(side) for side in picture.figure.bbox.size)
    return Inline(base64.b64encode(_png(picture.figure)).decode("ascii"), picture.alternative, width, height)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with house_style():  # ticks are made when they are drawn
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
