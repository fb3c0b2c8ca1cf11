"""Export tasks to other tools, and import the answers."""

from collections.abc import Callable
from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.atomic import replacing
from generation.verify.crowds.answers import Taken, take
from generation.verify.crowds.base import CROWDS, exporting
from generation.verify.crowds.csv_votes import header
from generation.verify.prepare import tasks
from generation.verify.prepare.tasks import IMAGES, Tasks
from generation.verify.votes.store import Store


def export(
    folder: Path,
    form: str,
    out: Path,
    images: str | None,
    present: Callable[[Tasks, Store], Tasks] | None = None,
    database: str | None = None,
) -> list[Path]:
    """Write the files that another tool needs into a folder; return them.

    Args:
        folder: tasks folder.
        form: a crowd of `CROWDS` that exports.
        out: output folder.
        images: base URL of the uploaded folder `images/`.
        present: returns the tasks of the present round; None exports all tasks.
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
        contents = crowd.export(held, store.last(), (images or "").rstrip("/"))
    finally:
        store.close()
    for name, content in contents.items():
        with replacing(out / name) as temporary:
            if crowd.private:
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
    store = Store(folder, database)
    try:
        taken = take(path, found, held, store)
    finally:
        store.close()
    return Taken(taken.new, taken.there, [*left_out, *taken.left_out])
