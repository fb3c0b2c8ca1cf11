"""Votes as a plain CSV: to bring those of two machines together, or from a page of one's own."""

import csv
import io
from pathlib import Path

from d3s_dataset.escape import csv_cell
from generation.verify.ballots import Ballot, duration
from generation.verify.rows import read_rows
from generation.verify.tasks import Tasks
from generation.verify.votes import Vote

NEEDED = ("release", "worker", "item", "question", "answer")


def votes_csv(tasks: Tasks, votes: list[Vote]) -> bytes:
    """Return votes as CSV; it holds the workers' own ids, so it is not for publishing."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([*NEEDED, "seconds"])
    for vote in votes:
        seconds = "" if vote.seconds is None else vote.seconds
        cells = (tasks.release, vote.worker, vote.item, vote.question, vote.answer, seconds)
        writer.writerow(map(csv_cell, cells))
    return out.getvalue().encode()


def ballots(path: Path) -> tuple[list[Ballot], list[str]]:
    """Return the ballots of a CSV, one for each line.

    Raises:
        VerifyError: another file, or one that was cut short.
    """
    found = []
    for number, row in enumerate(read_rows(path, NEEDED), 2):
        answers = [(row["item"], row["question"], row["answer"])]
        seconds = duration(row.get("seconds"))
        # The line itself names the submission: the same line again is the same vote.
        source = f"csv:{row['answer']}:{row.get('seconds', '')}"
        found.append(Ballot(row["worker"], source, row["release"], answers, seconds, f"line {number}"))
    return found, []
