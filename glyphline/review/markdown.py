"""Markdown as GitHub shows it, in job summaries and comments on pull requests.

Whatever comes from a file goes through code() or escaped(): a name or a value never turns into markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def code(text: object) -> str:
    """Text as it is, on one line, in a code span that may stand in a table."""
    one_line = " ".join(str(text).split()) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", one_line)), default=0))
    padding = " " if "`" in (one_line[0], one_line[-1]) else ""
    return f"{fence}{padding}{one_line}{padding}{fence}".replace("|", "\\|")


def escaped(text: object) -> str:
    """Text as it is, on one line, outside a code span.

    A space without width keeps GitHub from making links of users, issues and addresses, which no backslash does.
    """
    unlinked = re.sub(r"(@|#|GH(?=-)|www(?=\.)|:(?=//))", "\\1\u200b", " ".join(str(text).split()), flags=re.IGNORECASE)
    return re.sub(r"([\\`*_{}\[\]<>&|~#@])", r"\\\1", unlinked)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: range | None = None) -> str:
    """A table, the columns of `numbers` aligned to the right; "" without rows."""
    if not rows:
        return ""
    rules = ["---:" if numbers and position in numbers else "---" for position in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rules, *rows))


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences, escaped."""
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)
