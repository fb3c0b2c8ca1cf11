"""Validation of names and paths from untrusted files.

Every name in a manifest, and every file that is opened or written under such a name, goes through here.
"""

import re
import stat
from pathlib import Path

from d3s_dataset.errors import ReleaseError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def is_name(text: str) -> bool:
    """Return whether a text can name a config, a split, a row or a file everywhere: [A-Za-z0-9_.-], not dots alone."""
    return bool(_NAME.fullmatch(text)) and text.strip(".") != ""


def is_canonical(relative: str) -> bool:
    """Return whether a text is a relative POSIX path of plain names (`is_name`): no `..`, no empty part."""
    return all(is_name(part) for part in relative.split("/"))


def inside(folder: Path, relative: str) -> Path:
    """Return the path of a file below a folder, whether it exists or not.

    A link may lead elsewhere in the folder. In the Hub client's cache (`datasets--ORG--NAME/snapshots/COMMIT`) every
    file is a link to `datasets--ORG--NAME/blobs`, which counts as inside.

    Args:
        folder: a release, or a folder that one is written to.
        relative: canonical (`is_canonical`), for example `data/train-00000-of-00001.parquet`.

    Raises:
        ReleaseError: another form of path, or a link that leads out of the folder, or in a circle.
    """
    if not is_canonical(relative):
        raise ReleaseError(f"{folder}: expected the path of a file below it, of plain names, got {relative[:200]!r}")
    path = folder / relative
    try:
        root, target = folder.resolve(), path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, up to Python 3.12
        raise ReleaseError(f"{path} cannot be resolved: expected a file, got links in a circle") from None
    if not any(target.is_relative_to(allowed) for allowed in _allowed(root)):
        raise ReleaseError(f"{path} is a link that leads out of {folder}: expected a file inside it")
    return path


def regular(folder: Path, relative: str, size: int | None = None) -> Path:
    """Return the path of a regular file below a folder, after checking its size where known.

    Nothing is opened: a named pipe would block, and a device never ends.

    Raises:
        ReleaseError: as `inside`; no such file, no regular file, or one of another size in bytes.
    """
    path = inside(folder, relative)
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ReleaseError(f"{path}: missing") from None
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise ReleaseError(f"{path} is no regular file")
    if size is not None and found.st_size != size:
        raise ReleaseError(f"{path}: expected {size:,} bytes, got {found.st_size:,} (is it cut short?)")
    return path


def _allowed(root: Path) -> list[Path]:
    cache = root.parent.parent
    snapshot = root.parent.name == "snapshots" and "--" in cache.name
    return [root, cache / "blobs"] if snapshot else [root]
