"""What Glyphline says when it cannot go on: one sentence, for a person."""


class GlyphlineError(Exception):
    """A mistake or a mishap that its message explains: where, what was expected, what came, what to do."""


class ParamsError(GlyphlineError):
    """params.yaml does not say what the schema allows."""


class FormatError(GlyphlineError):
    """A file is not what its name says."""


class FetchError(GlyphlineError):
    """No mirror has the file as published."""


class DataError(GlyphlineError):
    """The data cannot be divided as params.yaml asks."""
