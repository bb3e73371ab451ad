"""Numbers as a reader wants them: a true minus, thousands set apart, a dash for what is not there."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOTHING = "–"


def number(value: object, decimals: int = 0) -> str:
    """Return a number as text, thousands set apart; a dash for what is none.

    Examples:
        >>> number(1.25, 1), number(-0.5, 2), number(-0.001, 1), number(None)
        ('1.2', '−0.50', '0.0', '–')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NOTHING
    text = f"{value:,.{decimals}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    if text.startswith("-"):
        text = text[1:] if not text.strip("-0.") else "−" + text[1:]
    return text


def small_number(value: object) -> str:
    """Return a score as text: three decimals, or powers of ten where they would show nothing.

    Examples:
        >>> small_number(0.25), small_number(0.0000123), small_number(0), small_number(None)
        ('0.250', '1.2e−5', '0.000', '–')
    """
    if not isinstance(value, (int, float)) or value == 0 or abs(value) >= 0.0005:
        return number(value, 3)
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}e{int(power)}".replace("-", "−")


def percent(part: float, whole: float) -> str:
    """Return a share in per cent, as text."""
    return f"{number(100 * part / whole, 1)}\N{NARROW NO-BREAK SPACE}%" if whole else NOTHING


def signed(value: object, decimals: int = 3) -> str:
    """Return a difference as text, with its sign; a dash for what is none.

    Examples:
        >>> signed(0.01), signed(-0.25, 2), signed(0.0001), signed(float("nan"))
        ('+0.010', '−0.25', '0.000', '–')
    """
    text = finite(value, decimals)
    return f"+{text}" if any(digit in text for digit in "123456789") and text[0] != "−" else text


def finite(value: object, decimals: int = 3) -> str:
    """Return a number as text; a dash also for NaN and infinity.

    Examples:
        >>> finite(0.5), finite(float("nan"))
        ('0.500', '–')
    """
    return number(value, decimals) if isinstance(value, (int, float)) and math.isfinite(value) else NOTHING


def counted(count: float, word: str) -> str:
    """Return a number of things with their name, in the plural where there is not one.

    Examples:
        >>> counted(1, "seed"), counted(4, "seed")
        ('1 seed', '4 seeds')
    """
    return f"{number(int(count))} {word}" + ("" if count == 1 else "s")


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence.

    Examples:
        >>> listed(["liver"]), listed(["liver", "spleen", "left kidney"])
        ('liver', 'liver, spleen and left kidney')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def p_value(value: object) -> str:
    """Return a p value as text.

    Examples:
        >>> p_value(0.0312), p_value(0.0001), p_value(float("nan"))
        ('0.031', '<0.001', '–')
    """
    return "<0.001" if isinstance(value, (int, float)) and value < 0.001 else finite(value, 3)
