"""Listing of photos in untrusted folders.

Symlink loops end, FIFOs are not opened, and a name that Parquet or JSON cannot store is a one-line error.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from d3s_dataset.errors import SourceError, one_line

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})


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
