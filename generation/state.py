"""What of a release is finished: read from disk, so that any run can go on where another stopped.

While a release is being made, `<out>/.work/` holds `plan.json` (whose release this is), one small entry per finished
shard, written after the shard itself, and what a stopped run had made of unfinished ones. When all are there, the card
and then the manifest are written, and `.work` goes. A folder is one recipe's: another recipe, or another shard size, is
refused.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from d3s_dataset import manifest as manifests
from d3s_dataset.atomic import write_atomic
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Failure, Manifest, Shard, load_model, to_json
from generation.tasks import Task

WORK = ".work"


class Begun(BaseModel):
    """Whose release a folder is, and how far it is to go."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    recipe: str
    plan_digest: str
    shard_rows: int
    limit: int
    resample: int = 0


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


class State:
    """A release in the making: `begin`, then `entries` and `finish_shard`, then `close`.

    Args:
        out: the release's folder.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.work = out, out / WORK

    def check(self, begun: Begun) -> Manifest | None:
        """Return the manifest of a release that is finished as far as wanted, failed rows aside; change nothing.

        Raises:
            ReleaseError: the folder holds something else, or a larger part of this release.
        """
        held = self.held()
        if held is None and self.out.is_dir() and any(path != self.work for path in self.out.iterdir()):
            raise ReleaseError(f"--out {self.out} is not empty and holds no release: expected a new or empty folder")
        if held is not None:
            self._refuse_other(held, begun)
        if not (self.out / manifests.FILE_NAME).exists():
            return None
        manifest = manifests.read(self.out)
        whole = all(self._whole(shard) for shard in manifest.shards)
        enough = manifest.limit == begun.limit and manifest.resample >= begun.resample
        return manifest if whole and enough else None

    def begin(self, begun: Begun) -> Begun:
        """Take the folder for a plan that `check` has let pass, or go on with it; return how far it is to go."""
        held = self.held()
        if held is not None:
            begun = begun.model_copy(update={"resample": max(held.resample, begun.resample)})
        if (self.out / manifests.FILE_NAME).exists():
            self._reopen(manifests.read(self.out))
        write_atomic(self.work / "plan.json", to_json(begun))
        (self.out / manifests.FILE_NAME).unlink(missing_ok=True)
        return begun

    def held(self) -> Begun | None:
        """Return whose release the folder is and how far it was to go, or None where it holds none."""
        if (self.work / "plan.json").is_file():
            return load_model(Begun, self.work / "plan.json")
        if (self.out / manifests.FILE_NAME).is_file():
            held = manifests.read(self.out)
            same = {name: getattr(held, name) for name in ("plan_digest", "shard_rows", "limit", "resample")}
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

    def _reopen(self, manifest: Manifest) -> None:
        """Turn a finished release back into entries, so that a larger limit keeps what is made."""
        failed: dict[tuple[str, str, int], list[Failure]] = {}
        for each in manifest.failures:
            failed.setdefault((each.config, each.split, each.index // manifest.shard_rows), []).append(each)
        for shard in manifest.shards:
            own = failed.get((shard.config, shard.split, shard.index), [])
            self._write_entry(Entry(shard=shard, failures=own, environment=manifest.environment))

    def rename(self, wanted: Iterable[Task]) -> None:
        """Give the shards on disk the names of a plan with another number of shards."""
        there = {path.relative_to(self.out).as_posix() for path in self.out.glob("*/*-of-*.parquet")}
        by_stem = {path.rpartition("-of-")[0]: path for path in there}
        for task in wanted:
            old = by_stem.get(task.path.rpartition("-of-")[0])
            if old is not None and task.path not in there:
                (self.out / old).rename(self.out / task.path)

    def entries(self, wanted: Iterable[Task]) -> dict[Task, Entry]:
        """Return the finished shards among `wanted`; a shard whose file is gone or cut short is not finished."""
        found = {}
        for task in wanted:
            path = self._entry_path(task.name)
            if path.is_file():
                entry = load_model(Entry, path)
                shard = entry.shard.model_copy(update={"path": task.path})
                if self._whole(shard) and entry.planned == task.stop - task.start:
                    found[task] = entry.model_copy(update={"shard": shard})
        return found

    def failures(self, task: Task) -> dict[str, Failure]:
        """Return which rows of a shard failed when it was last written, by key."""
        path = self._entry_path(task.name)
        return {each.key: each for each in load_model(Entry, path).failures} if path.is_file() else {}

    def finish_shard(
        self, task: Task, size: int, sha256: str, rows: int, failures: list[Failure], environment: dict[str, str]
    ) -> None:
        """Record a shard that lies on disk."""
        shard = Shard(path=task.path, config=task.config, split=task.split, index=task.index, rows=rows, bytes=size,
                      sha256=sha256)  # fmt: skip
        self._write_entry(Entry(shard=shard, failures=failures, environment=environment))
        self.partial(task).unlink(missing_ok=True)

    def forget(self, task: Task) -> None:
        """Take a shard for unfinished until it is recorded again."""
        self._entry_path(task.name).unlink(missing_ok=True)

    def partial(self, task: Task) -> Path:
        """Return where a stopped run keeps what it had made of an unfinished shard."""
        return self.work / f"{task.name}.parquet"

    def abandon(self) -> None:
        """Give the folder up again if nothing has been made in it yet."""
        made = [*self.work.glob("*-*-[0-9]*.json"), *self.work.glob("*.parquet")]
        if not made:
            shutil.rmtree(self.work, ignore_errors=True)

    def close(self) -> None:
        """Remove the working entries, whose place the manifest has taken, and what a killed run left half-written."""
        for pattern in (".README.md.*", ".CITATION.cff.*", f".{manifests.FILE_NAME}.*", "*/.*.parquet.*"):
            for left in self.out.glob(pattern):
                left.unlink()
        shutil.rmtree(self.work, ignore_errors=True)

    def _whole(self, shard: Shard) -> bool:
        path = self.out / shard.path
        return path.is_file() and path.stat().st_size == shard.bytes

    def _entry_path(self, name: str) -> Path:
        return self.work / f"{name}.json"

    def _write_entry(self, entry: Entry) -> None:
        shard = entry.shard
        write_atomic(self._entry_path(f"{shard.config}-{shard.split}-{shard.index:05d}"), to_json(entry))
