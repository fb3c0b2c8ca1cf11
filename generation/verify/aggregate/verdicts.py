"""verdicts.json: output of aggregate and input of apply; annotators are anonymised."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from d3s_dataset.errors import VerifyError
from d3s_dataset.identity import digest
from d3s_dataset.manifest import Verification, load_model, to_json
from d3s_dataset.utils.atomic import write_atomic
from generation.verify.votes.store import Store, Vote

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


class Verdicts(_Strict):
    """All verdicts, key -> Verdict, with their provenance.

    Attributes:
        votes_digest: digest of the votes that were aggregated.
        drawn: how the images were sampled.
        left_out: excluded annotators: anonymous name -> reason.
        verification: summary for the new release's manifest.
    """

    schema_version: Literal[1] = 1
    votes_digest: str
    drawn: str
    left_out: dict[str, str]
    verification: Verification
    rows: dict[str, Verdict]


def votes_digest(votes: Sequence[Vote]) -> str:
    """Return a digest of votes, to detect newer ones."""
    return digest(sorted([vote.worker, vote.item, vote.question, vote.answer] for vote in votes))


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


def current_votes(folder: Path, found: Verdicts) -> list[Vote]:
    """Return the final votes of a tasks folder; raises VerifyError if they are newer than the verdicts."""
    store = Store(folder)
    votes = store.last()
    store.close()
    if votes_digest(votes) != found.votes_digest:
        raise VerifyError(
            f"there are votes newer than the verdicts: type `python -m generation.verify aggregate {folder}` again"
        )
    return votes


def write(folder: Path, verdicts: Verdicts) -> None:
    """Write the verdicts, atomically."""
    write_atomic(folder / FILE_NAME, to_json(verdicts))
