"""Numbers as a reader wants them: a true minus, thousands set apart, a dash for what is not there."""

from __future__ import annotations

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
