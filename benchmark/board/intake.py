"""Submissions -> entries: each checked and recomputed in its own process; a crash does not end the fold."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.board.names import display_name, hub_repo, source_of
from benchmark.board.rules import Rules, Truth
from benchmark.board.safe_read import bounded_memory
from benchmark.board.schema import Entry, numbers_of
from benchmark.board.validation import check, content_of
from benchmark.board.workers import in_processes
from benchmark.metrics.bootstrap import draws_kept
from benchmark.schemas.predictions import Predictions, by_key
from d3s_dataset.errors import D3SError, ResultError
from d3s_dataset.identity import digest
from d3s_dataset.utils.cli import cores, progress
from d3s_dataset.utils.escape import terminal

SECONDS = 300.0  # that one submission may take, the start of a process included; 17,000 rows take 0.2
_LONGEST_REASON = 300


def digest_or_none(folder: Path, rows: int) -> str | None:
    """Return the digest of a submission's files (`content_of`), or None where they are too odd to have one."""
    try:
        return content_of(folder, rows)
    except (ResultError, OSError):
        return None  # `check` raises it again, as the reason


def shown_id(folder: Path) -> str:
    """Return a folder's name as an id that can be printed and kept: an odd one, which is refused, with escapes."""
    return terminal(folder.name)


def measured(pending: Sequence[tuple[Path, str]], rules: Rules, truth: Truth) -> list[Entry]:
    """Return the entries of submissions, each a folder and its content's digest (empty: too odd to have one)."""
    found: dict[int, Entry] = {}
    with progress(total=len(pending), label="checking", unit="") as bar:
        for index, outcome in in_processes(_within_bounds, (rules, truth), pending, cores(), SECONDS):
            entry = isinstance(outcome, Entry)
            found[index] = outcome if entry else _refused(*pending[index], f"reading it {_said(outcome)}")
            bar.update()
    return [found[index] for index in range(len(pending))]


def _said(outcome: object) -> str:
    return f"failed: {outcome}" if isinstance(outcome, D3SError) else str(getattr(outcome, "reason", outcome))


def _within_bounds(rules: Rules, truth: Truth, each: tuple[Path, str]) -> Entry:
    with bounded_memory(), draws_kept():
        return measure(*each, rules, truth)


def measure(folder: Path, content: str, rules: Rules, truth: Truth) -> Entry:
    """Return one submission's entry, refused or recomputed."""
    try:
        found = check(folder, rules, truth)
    except (ResultError, OSError) as error:
        return _refused(folder, content, str(error))
    said, model = found.description, found.result.model
    return Entry(
        id=found.id,
        content=content,
        state="recomputed",
        section=said.training_data,
        model=display_name(model),
        source=source_of(model),
        repo=hub_repo(model),
        weights=model.digest,
        arguments=digest(model.kwargs),
        notes=said.notes,
        paper=said.paper,
        license=said.license,
        lacks=None if model.elsewhere else rules.lacks(found.predictions),
        supersedes=said.supersedes,
        withdrawn=said.withdrawn,
        numbers=numbers_of(found.result, answers_digest(found.predictions)),
    )


def _refused(folder: Path, content: str, reason: str) -> Entry:
    # Where the folder lies is no fact about it: a board has the same bytes everywhere.
    shown = terminal(" ".join(reason.replace(f"{folder}{os.sep}", "").split()))[:_LONGEST_REASON]
    return Entry(id=shown_id(folder), content=content, state="refused", reason=shown)


def answers_digest(predictions: Predictions) -> str:
    """Return the digest of the predictions: the same for the same predictions under any name."""
    table = by_key(predictions)
    said = [table.prediction.astype("<i4")]
    said += [] if table.probability is None else [np.round(table.probability * 1e4).astype("<i4")]
    return hashlib.sha256(b"".join(each.tobytes() for each in said)).hexdigest()
