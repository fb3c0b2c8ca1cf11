"""One annotator of a tasks folder: exclusion with a reason and its undo; removal of the identity."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from d3s_dataset.errors import VerifyError
from generation.verify.aggregate import verdicts as results
from generation.verify.aggregate.votes_to_verdicts import REPORT
from generation.verify.crowds.colleagues import worker_of
from generation.verify.prepare import tasks as files
from generation.verify.votes import annotators
from generation.verify.votes.forgetting import Forgotten, without
from generation.verify.votes.forgetting import forget as forget_votes
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.store import Store


@contextmanager
def _found(folder: Path, name: str, database: str | None) -> Iterator[tuple[Store, bytes, str]]:
    """Yield the votes, the secret and the id of an annotator."""
    files.read(folder)
    key, store = secret(folder), Store(folder, database)
    try:
        yield store, key, worker_of(key, annotators.everybody(store), name, annotators.names(store))
    finally:
        store.close()


def exclude(folder: Path, name: str, reason: str | None, *, undo: bool = False, database: str | None = None) -> str:
    """Record that an annotator's votes count nowhere, or that they count again; return what to do next.

    Args:
        folder: tasks folder.
        name: id, pseudonym, or a colleague's name.
        reason: recorded; needed for an exclusion.
        undo: count the votes again.
        database: URL of the votes' database (`Store`).

    Raises:
        VerifyError: no tasks folder, nobody of this name, no reason, or no change.
    """
    text = " ".join((reason or "").split())
    if not text and not undo:
        raise VerifyError("expected --reason TEXT, or --undo")
    with _found(folder, name, database) as (store, _, worker):
        annotators.exclude(store, worker, text, undo=undo)
    done = f"the votes of {name} count again" if undo else f"the votes of {name} count nowhere: {text}"
    return f"{done}; verdicts follow at the next `python -m generation.verify aggregate {folder}`"


def forget(folder: Path, name: str, *, votes: bool = False, database: str | None = None) -> list[str]:
    """Remove an annotator's identity, and with `votes` the votes too; return what was removed, in lines.

    Args:
        folder: tasks folder.
        name: id, pseudonym, or a colleague's name.
        votes: remove the votes, too.
        database: URL of the votes' database (`Store`).

    Raises:
        VerifyError: no tasks folder, nobody of this name, or the file of votes is in use.
    """
    with _found(folder, name, database) as (store, key, worker):
        shown = annotators.names(store)
        names = {worker, worker.partition(":")[2], shown.get(worker, ""), anonymous(key, worker)} - {""}
        current = _current(folder, store)
        done = forget_votes(store, worker, sorted(names), votes=votes)
        lines = _lines(done, key)
        return lines + _files(folder, store, key, anonymous(key, worker), done, sorted(names), current)


def _lines(done: Forgotten, key: bytes) -> list[str]:
    removed = [f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in done.removed if count]
    lines = [f"removed: the id{''.join(', ' + each for each in removed)}"]
    if done.worker:
        kept = [f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in done.kept if count]
        lines.append(f"kept: {', '.join(kept) or 'nothing'}, under the random name {anonymous(key, done.worker)}")
    return lines


def _current(folder: Path, store: Store) -> bool:
    """Return whether the verdicts are of the present votes."""
    if not (folder / results.FILE_NAME).is_file():
        return False
    return results.read(folder).votes_digest == results.votes_digest(store.last(), annotators.excluded(store))


def _files(
    folder: Path, store: Store, key: bytes, before: str, done: Forgotten, names: list[str], current: bool
) -> list[str]:
    """Remove the name from the files beside the votes; return what was done, in lines."""
    lines = []
    if (folder / results.FILE_NAME).is_file():
        found = results.read(folder)
        left_out = dict(found.left_out)
        reason = left_out.pop(before, None)
        if reason is not None and done.worker:
            left_out[anonymous(key, done.worker)] = without(names, reason)
        digest = found.votes_digest
        if current and done.worker:  # the same votes under another name: the same verdicts
            digest = results.votes_digest(store.last(), annotators.excluded(store))
        results.write(folder, found.model_copy(update={"left_out": left_out, "votes_digest": digest}))
    if (folder / REPORT).is_file():
        (folder / REPORT).unlink()
        lines.append(f"removed: {REPORT}, which shows everybody's name or pseudonym: aggregate writes it again")
    return [*lines, "not reached: files of `export --to csv`, copies and backups of this folder, published releases"]
