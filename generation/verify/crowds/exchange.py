"""Export tasks to other tools, and import what people answered there."""

from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.atomic import replacing
from generation.verify.crowds import csv_votes, label_studio, mturk
from generation.verify.crowds.answers import Taken, take
from generation.verify.crowds.csv_votes import header
from generation.verify.prepare import tasks
from generation.verify.prepare.tasks import IMAGES
from generation.verify.votes.store import Store


def export(folder: Path, form: str, out: Path, images: str | None) -> list[Path]:
    """Write the files that another tool needs into a folder; return them.

    Args:
        folder: of tasks.
        form: `mturk`, `label-studio`, or `csv`, the votes that are there.
        out: where to write.
        images: the address under which the folder `images/` has been put.
    """
    held = tasks.read(folder)
    if form == "csv":
        store = Store(folder)
        contents = {"votes.csv": csv_votes.votes_csv(held, store.last())}
        store.close()
    elif images is None:
        raise VerifyError(f"expected --images-url, the address under which you put {folder / IMAGES} for others to see")
    elif form == "mturk":
        contents = {"mturk.csv": mturk.batch(held, images.rstrip("/")), "mturk.html": mturk.layout(held)}
    else:
        tasks_file = label_studio.tasks_json(held, images.rstrip("/"))
        contents = {"label_studio.json": tasks_file, "label_studio.xml": label_studio.config()}
    for name, content in contents.items():
        with replacing(out / name) as temporary:
            if form == "csv":
                temporary.chmod(0o600)  # it holds workers' own ids
            temporary.write_bytes(content)
    return [out / name for name in contents]


def take_file(folder: Path, path: Path) -> Taken:
    """Add the answers in a file to the votes of a folder of tasks; typed again, it adds nothing.

    Raises:
        VerifyError: the file is none of those that are known, is about another release, or was cut short.
    """
    held = tasks.read(folder)
    if path.suffix.lower() == ".json":
        found, left_out = label_studio.ballots(path)
    else:
        columns = header(path)
        reader = next((each for each in (mturk, csv_votes) if set(each.NEEDED) <= set(columns)), None)
        if reader is None:
            raise VerifyError(
                f"{path}: expected Mechanical Turk's results ({', '.join(mturk.NEEDED)}), votes ("
                f"{', '.join(csv_votes.NEEDED)}) or Label Studio's .json, got columns "
                f"{', '.join(columns[:6]) or 'none'}"
            )
        found, left_out = reader.ballots(path)
    store = Store(folder)
    try:
        taken = take(path, found, held, store)
    finally:
        store.close()
    return Taken(taken.new, taken.there, [*left_out, *taken.left_out])
