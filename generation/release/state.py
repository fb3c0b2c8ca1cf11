"""State of an unfinished release on disk, from which any run can resume.

While a release is being made, `<out>/.work/` holds `plan.json` (recipe and plan digest), one small entry per finished
shard, written after the shard itself, and the partial rows of unfinished shards. When all are complete, the card and
then the manifest are written, and `.work` is removed. A folder belongs to one recipe: another recipe, or another shard
size, is an error.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Failure, Manifest, Shard, load_model, locate, to_json, verify
from d3s_dataset.schema import column_names
from d3s_dataset.utils.atomic import write_atomic
from generation.release.shards import Task

WORK = ".work"
# Entries and partial rows of shards, locks, and temporary files of a killed run (`d3s_dataset.utils.atomic`).
_OWN = re.compile(
    r"\.?(plan\.json|[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-\d{5,}\.(json|parquet)|[a-z]+(-\d+-of-\d+)?\.lock)(\.\w+)?"
)


class Begun(BaseModel):
    """Recipe and settings of the release in a folder (plan.json)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    recipe: str
    plan_digest: str
    shard_rows: int
    limit: int
    resample: int = 0


class Entry(BaseModel):
    """One finished shard: file, failed rows, and the versions that made it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shard: Shard
    failures: list[Failure]
    environment: dict[str, str]

    @property
    def planned(self) -> int:
        """Number of planned rows of this shard when it was made."""
        return self.shard.rows + len(self.failures)


class State:
    """State of an unfinished release: `begin`, then `entries` and `finish_shard`, then `close`.

    Args:
        out: folder of the release.
        verifies: compare the recorded checksum of finished shards, not only the size.
    """

    def __init__(self, out: Path, verifies: bool = False) -> None:
        self.out, self.work, self.verifies = out, out / WORK, verifies
        self._verified: set[tuple[str, str, int]] = set()  # shards that were read once

    def check(self, begun: Begun) -> Manifest | None:
        """Return the manifest of a release that is complete up to the limit, failed rows aside; read-only.

        Raises:
            ReleaseError: the folder holds something else, or a larger part of this release.
        """
        self._refuse_foreign()
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

    def _refuse_foreign(self) -> None:
        """Raise ReleaseError where `.work` holds foreign files, since it will be cleared."""
        if self.work.is_symlink() or (self.work.exists() and not self.work.is_dir()):
            raise ReleaseError(f"{self.work} is a link or a file: expected a folder, or nothing")
        foreign = [path.name for path in self.work.glob("*") if path not in self._own()]
        if foreign:
            raise ReleaseError(
                f"{self.work} holds {min(foreign)!r}, which no run has written: expected a new or empty --out"
            )

    def _own(self) -> set[Path]:
        """Return the files in `.work` that runs write, matched by name."""
        found = {path for path in self.work.glob("*") if path.is_file() and not path.is_symlink()}
        return {path for path in found if _OWN.fullmatch(path.name)}

    def _clear(self) -> None:
        """Remove `.work` and the files of runs in it; the folder stays where it holds anything else."""
        for path in self._own():
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.work.rmdir()

    def begin(self, begun: Begun) -> Begun:
        """Start or resume a plan that passed `check`; return its settings.

        Raises:
            ReleaseError: a version with other columns made what is there.
        """
        self._refuse_other_columns()
        held = self.held()
        if held is not None:
            begun = begun.model_copy(update={"resample": max(held.resample, begun.resample)})
        if (self.out / manifests.FILE_NAME).exists():
            self._reopen(manifests.read(self.out))
        write_atomic(self.work / "plan.json", to_json(begun))
        (self.out / manifests.FILE_NAME).unlink(missing_ok=True)
        return begun

    def held(self) -> Begun | None:
        """Return the recipe and settings of the release in the folder, or None."""
        if (self.work / "plan.json").is_file():
            return load_model(Begun, self.work / "plan.json")
        if (self.out / manifests.FILE_NAME).is_file():
            held = manifests.read(self.out)
            same = {name: getattr(held, name) for name in ("plan_digest", "shard_rows", "limit", "resample")}
            return Begun(recipe=str(held.recipe.get("name")), **same)
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

    def _refuse_other_columns(self) -> None:
        """Raise ReleaseError where shards of another version are here: a release has the same columns everywhere."""
        for path in sorted(self.out.glob("data/*-of-*.parquet"))[:1]:
            try:
                names = pq.read_schema(path).names
            except (OSError, pa.ArrowInvalid):  # one cut short is made again
                return
            other = [name for name in column_names() if name not in names]
            if other:
                raise ReleaseError(
                    f"--out {self.out} was begun by a version without the column {', '.join(other)}: expected a new "
                    "folder, or the version that began it"
                )

    def _reopen(self, manifest: Manifest) -> None:
        """Turn a finished release back into entries, so that a larger limit keeps its shards."""
        failed: dict[tuple[str, str, int], list[Failure]] = {}
        for each in manifest.failures:
            failed.setdefault((each.config, each.split, each.index // manifest.shard_rows), []).append(each)
        for shard in manifest.shards:
            own = failed.get((shard.config, shard.split, shard.index), [])
            self._write_entry(Entry(shard=shard, failures=own, environment=manifest.environment))

    def rename(self, wanted: Iterable[Task]) -> None:
        """Rename the shards on disk for a plan with another number of shards."""
        there = {path.relative_to(self.out).as_posix() for path in self.out.glob("*/*-of-*.parquet")}
        by_stem = {path.rpartition("-of-")[0]: path for path in there}
        for task in wanted:
            old = by_stem.get(task.path.rpartition("-of-")[0])
            if old is not None and task.path not in there:
                (self.out / old).rename(self.out / task.path)

    def entries(self, wanted: Iterable[Task]) -> dict[Task, Entry]:
        """Return the finished shards among `wanted`; a shard with a missing or truncated file is not finished."""
        found = {}
        for task in wanted:
            path = self._entry_path(task.name)
            if path.is_file():
                entry = load_model(Entry, path)
                shard = entry.shard.model_copy(update={"path": task.path})
                if self._whole(shard) and entry.planned == task.stop - task.start:
                    found[task] = entry.model_copy(update={"shard": shard})
        return found

    def damaged(self, task: Task) -> bool:
        """Return whether a shard's file differs from its recorded checksum; False unless `verifies`."""
        path = self._entry_path(task.name)
        if not (self.verifies and path.is_file()):
            return False
        return not self._whole(load_model(Entry, path).shard.model_copy(update={"path": task.path}))

    def failures(self, task: Task) -> dict[str, Failure]:
        """Return the failures of a shard's last write, by key."""
        path = self._entry_path(task.name)
        return {each.key: each for each in load_model(Entry, path).failures} if path.is_file() else {}

    def finish_shard(
        self, task: Task, size: int, sha256: str, rows: int, failures: list[Failure], environment: dict[str, str]
    ) -> None:
        """Record a shard that is on disk."""
        shard = Shard(path=task.path, config=task.config, split=task.split, index=task.index, rows=rows, bytes=size,
                      sha256=sha256)  # fmt: skip
        self._write_entry(Entry(shard=shard, failures=failures, environment=environment))
        self.partial(task).unlink(missing_ok=True)

    def forget(self, task: Task) -> None:
        """Mark a shard as unfinished until it is recorded again."""
        self._entry_path(task.name).unlink(missing_ok=True)

    def partial(self, task: Task) -> Path:
        """Return the path of the partial rows of an unfinished shard."""
        return self.work / f"{task.name}.parquet"

    def abandon(self) -> None:
        """Clear the folder if nothing has been made in it yet."""
        made = [*self.work.glob("*-*-[0-9]*.json"), *self.work.glob("*.parquet")]
        if not made:
            self._clear()

    def close(self) -> None:
        """Remove the entries, which the manifest replaces, and temporary files of killed runs."""
        for pattern in (".README.md.*", ".CITATION.cff.*", f".{manifests.FILE_NAME}.*", "*/.*.parquet.*"):
            for left in self.out.glob(pattern):
                left.unlink()
        self._clear()

    def _whole(self, shard: Shard) -> bool:
        try:
            path = locate(self.out, shard)
            read = (shard.path, shard.sha256, path.stat().st_mtime_ns)
            if self.verifies and read not in self._verified:
                verify(self.out, shard)
                self._verified.add(read)
        except (ReleaseError, OSError):
            return False
        return True

    def _entry_path(self, name: str) -> Path:
        return self.work / f"{name}.json"

    def _write_entry(self, entry: Entry) -> None:
        shard = entry.shard
        write_atomic(self._entry_path(f"{shard.config}-{shard.split}-{shard.index:05d}"), to_json(entry))
