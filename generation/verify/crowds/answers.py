"""Import of answers from other tools: validated first, then added in one transaction.

Unknown, rejected and duplicate answers are reported; an invalid file changes nothing.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from d3s_dataset.errors import VerifyError, one_line
from generation.verify.prepare.questions import ANSWERS, NAMES
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.vote import Vote

if TYPE_CHECKING:
    from generation.verify.votes.store import Store


@dataclass(frozen=True)
class Ballot:
    """One submission by one annotator.

    Attributes:
        worker: id unique over all crowds, such as `mturk:A1B2...`; empty where the file has none.
        source: unique id of the submission: the same one is never added twice.
        release: digest of the annotated release.
        answers: (item, question, answer), in order.
        seconds: seconds per item, where known.
        where: position in the file, for messages.
    """

    worker: str
    source: str
    release: str
    answers: list[tuple[str, str, str]]
    seconds: float | None
    where: str


@dataclass
class Taken:
    """Result of an import: votes added, votes imported before, and one line per kind of skipped answer."""

    new: int = 0
    there: int = 0
    left_out: list[str] = field(default_factory=list)


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Raise VerifyError for everything that a missing, truncated or different JSON file makes a parser raise.

    Args:
        path: the file.
        expected: its description, for the message.
    """
    try:
        yield
    except OSError as error:
        raise VerifyError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VerifyError(
            f"{path}: expected {expected}, got {type(error).__name__} {one_line(error)}: nothing was imported"
        ) from None


def named(crowd: str, worker: object) -> str:
    """Return a worker's id unique over all crowds; empty where the file has none.

    Raises:
        TypeError: neither text nor a whole number.
    """
    name = plain_text(worker)
    return f"{crowd}:{name}" if name else ""


def plain_text(value: object) -> str:
    """Return text or a whole number as trimmed text, nothing as empty text.

    Raises:
        TypeError: another type.
        UnicodeEncodeError: text that cannot be stored (a lone surrogate).
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"expected text, got {type(value).__name__}")
    text = str(value).strip()
    text.encode()
    return text


def duration(value: object) -> float | None:
    """Return seconds as a number; None unless it is finite and at least 0."""
    try:
        seconds = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def take(path: Path, ballots: Sequence[Ballot], tasks: Tasks, store: "Store") -> Taken:
    """Add a file's ballots to the votes.

    Raises:
        VerifyError: a ballot about another release, or an invalid answer; then nothing is added.
    """
    last: dict[tuple[str, str, str], Vote] = {}
    unknown: set[str] = set()
    twice: dict[str, str] = {}
    said: dict[tuple[str, str, str], str] = {}
    nobody = nothing = empty = 0
    for ballot in ballots:
        if not ballot.worker:
            nobody += 1
            continue
        _check(path, ballot, tasks)
        empty += not ballot.answers
        for item, question, answer in ballot.answers:
            if not item:
                nothing += 1
                continue
            if item not in tasks.by_id:
                unknown.add(item)
                continue
            name = (ballot.worker, item, question)
            if said.setdefault(name, ballot.source) != ballot.source:
                twice.setdefault(ballot.worker, ballot.where)
            last[name] = Vote(*name, answer, seconds=ballot.seconds, source=ballot.source)
    taken = Taken(*store.add_all(last.values()))
    for count, what in (
        (nobody, "rows without a worker"),
        (nothing, "answers without an item"),
        (empty, "submissions without answers"),
    ):
        if count:
            taken.left_out.append(f"{count} {what} were skipped")
    if unknown:
        taken.left_out.append(f"{len(unknown)} unknown items were skipped, such as {min(unknown)}")
    if twice:
        first = next(iter(twice.values()))
        taken.left_out.append(f"{len(twice)} annotators answered items twice, first in {first}: the later one counts")
    return taken


def _check(path: Path, ballot: Ballot, tasks: Tasks) -> None:
    if ballot.release != tasks.release:
        raise VerifyError(
            f"{path}, {ballot.where}: expected answers about release {tasks.release[:16]}, got "
            f"{ballot.release[:16]!r}: "
            "nothing was imported"
        )
    for item, question, answer in ballot.answers:
        if question not in NAMES or answer not in ANSWERS:
            raise VerifyError(
                f"{path}, {ballot.where}: expected {', '.join(ANSWERS)} as the answer to {', '.join(NAMES)}, got "
                f"{answer!r} to {question!r} of item {item}: nothing was imported"
            )
