"""Pull requests, each with one kind of fault or none: what each does to a board's folder, and what is said of it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.board.submission import DESCRIPTION, FOLDER, PREDICTIONS, RESULT
from tests.benchmark.board.upkeep.conftest import edit

Change = Callable[[Path, SimpleNamespace], None]  # of a copy of the board's folder, with the fresh submissions


@dataclass(frozen=True)
class Proposal:
    change: Change
    says: str
    mergeable: bool = False


def put(which: str, then: Callable[[Path], object] | None = None) -> Change:
    """Add a fresh submission, and change its folder."""

    def change(root: Path, fresh: SimpleNamespace) -> None:
        source = getattr(fresh, which)
        place = shutil.copytree(source, root / FOLDER / source.name)
        if then:
            then(place)

    return change


def on_board(then: Callable[[Path], object]) -> Change:
    """Change the folder of `toy`, which is on the board."""
    return lambda root, fresh: then(next((root / FOLDER).glob("toy--*"))) and None


def result(change: Callable[[dict], object]) -> Callable[[Path], None]:
    return lambda folder: edit(folder / RESULT, change)


def rows(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda folder: pq.write_table(change(pq.read_table(folder / PREDICTIONS)), folder / PREDICTIONS)


def keys(change: Callable[[list], list]) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        field = table.schema.field("key")
        return table.set_column(0, field, pa.array(change(table["key"].to_pylist()), field.type))

    return changed


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def in_root(name: str, content: bytes = b"{}") -> Change:
    def change(root: Path, fresh: SimpleNamespace) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return change


def both(*changes: Change) -> Change:
    return lambda root, fresh: [each(root, fresh) for each in changes] and None


def many(root: Path, fresh: SimpleNamespace) -> None:
    for index in range(21):
        shutil.copytree(fresh.good, root / FOLDER / f"x--{index:012x}")


def described(**said: str | None) -> Callable[[Path], None]:
    return lambda folder: edit(folder / DESCRIPTION, lambda told: told.update(said))


EVIL = "@everyone [click](https://evil.example) <img src=x onerror=alert(1)> `# x"
PROPOSALS = {
    "a good one": Proposal(put("good"), "may be merged", True),
    "no licence": Proposal(put("good", described(license=None)),
                           "states no licence", True),
    "a newer one": Proposal(put("newer"), "points of top-1 against", True),
    "withdrawn": Proposal(on_board(described(withdrawn="a bug")), "was withdrawn: a bug", True),
    "other predictions on the board": Proposal(
        both(on_board(lambda folder: shutil.rmtree(folder)), put("good")), "deletes submissions/toy--"),
    "a file of the board": Proposal(both(put("good"), in_root("README.md")), "touches README.md"),
    "the rules": Proposal(in_root("leaderboard.json"), "touches leaderboard.json"),
    "a record": Proposal(both(put("good"), in_root("reproduced/new.json")), "touches reproduced/new.json"),
    "a file too many": Proposal(put("good", write("run.py", b"")), "run.py: expected changes in submissions/ID/ only"),
    "nothing": Proposal(lambda root, fresh: None, "changes nothing"),
    "no schema": Proposal(put("good", write(RESULT, b"[]")), "result.json"),
    "a newer schema": Proposal(put("good", result(lambda said: said.update(schema_version=99))), "newer"),
    "a file is missing": Proposal(put("good", lambda folder: (folder / RESULT).unlink()), "'result.json' is missing"),
    "the same predictions": Proposal(put("copy"), "so it would be a duplicate"),
    "another split": Proposal(put("good", result(lambda said: said["dataset"].update(split="train"))),
                              "expected a result on split validation"),
    "another config": Proposal(put("good", result(lambda said: said["dataset"].update(config="guides"))),
                               "expected a result on"),
    "other images": Proposal(put("good", result(lambda said: said["dataset"].update(digest="0" * 64))),
                             "expected a result on digest"),
    "a missing key": Proposal(put("good", rows(lambda table: table.slice(1))), "has 119 predictions"),
    "a doubled key": Proposal(put("good", rows(keys(lambda names: [names[1], *names[1:]]))), "`predictions.parquet: "),
    "an unknown key": Proposal(put("good", rows(keys(lambda names: ["who", *names[1:]]))), "another key or none"),
    "a score": Proposal(put("good", result(lambda said: said["metrics"].update(top1=0.99))),
                        "metrics.top1 is 0.99, recomputed 0.7"),
    "the name of its folder": Proposal(put("good", lambda folder: folder.rename(folder.with_name("new--" + "0" * 12))),
                                       "expected its folder to be named new--"),
    "a look-alike": Proposal(put("alike"), "its name looks like that of toy--"),
    "an odd licence": Proposal(put("good", described(license="<b>")), "expected the name of a licence"),
    "replaces what is not there": Proposal(put("good", described(supersedes="none--" + "0" * 12)),
                                           "supersedes none--000000000000: expected the id"),
    "too large": Proposal(put("good", write(PREDICTIONS, bytes(1 << 21))), "predictions.parquet has 2,097,152 bytes"),
    "bf16": Proposal(put("good", result(lambda said: said["model"].update(precision="bf16"))), "a result in fp32"),
    "twenty-one": Proposal(lambda root, fresh: many(root, fresh), "touches 21 submissions, expected at most 20"),
    "Markdown of its own": Proposal(both(put("good", result(lambda said: said["model"].update(name=EVIL))),
                                         in_root(f"x/{EVIL.replace('/', '')}")), "a name of the model"),
}  # fmt: skip


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def difference(base: Path, proposed: Path) -> dict[str, bytes | None]:
    """Return the files that a proposed state adds, changes, and deletes (None)."""
    before, after = tree(base), tree(proposed)
    return {name: after.get(name) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
