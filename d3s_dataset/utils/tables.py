"""Tables as text: CSV and Markdown, with cells escaped by `escape`."""

import csv
import io
from collections.abc import Iterable, Sequence

from d3s_dataset.utils.escape import csv_cell, markdown


def csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows, headings first, as CSV in UTF-8 that no spreadsheet takes for formulas."""
    sink = io.StringIO(newline="")
    csv.writer(sink, lineterminator="\n").writerows([csv_cell(cell) for cell in row] for row in rows)
    return sink.getvalue().encode()


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: bool = True) -> str:
    """Return a Markdown table without a final newline.

    Args:
        headings: of the columns.
        rows: cells. Text, headings too, is escaped unless it is `Markup`; integers get thousands separators.
        numbers: whether all columns but the first hold numbers, which are aligned right.
    """
    rule = ["---", *["---:" if numbers else "---"] * (len(headings) - 1)]
    lines = [[_cell(cell) for cell in headings], rule, *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Markup(str):
    """Text that is Markdown already."""


def _cell(value: object) -> str:
    if isinstance(value, Markup):
        return value
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else markdown(str(value))
