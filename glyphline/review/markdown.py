"""Markdown as GitHub shows it, in job summaries and comments on pull requests.

Whatever comes from a file goes through code() or escaped(): a name or a value never turns into markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MINUS = "\N{MINUS SIGN}"


def code(text: object) -> str:
    """Text as it is, on one line, in a code span that may stand in a table."""
    one_line = " ".join(str(text).split()) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", one_line)), default=0))
    padding = " " if "`" in (one_line[0], one_line[-1]) else ""
    return f"{fence}{padding}{one_line}{padding}{fence}".replace("|", "\\|")


def escaped(text: object) -> str:
    """Text as it is, on one line, outside a code span."""
    return re.sub(r"([\\`*_{}\[\]<>&|~#@])", r"\\\1", " ".join(str(text).split()))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: range | None = None) -> str:
    """A table, the columns of `numbers` aligned to the right; "" without rows."""
    if not rows:
        return ""
    rules = ["---:" if numbers and position in numbers else "---" for position in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rules, *rows))


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences, escaped."""
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def percent(fraction: float) -> str:
    """0.976 to "97.60 %"."""
    return f"{100 * fraction:.2f} %"


def points(difference: float) -> str:
    """A difference of two fractions in percentage points, with its sign; 0.0013 to "+0.13"."""
    text = f"{100 * difference:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """The ends of the interval of a difference, in percentage points."""
    return f"{points(low)} to {points(high)}"


def signed(number: int) -> str:
    """A whole number with its sign; 0 has none."""
    return f"{number:+,d}".replace("-", MINUS) if number else "0"


def p_value(p: float | None) -> str:
    """As many digits as matter; "" where there is no test."""
    if p is None:
        return ""
    return "< 0.0001" if p < 0.0001 else f"{p:.1g}" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def count(number: int, thing: str) -> str:
    """1 and "variant" to "1 variant", 2 to "2 variants"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
