"""What Glyphline says when it cannot go on: one sentence, for a person."""

LONGEST_QUOTATION = 80  # characters of a wrong value that a message repeats


class GlyphlineError(Exception):
    """A mistake or a mishap that its message explains: where, what was expected, what came, what to do."""


class ParamsError(GlyphlineError):
    """A parameter, an option or a record is not what its schema allows, or is missing."""


class FormatError(GlyphlineError):
    """A file is missing, damaged, or of a kind that is not read."""


class FetchError(GlyphlineError):
    """A data set's file cannot be had as published or packed."""


class DataError(GlyphlineError):
    """The data cannot be divided as params.yaml asks, or changed while they were read."""


class ModelError(GlyphlineError):
    """A file that is no network for these images."""


class PictureError(GlyphlineError):
    """A picture file cannot be used: the message says why, to stand after the file's name."""


def printable(text: str) -> str:
    """A name as one line can show it."""
    return text if text.isprintable() else ascii(text)


def quoted(value: object) -> str:
    """A wrong value as a message repeats it, cut short where it is long."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of more digits than Python writes out"
    return text if len(text) <= LONGEST_QUOTATION else f"{text[:LONGEST_QUOTATION]}..."
