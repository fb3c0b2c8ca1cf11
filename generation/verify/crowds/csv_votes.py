"""Votes as a plain CSV, to merge votes of two machines or to import them from another annotation page."""

import csv
from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.escape import csv_text
from d3s_dataset.utils.tables import csv_bytes
from generation.verify.crowds.answers import Ballot, duration
from generation.verify.crowds.base import Crowd
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.vote import Vote

NEEDED = ("release", "worker", "item", "question", "answer")


def votes_csv(tasks: Tasks, votes: list[Vote]) -> bytes:
    """Return votes as CSV; it contains the workers' own ids, so it must not be published."""
    rows = [(tasks.release, vote.worker, vote.item, vote.question, vote.answer, vote.seconds) for vote in votes]
    return csv_bytes([(*NEEDED, "seconds"), *rows])


def ballots(path: Path) -> tuple[list[Ballot], list[str]]:
    """Return the ballots of a CSV, one per line.

    Raises:
        VerifyError: another file, or a truncated one.
    """
    found = []
    for number, row in enumerate(read_rows(path, NEEDED), 2):
        answers = [(row["item"], row["question"], row["answer"])]
        seconds = duration(row.get("seconds"))
        # The line itself is the id of the submission: a repeated line is the same vote.
        source = f"csv:{row['answer']}:{row.get('seconds', '')}"
        found.append(Ballot(row["worker"], source, row["release"], answers, seconds, f"line {number}"))
    return found, []


def read_rows(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV file into dicts of trimmed cells, one per line.

    Raises:
        VerifyError: no such file, a missing or duplicate column, or a truncated line.
    """
    check_regular(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            head = [name.strip() for name in next(reader, [])]
            missing = [name for name in needed if name not in head]
            if missing:
                raise VerifyError(f"{path}: expected columns {', '.join(needed)}, got none named {', '.join(missing)}")
            if len(set(head)) < len(head):
                twice = next(name for name in head if head.count(name) > 1)
                raise VerifyError(f"{path}: expected each column once, got {twice!r} twice: nothing was imported")
            rows = []
            for cells in reader:
                if len(cells) != len(head):
                    raise VerifyError(
                        f"{path}, line {reader.line_num}: expected {len(head)} columns, got {len(cells)} (truncated?): "
                        "nothing was imported"
                    )
                rows.append({name: csv_text(cell.strip()) for name, cell in zip(head, cells, strict=True)})
            return rows
    except OSError as error:
        raise VerifyError(f"{path} cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise VerifyError(f"{path} cannot be read as CSV ({error}; truncated?): nothing was imported") from None


def header(path: Path) -> list[str]:
    """Return the column names of a CSV file; empty where it has none."""
    check_regular(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [name.strip() for name in next(csv.reader(stream), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VerifyError(f"{path} cannot be read as CSV: {error}") from None


def has_columns(path: Path, names: tuple[str, ...]) -> bool:
    """Return whether a file is a CSV with columns of these names; raises VerifyError where it cannot be read."""
    return set(names) <= set(header(path))


def check_regular(path: Path) -> None:
    """Raise VerifyError unless a path is a regular file: a named pipe would block, a device never ends."""
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "does not exist"
        raise VerifyError(f"{path} {what}: expected a file of answers")


CROWD = Crowd(
    export=lambda tasks, votes, images: {"votes.csv": votes_csv(tasks, votes)},
    pictures=False,
    private=True,
    comes_back=f"votes ({', '.join(NEEDED)})",
    recognises=lambda path: has_columns(path, NEEDED),
    ballots=ballots,
)
