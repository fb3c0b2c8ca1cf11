"""Names and paths from untrusted files, and listing of photos in untrusted folders.

Every name in a manifest, and every file that is opened or written under such a name, goes through here. Symlink loops
end, FIFOs are not opened, and a name that Parquet or JSON cannot store is a one-line error. Also the folder of caches.
"""

import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from d3s_dataset.errors import ReleaseError, SourceError, one_line

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})


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


def photos(folder: Path, prefix: str = "") -> list[str]:
    """Return the files below a folder that are named as photos, sorted, as paths inside it with `/`.

    Linked folders are followed, each real folder once: a photo that two links reach is one photo; links to a folder
    that holds this one are not. What is named as a
    photo and is none (a FIFO, a broken link) is listed too: reading it is what fails.

    Args:
        folder: where to look; one that is missing, or no folder, holds no photo.
        prefix: goes before each path.

    Raises:
        SourceError: a folder that cannot be listed, or a photo whose name is not UTF-8.
    """
    return sorted(_walk(folder, prefix)) if folder.is_dir() else []


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; raises SourceError where it cannot be listed."""
    return sorted(utf8_name(entry.name) for entry in _new_entries(str(folder), set()) if _is_folder(entry))


def utf8_name(name: str) -> str:
    """Return a file or folder name; raise SourceError where it is not UTF-8, and so can be written to no file."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise SourceError(f"the name {shown!r} is not UTF-8: expected another; rename it") from None
    return name


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    # A link up to a folder that holds this one would give its neighbours' photos this one's label.
    seen = {_identity(str(parent)) for parent in folder.resolve().parents}
    waiting = deque([(str(folder), prefix)])
    while waiting:
        # Nearest first, real folders before links: the name of a photo does not depend on the disk's order.
        place, before = waiting.popleft()
        entries = _new_entries(place, seen)
        folders = sorted((entry.is_symlink(), entry.name) for entry in entries if _is_folder(entry))
        names = {name for _, name in folders}
        for entry in entries:
            if entry.name not in names and os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - a million Path objects cost 3 s
                yield utf8_name(f"{before}{entry.name}")
        waiting += [(f"{place}/{name}", f"{before}{name}/") for _, name in folders]


def _new_entries(place: str, seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """Return what lies in a folder; nothing where it was listed before."""
    try:
        if (identity := _identity(place)) in seen:
            return []
        seen.add(identity)
        with os.scandir(place) as entries:
            return list(entries)
    except OSError as error:
        shown = place.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise SourceError(f"{shown} cannot be listed: {error.strerror or one_line(error)}") from None


def _identity(place: str) -> tuple[int, int]:
    facts = os.stat(place)  # noqa: PTH116 - a million Path objects cost 3 s
    return facts.st_dev, facts.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def cache_folder() -> Path:
    """Return the folder of what can be computed again: `D3S_CACHE`, else `d3s` in the user's cache folder (XDG).

    Not platformdirs': as the Hub's, the cache has one place on every system.
    """
    named = os.environ.get("D3S_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "d3s"
