"""Submissions -> entries: each checked and recomputed, in as many processes as there are cores; none ends the fold."""

import hashlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from benchmark.board.standing import Entry, numbers_of
from benchmark.predictions import Predictions, take
from benchmark.submission import check, content_of
from benchmark.submission.truth import Rules, Truth
from d3s_dataset.command import cores, progress
from d3s_dataset.errors import ResultError
from d3s_dataset.parent import end_with_parent

_FEW = 4  # submissions that are not worth a process
_HELD: dict[str, tuple[Rules, Truth]] = {}  # of a worker process


def digest_or_none(folder: Path, rows: int) -> str | None:
    """Return the digest of a submission's files (`content_of`), or None where they are too odd to have one."""
    try:
        return content_of(folder, rows)
    except ResultError:
        return None  # `check` says it again, as the reason


def measured(pending: Sequence[tuple[Path, str]], rules: Rules, truth: Truth) -> list[Entry]:
    """Return the entries of submissions, each a folder and its content's digest (empty: too odd to have one)."""
    if len(pending) <= _FEW:
        return [measure(*each, rules, truth) for each in pending]
    found = []
    with progress(total=len(pending), label="checking", unit="") as bar:
        while pending:
            lost = []
            with _pool(rules, truth, cores()) as pool:
                for each, future in [(each, pool.submit(_measure_here, *each)) for each in pending]:
                    outcome = _outcome(future)
                    found += [outcome] if outcome else []
                    lost += [] if outcome else [each]
                    bar.update(outcome is not None)
            # Whoever ended a worker is among the first of those that were lost with it.
            found += [_alone(each, rules, truth) for each in lost[:1]]
            pending = lost[1:]
    return found


def _pool(rules: Rules, truth: Truth, workers: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _begin, (rules, truth))


def _begin(rules: Rules, truth: Truth) -> None:
    end_with_parent()
    _HELD["board"] = rules, truth


def _measure_here(folder: Path, content: str) -> Entry:
    return measure(folder, content, *_HELD["board"])


def _outcome(future: Future[Entry]) -> Entry | None:
    """Return what a worker found, or None where a worker was lost, perhaps by another submission's doing."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _alone(each: tuple[Path, str], rules: Rules, truth: Truth) -> Entry:
    with _pool(rules, truth, 1) as pool:
        found = _outcome(pool.submit(_measure_here, *each))
    return found or Entry(id=each[0].name, content=each[1], state="refused", reason="reading it ends the process")


def measure(folder: Path, content: str, rules: Rules, truth: Truth) -> Entry:
    """Return one submission's entry, refused or recomputed."""
    try:
        found = check(folder, rules, truth, fine=False)
    except ResultError as error:
        return Entry(id=folder.name, content=content, state="refused", reason=_shown(str(error)))
    said, model = found.description, found.result.model
    return Entry(
        id=found.id,
        content=content,
        state="recomputed",
        section=said.training_data,
        model=model.tag or model.name,
        weights=model.digest,
        notes=said.notes,
        supersedes=said.supersedes,
        withdrawn=said.withdrawn,
        numbers=numbers_of(found.result, answers_digest(found.predictions)),
    )


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))[:300]


def answers_digest(predictions: Predictions) -> str:
    """Return the digest of what was answered: the same for the same answers under any name."""
    table = take(predictions, np.argsort(predictions.key.astype(str)))
    said = table.prediction.astype("<i4"), np.round(table.probability * 1e4).astype("<i4")
    return hashlib.sha256(b"".join(each.tobytes() for each in said)).hexdigest()
