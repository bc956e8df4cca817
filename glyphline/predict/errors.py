"""What a picture is refused with."""

from glyphline.errors import GlyphlineError


class PictureError(GlyphlineError):
    """A file that holds no glyph: its message says why, after the file's name."""
