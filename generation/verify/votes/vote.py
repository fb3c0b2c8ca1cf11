"""A vote, and the result of recording it."""

from dataclasses import dataclass

PAGE = "page"


@dataclass(frozen=True)
class Vote:
    """One worker's answer to one question about one item; revision 1 is the first answer, a change the next.

    `seconds` is the time since the item was shown, `source` the origin of the vote, `at` its Unix time.
    """

    worker: str
    item: str
    question: str
    answer: str
    revision: int = 1
    seconds: float | None = None
    source: str = PAGE
    at: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        """The worker, item and question, which all revisions share."""
        return self.worker, self.item, self.question


@dataclass(frozen=True)
class Kept:
    """Result of recording a vote: `new`, `there` (sent before) or `conflict`, and the current answer and revision."""

    how: str
    answer: str
    revision: int
