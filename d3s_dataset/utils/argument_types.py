"""argparse types for numbers. Needs no torch."""

from argparse import ArgumentTypeError


def positive(text: str) -> float:
    """Parse a finite number above zero."""
    if not 0 < (value := _number(text)) < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def weight(text: str) -> float:
    """Parse a lambda: a finite number from zero on."""
    if not 0 <= (value := _number(text)) < float("inf"):
        raise ArgumentTypeError(f"expected a lambda of 0 or more, got {text!r}")
    return value


def share(text: str) -> float:
    """Parse a number from 0 to 1."""
    if not 0 <= (value := _number(text)) <= 1:
        raise ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def seed(text: str) -> int:
    """Parse a seed."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise ArgumentTypeError(f"expected a whole number from 0 to 2^63 - 1, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
