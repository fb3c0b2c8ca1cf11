"""Export tasks to other tools, and import the answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.atomic import replacing
from d3s_dataset.utils.cli import warn
from generation.verify.crowds.answers import Ballot, Taken, take
from generation.verify.crowds.base import CROWDS, exporting
from generation.verify.crowds.csv_votes import header
from generation.verify.prepare import tasks
from generation.verify.prepare.tasks import IMAGES, Tasks
from generation.verify.votes import annotators
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.store import Store, Vote


def export(
    folder: Path,
    form: str,
    out: Path,
    images: str | None,
    present: Callable[[Tasks, Store], Tasks] | None = None,
    *,
    pseudonyms: bool = False,
    database: str | None = None,
) -> list[Path]:
    """Write the files that another tool needs into a folder; return them.

    Args:
        folder: tasks folder.
        form: a crowd of `CROWDS` that exports.
        out: output folder.
        images: base URL of the uploaded folder `images/`.
        present: returns the tasks of the present round; None exports all tasks.
        pseudonyms: name workers as a release's config `votes` does, and leave out votes that are held for review or
            whose annotator is excluded.
        database: URL of the votes' database (`Store`).

    Raises:
        VerifyError: a crowd without export, or no URL where the files show pictures.
    """
    held, crowd = tasks.read(folder), CROWDS.get(form)
    if crowd is None or crowd.export is None:
        raise VerifyError(f"expected one of {', '.join(exporting())}, got {form!r}")
    if crowd.pictures and images is None:
        raise VerifyError(f"expected --images-url, the public URL of the uploaded folder {folder / IMAGES}")
    store = Store(folder, database)
    try:
        held = present(held, store) if present and crowd.pictures else held
        votes = _anonymised(folder, store) if pseudonyms else store.last()
        contents = crowd.export(held, votes, (images or "").rstrip("/"))
    finally:
        store.close()
    for name, content in contents.items():
        with replacing(out / name) as temporary:
            if crowd.private and not pseudonyms:
                temporary.chmod(0o600)
            temporary.write_bytes(content)
    return [out / name for name in contents]


def take_file(folder: Path, path: Path, database: str | None = None) -> Taken:
    """Add the answers in a file to the votes of a tasks folder; a second import adds nothing.

    Raises:
        VerifyError: an unknown format, answers about another release, or a truncated file.
    """
    held = tasks.read(folder)
    able = [each for each in CROWDS.values() if each.ballots and each.recognises]
    crowd = next((each for each in able if each.recognises and each.recognises(path)), None)
    if crowd is None or crowd.ballots is None:
        *some, last = [each.comes_back for each in able]
        columns = ", ".join(header(path)[:6]) or "none"
        raise VerifyError(f"{path}: expected {', '.join(some)} or {last}, got columns {columns}")
    found, left_out = crowd.ballots(path)
    if not found and not left_out:
        raise VerifyError(f"{path} holds no answers: nothing was imported")
    store = Store(folder, database)
    try:
        taken = take(path, _recognised(folder, found, store), held, store)
    finally:
        store.close()
    return Taken(taken.new, taken.there, [*left_out, *taken.left_out])


def _anonymised(folder: Path, store: Store) -> list[Vote]:
    """Return the votes under pseudonyms, in an order that does not tell the workers' ids.

    Votes that count nowhere (held for review, or of an excluded annotator) are left out: no file of votes tells that
    they are, and elsewhere they would count.
    """
    key, votes, out = secret(folder), store.last(), {*store.fast(), *annotators.excluded(store)}
    if held := {vote.worker for vote in votes} & out:
        warn(f"the votes of {len(held)} annotators who are excluded or submitted a task too fast are left out")
    found = [replace(vote, worker=anonymous(key, vote.worker)) for vote in votes if vote.worker not in out]
    return sorted(found, key=lambda vote: (vote.item, vote.question, vote.worker))


def _recognised(folder: Path, ballots: Sequence[Ballot], store: Store) -> list[Ballot]:
    """Return ballots with the workers' ids for pseudonyms of this folder, so that nobody's votes count twice."""
    if all(":" in ballot.worker for ballot in ballots):
        return list(ballots)
    key = secret(folder)
    known = {anonymous(key, worker): worker for worker in {vote.worker for vote in store.last()}}
    return [replace(ballot, worker=known.get(ballot.worker, ballot.worker)) for ballot in ballots]
