"""CSV files whose every line must be whole."""

import csv
from pathlib import Path

from d3s_dataset.errors import VerifyError


def read_rows(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """Return a CSV file's lines as dicts.

    Raises:
        VerifyError: no such file, a column is missing, or a line was cut short.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            head = next(reader, [])
            missing = [name for name in needed if name not in head]
            if missing:
                raise VerifyError(f"{path}: expected columns {', '.join(needed)}, got none named {', '.join(missing)}")
            rows = []
            for cells in reader:
                if len(cells) != len(head):
                    raise VerifyError(
                        f"{path}, line {reader.line_num}: expected {len(head)} columns, got {len(cells)} (cut short?): "
                        "nothing was imported"
                    )
                rows.append(dict(zip(head, cells, strict=True)))
            return rows
    except OSError as error:
        raise VerifyError(f"{path} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise VerifyError(f"{path} cannot be read as CSV ({error}; cut short?): nothing was imported") from None


def header(path: Path) -> list[str]:
    """Return the names of a CSV file's columns; empty where it has none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VerifyError(f"{path} cannot be read as CSV: {error}") from None
