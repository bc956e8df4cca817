"""Numbers as people read them, in text, tables and figures alike."""

from __future__ import annotations

from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
MANY = 5_000  # images from which on a share of them has two decimals
DIGITS = 6  # decimals kept in metrics


def decimals(n: int) -> int:
    """How many decimals of a percentage n images support."""
    return 2 if n >= MANY else 1


def percent(fraction: float, decimals: int = 2) -> str:
    """0.976 to "97.60 %"."""
    return f"{100 * fraction:.{decimals}f} %"


def exact_percent(fraction: float) -> str:
    """All the digits that metrics keep, so that no value looks equal to a limit that it misses: 0.92 to "92 %"."""
    return f"{100 * fraction:.{DIGITS - 2}f}".rstrip("0").rstrip(".") + " %"


def percent_interval(low: float, high: float, decimals: int = 2) -> str:
    """0.976 and 0.98 to "97.60 to 98.00 %"."""
    return f"{100 * low:.{decimals}f} to {percent(high, decimals)}"


def points(difference: float, decimals: int = 2) -> str:
    """A difference of two fractions in percentage points, with its sign: 0.0013 to "+0.13"."""
    return signed(100 * difference, decimals)


def points_interval(low: float, high: float, decimals: int = 2) -> str:
    """0.01 and 0.02 to "+1.00 to +2.00"."""
    return f"{points(low, decimals)} to {points(high, decimals)}"


def signed(value: float, decimals: int = 0) -> str:
    """A number with its sign, a true minus; what rounds to 0, and what is no number, has none."""
    text = f"{value:+,.{decimals}f}".replace("-", MINUS)
    return text if text.strip("0.+" + MINUS) not in ("", "nan") else text[1:]


def p_value(p: float) -> str:
    """As many digits as matter: "< 0.0001", "0.0005", "0.032" or "0.50"."""
    return "< 0.0001" if p < 0.0001 else f"{p:.1g}" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def short(value: float) -> str:
    """A count to three digits: 1199882 to "1.2 M"."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * unit:  # what rounds to 1000 k is 1 M
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g}"


def plural(n: int, thing: str) -> str:
    """1 and "image" to "1 image", 2000 to "2,000 images"."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
