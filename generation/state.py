"""What of a release is finished: read from disk, so that any run can go on where another stopped.

While a release is being made, `<out>/.work/` holds `plan.json` (whose release this is) and one small entry per
finished shard, written after the shard itself. When all are there, the card and then the manifest are written, and
`.work` goes. A folder is one recipe's: another recipe, or another shard size, is refused.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from d3s_dataset import manifest as manifests
from d3s_dataset.atomic import write_atomic
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Failure, Shard, load_model, shard_path, to_json
from generation.plan import Plan

WORK = ".work"


class Begun(BaseModel):
    """Whose release a folder is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    recipe: str
    plan_digest: str
    shard_rows: int
    limit: int


class Entry(BaseModel):
    """One finished shard: what was written, which of its planned rows failed, and the versions that made it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shard: Shard
    failures: list[Failure]
    environment: dict[str, str]

    @property
    def planned(self) -> int:
        """Rows that the plan had for this shard when it was made."""
        return self.shard.rows + len(self.failures)


@dataclass(frozen=True)
class Task:
    """One shard to make: rows `start` to `stop` of a split, file `index` of `count`."""

    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def path(self) -> str:
        """The shard's path inside the release."""
        return shard_path("default", self.split, self.index, self.count)


def tasks(plan: Plan, limit: int, shard_rows: int) -> list[Task]:
    """Return all shards of the first `limit` rows of a plan."""
    found = []
    for split, rows in plan.split_rows(limit).items():
        count = -(-rows // shard_rows)
        found += [Task(split, i, count, i * shard_rows, min((i + 1) * shard_rows, rows)) for i in range(count)]
    return found


class State:
    """A release in the making: `begin`, then `pending` and `finish_shard`, then `close`.

    Args:
        out: the release's folder.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.work = out, out / WORK

    def begin(self, begun: Begun) -> bool:
        """Take the folder for a plan, or go on with it; return whether the release is finished already.

        Raises:
            ReleaseError: the folder holds something else, or a larger part of this release.
        """
        held = self._held()
        if held is None and self.out.is_dir() and any(path != self.work for path in self.out.iterdir()):
            raise ReleaseError(f"--out {self.out} is not empty and holds no release: expected a new or empty folder")
        if held is not None:
            self._refuse_other(held, begun)
        if (self.out / manifests.FILE_NAME).exists():
            manifest = manifests.read(self.out)
            whole = all(self._whole(shard) for shard in manifest.shards)
            if whole and manifest.limit == begun.limit and not manifest.failures:
                self.close()
                return True
            self._reopen(manifest)
        write_atomic(self.work / "plan.json", to_json(begun))
        (self.out / manifests.FILE_NAME).unlink(missing_ok=True)
        return False

    def _held(self) -> Begun | None:
        if (self.work / "plan.json").is_file():
            return load_model(Begun, self.work / "plan.json")
        if (self.out / manifests.FILE_NAME).is_file():
            held = manifests.read(self.out)
            same = {"plan_digest": held.plan_digest, "shard_rows": held.shard_rows, "limit": held.limit}
            return Begun(recipe=held.recipe["name"], **same)
        return None

    def _refuse_other(self, held: Begun, wanted: Begun) -> None:
        if held.plan_digest != wanted.plan_digest:
            other = " with other settings or photos" if held.recipe == wanted.recipe else ""
            raise ReleaseError(
                f"--out {self.out} holds a release of recipe {held.recipe!r}{other}: expected a new folder, or the "
                "command that made it"
            )
        if held.shard_rows != wanted.shard_rows:
            begun = f"--out {self.out} was begun with --shard-rows {held.shard_rows}"
            raise ReleaseError(f"{begun}: expected the same, got {wanted.shard_rows}")
        if held.limit > wanted.limit:
            raise ReleaseError(
                f"--out {self.out} was begun with {held.limit} rows, and a release can only grow: expected --limit "
                f"{held.limit} or more, got {wanted.limit}"
            )

    def _reopen(self, manifest: manifests.Manifest) -> None:
        """Turn a finished release back into entries, so that a larger limit keeps what is made."""
        for shard in manifest.shards:
            failed = [each for each in manifest.failures if each.split == shard.split]
            own = [each for each in failed if each.index // manifest.shard_rows == shard.index]
            self._write_entry(Entry(shard=shard, failures=own, environment=manifest.environment))

    def rename(self, wanted: list[Task]) -> None:
        """Give the shards on disk the names of a plan with another number of shards."""
        names = {(task.split, f"{task.index:05d}"): self.out / task.path for task in wanted}
        for path in sorted(self.out.glob("data/*-of-*.parquet")):
            split, index, _, _ = path.stem.rsplit("-", 3)
            if (split, index) in names:
                path.rename(names[split, index])

    def entries(self, wanted: list[Task]) -> dict[Task, Entry]:
        """Return the finished shards among `wanted`; a shard whose file is gone or cut short is not finished."""
        found = {}
        for task in wanted:
            path = self._entry_path(task.split, task.index)
            if path.is_file():
                entry = load_model(Entry, path)
                shard = entry.shard.model_copy(update={"path": task.path})
                if self._whole(shard) and entry.planned == task.stop - task.start:
                    found[task] = entry.model_copy(update={"shard": shard})
        return found

    def finish_shard(
        self, task: Task, size: int, sha256: str, rows: int, failures: list[Failure], environment: dict[str, str]
    ) -> None:
        """Record a shard that lies on disk."""
        shard = Shard(path=task.path, config="default", split=task.split, index=task.index, rows=rows, bytes=size,
                      sha256=sha256)  # fmt: skip
        self._write_entry(Entry(shard=shard, failures=failures, environment=environment))

    def abandon(self) -> None:
        """Give the folder up again if nothing has been made in it yet."""
        if not any(self.work.glob("*-*.json")) and not (self.out / "data").exists():
            shutil.rmtree(self.work, ignore_errors=True)

    def close(self) -> None:
        """Remove the working entries, whose place the manifest has taken, and what a killed run left half-written."""
        for name in ("README.md", "CITATION.cff", manifests.FILE_NAME, "data/*.parquet"):
            parent, _, last = name.rpartition("/")
            for left in (self.out / parent).glob(f".{last}.*"):
                left.unlink()
        shutil.rmtree(self.work, ignore_errors=True)

    def _whole(self, shard: Shard) -> bool:
        path = self.out / shard.path
        return path.is_file() and path.stat().st_size == shard.bytes

    def _entry_path(self, split: str, index: int) -> Path:
        return self.work / f"{split}-{index:05d}.json"

    def _write_entry(self, entry: Entry) -> None:
        write_atomic(self._entry_path(entry.shard.split, entry.shard.index), to_json(entry))
