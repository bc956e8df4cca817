"""The page as one HTML file that asks for nothing from outside, with its pictures in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from glyphline.errors import GlyphlineError
from glyphline.figures.style import Picture, to_png
from glyphline.report.html import Embedded, embed, environment
from glyphline.review.changed import find_changed
from glyphline.review.page import Page, Section
from glyphline.review.pictures import draw

IMAGES = Section("images", "Test images that changed", "", folded=True)


def write(page: Page, path: Path) -> None:
    """Write the page with its pictures; with the gallery of changed images where this machine has the test set.

    Raises GlyphlineError when the file cannot be written.
    """
    changed = find_changed(page.repository, page.comparison)
    html = to_html(page, draw(page.comparison, changed))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise GlyphlineError(f"{path}: the page cannot be written: {error.strerror}") from None


def to_html(page: Page, pictures: Iterable[tuple[str, Picture]]) -> str:
    """The page as HTML. Its Markdown is read without HTML in it, so nothing that a file says becomes markup.

    pictures: each with the key of its section.
    """
    embedded: dict[str, list[Embedded]] = {}
    for section, picture in pictures:
        embedded.setdefault(section, []).append(embed(to_png(picture)))
    *sections, how_to_read = page.sections
    sections += [IMAGES, how_to_read] if IMAGES.key in embedded else [how_to_read]
    template = environment("glyphline.review").get_template("page.html.j2")
    return template.render(
        page=page,
        sections=[
            {
                "title": section.title,
                "folded": section.folded,
                "body": _body(section),
                "pictures": embedded.get(section.key, []),
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
