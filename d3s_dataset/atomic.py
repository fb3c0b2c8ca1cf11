"""Files that appear whole or not at all: a reader, or a crash, sees the old content or the new, never a part."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from d3s_dataset.errors import WriteError, one_line


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file to write; when the block ends well it is synced and renamed to `path`.

    Raises:
        WriteError: the disk is full, or the folder cannot be made or written; nothing half-written is kept.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        # mkstemp makes private files; ours are for everybody the umask allows.
        os.fchmod(descriptor, 0o666 & ~_umask())
        os.close(descriptor)
        yield temporary
        _sync(temporary)
        publish(temporary, path)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}; nothing half-written was kept") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; when the block ends well it is renamed to `path`, which must not be there.

    Raises:
        WriteError: the disk is full, or the folder cannot be made; nothing is left of it.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes private folders
        yield temporary
        publish(temporary, path)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {one_line(error)}; nothing half-written was kept") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def write_atomic(path: Path, content: bytes | memoryview) -> None:
    """Write a file's content atomically; raises WriteError like `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def publish(temporary: Path, path: Path) -> None:
    """Rename a synced file or folder into place, and sync the parent, so that the name survives a power cut."""
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
