"""Escaping of untrusted text: one function per output format.

HTML needs none: every page is a Jinja template with autoescape on.
"""

import re

_BAD_IN_MARKDOWN = re.compile(r"[\\`*\[\]!~#|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "://": "&#58;//", "www.": "www&#46;", "@": "&#64;"}
_FORMULA = tuple("=+-@\t\r\n")
_NUMBER = r"[+-]?[\d.]+"
_FIGURE = re.compile(rf"{_NUMBER}( to {_NUMBER})?( \({_NUMBER} to {_NUMBER}\))?\*?|-")  # what our own tables hold


def terminal(text: str, *, lines: bool = False) -> str:
    r"""Return text with every character that does not print as its escape, such as `\x1b`, `\n` or `\u202e`.

    Args:
        text: anything; lone surrogates, as in file names that are not UTF-8, too.
        lines: keep newlines and tabs, for text of several lines.
    """
    kept = "\n\t" if lines else ""
    return "".join(
        letter if letter.isprintable() or letter in kept else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def markdown(text: str) -> str:
    """Return text as Markdown that shows it on one line: no markup, links, images, HTML or table cells of its own."""
    shown = _BAD_IN_MARKDOWN.sub(r"\\\g<0>", terminal(" ".join(text.split())))
    for plain, entity in _ENTITIES.items():
        shown = shown.replace(plain, entity)  # without a link's `://`, GitHub and the Hub make none of a bare address
    return shown


def csv_cell(value: object) -> object:
    """Return a CSV cell that no spreadsheet takes for a formula: numbers stay, text gets an apostrophe where needed.

    So does text that would look like such a cell, for `csv_text` to tell them apart.
    """
    if not isinstance(value, str):
        return value
    return "'" * (_guarded(value) and not _FIGURE.fullmatch(value)) + terminal(value)


def csv_text(cell: str) -> str:
    """Return what a text cell was before `csv_cell` put an apostrophe in front of it."""
    return cell[1:] if cell.startswith("'") and _guarded(cell) else cell


def _guarded(text: str) -> bool:
    """Return whether text is a formula to a spreadsheet, behind any number of apostrophes."""
    return text.lstrip("'").lstrip(" ").startswith(_FORMULA)


def code_span(text: str) -> str:
    """Return text as a Markdown code span on one line: nothing in it is markup, a link, HTML or somebody's name."""
    shown = terminal(" ".join(text.split())) or " "
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    edge = " " if longest or not shown.strip() else ""
    return f"{fence}{edge}{shown}{edge}{fence}"
