"""Changes that a pull request makes to a board, by path: in two folders, or in two commits of a repo on the Hub.

A path and a name come from a stranger: nothing is read through a link, nothing is hashed that is larger than what it
would replace, and only what has the name of a submission's file is looked at further.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.board.submission import FILES, FOLDER
from d3s_dataset.hub.repo import Remote
from d3s_dataset.identity import file_digest

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}--[0-9a-f]{12}", re.ASCII)
_OURS = {".git", ".cache"}  # folders of git and of the Hub's client, which are no part of a board


@dataclass(frozen=True)
class Changes:
    """Paths that a pull request adds, changes and deletes, each sorted."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """Submissions that it adds or changes a file of."""
        return sorted({found for path in (*self.added, *self.changed) if (found := id_in(path))})

    @property
    def faults(self) -> list[str]:
        """Sentences on what no pull request may do: touch what is no submission's file, or delete anything."""
        strays = [path for path in (*self.added, *self.changed) if id_in(path) is None]
        wanted = f"expected changes in {FOLDER}/ID/ only, of {', '.join(FILES)}"
        return [f"touches {path}: {wanted}" for path in strays] + [
            f'deletes {path}: a submission stays; to withdraw one, add "withdrawn" to its model.json'
            for path in self.deleted
        ]


def id_in(path: str) -> str | None:
    """Return the submission that a path is a file of, or None."""
    parts = path.split("/")
    if len(parts) != 3 or parts[0] != FOLDER or parts[2] not in FILES:
        return None
    return parts[1] if _ID.fullmatch(parts[1]) else None


def between_folders(base: Path, proposed: Path) -> Changes:
    """Return what a proposed state of a board's folder changes."""
    before, after = dict(_files(base)), dict(_files(proposed))
    differ = (path for path in before.keys() & after.keys() if not _same(before[path], after[path]))
    return _changes(before, after, set(differ))


def between_commits(base: Remote, proposed: Remote) -> Changes:
    """Return what a commit changes since another one."""
    differ = {path for path in base.files.keys() & proposed.files.keys() if base.files[path] != proposed.files[path]}
    return _changes(base.files, proposed.files, differ)


def _changes(before: Mapping[str, object], after: Mapping[str, object], differ: set[str]) -> Changes:
    return Changes(
        tuple(sorted(after.keys() - before.keys())), tuple(sorted(differ)), tuple(sorted(before.keys() - after.keys()))
    )


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield all that is no folder below a folder, by its path there; links are not followed."""
    for folder, names, files in os.walk(root):
        place = Path(folder)
        links = [each for each in names if (place / each).is_symlink()]
        names[:] = [each for each in names if each not in links and not (place == root and each in _OURS)]
        for name in (*files, *links):
            if not (place == root and name in _OURS):  # of a git worktree, `.git` is a file
                yield (place / name).relative_to(root).as_posix(), place / name


def _same(one: Path, other: Path) -> bool:
    before, after = one.lstat(), other.lstat()
    if not stat.S_ISREG(before.st_mode) or not stat.S_ISREG(after.st_mode):
        return False
    return before.st_size == after.st_size and file_digest(one) == file_digest(other)
