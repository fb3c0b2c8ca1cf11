"""verdicts.json: output of aggregate and input of apply; annotators are anonymised."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from d3s_dataset.errors import VerifyError
from d3s_dataset.identity import digest
from d3s_dataset.manifest import Verification, load_model, to_json
from d3s_dataset.utils.atomic import write_atomic
from generation.verify.votes import annotators
from generation.verify.votes.store import Store
from generation.verify.votes.vote import Vote

FILE_NAME = "verdicts.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Verdict(_Strict):
    """Verdict of one image: verified, votes counted, yes answers per question, posterior probability."""

    verified: bool | None
    votes: int
    foreground: int
    background: int
    unsafe: int
    posterior: float | None


class Rounds(_Strict):
    """Votes of a study with rounds.

    Attributes:
        plan: annotators per round.
        wanted: images times annotators.
        saved: votes that decided images did without.
        decided: images that further votes cannot change; `open` is the number of the others.
        errors: for `dawid-skene`: expected number of wrong verdicts, by the posterior; `least_sure` is the lowest
            posterior of a verdict.
    """

    plan: list[int]
    wanted: int
    saved: int
    decided: int
    open: int
    errors: float | None = None
    least_sure: float | None = None

    def lines(self) -> list[str]:
        """Return these figures in words."""
        plan, images = " + ".join(map(str, self.plan)), self.decided + self.open
        lines = [
            f"rounds of {plan}: {self.saved:,} of {self.wanted:,} votes saved ({100 * self.saved / self.wanted:.1f} %)"
            f"; {self.decided:,} of {images:,} images are decided, further votes can change {self.open:,}"
        ]
        if self.errors is not None and self.least_sure is not None:
            lines.append(
                f"the rounds stopped by a posterior, which is not exact: {self.errors:.1f} wrong verdicts are expected"
                f"; the least sure verdict has a posterior of {self.least_sure:.3f}"
            )
        return lines


class Verdicts(_Strict):
    """All verdicts, key -> Verdict, with their provenance.

    Attributes:
        votes_digest: digest of the votes that were aggregated.
        drawn: how the images were sampled.
        left_out: excluded annotators: anonymous name -> reason.
        verification: summary for the new release's manifest.
        rounds: votes saved; None for a single round.
    """

    schema_version: Literal[1] = 1
    votes_digest: str
    drawn: str
    left_out: dict[str, str]
    verification: Verification
    rounds: Rounds | None = None
    rows: dict[str, Verdict]


def votes_digest(votes: Sequence[Vote], excluded: Iterable[str] = ()) -> str:
    """Return a digest of votes and of the annotators whom the owner excluded, to detect newer ones."""
    given = sorted([vote.worker, vote.item, vote.question, vote.answer] for vote in votes)
    return digest([given, sorted(excluded)] if excluded else given)


def read(folder: Path) -> Verdicts:
    """Read the verdicts of a tasks folder.

    Raises:
        VerifyError: there are none yet.
        ReleaseError: the file cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise VerifyError(f"{folder} has no {FILE_NAME}: type `python -m generation.verify aggregate {folder}` first")
    return load_model(Verdicts, path)


def current_votes(folder: Path, found: Verdicts, database: str | None = None) -> list[Vote]:
    """Return the final votes of a tasks folder; raises VerifyError if they, or exclusions, are newer than verdicts.

    Args:
        folder: tasks folder.
        found: its verdicts.
        database: URL of the votes' database (`Store`).
    """
    store = Store(folder, database)
    votes, excluded = store.last(), annotators.excluded(store)
    store.close()
    if votes_digest(votes, excluded) != found.votes_digest:
        rest = "" if database is None else " --database URL"
        raise VerifyError(
            "there are votes newer than the verdicts, or exclusions, or they are in another --database: type "
            f"`python -m generation.verify aggregate {folder}{rest}` again"
        )
    return votes


def write(folder: Path, verdicts: Verdicts) -> None:
    """Write the verdicts, atomically."""
    write_atomic(folder / FILE_NAME, to_json(verdicts))
