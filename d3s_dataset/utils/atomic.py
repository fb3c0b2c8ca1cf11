"""Files that appear whole or not at all: a reader, or a crash, sees the old content or the new, never a part."""

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from d3s_dataset.errors import WriteError, one_line


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary file to write; when the block ends well it is synced and renamed to `path`.

    Raises:
        WriteError: the disk is full, or the folder cannot be made or written; nothing half-written is kept.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        # Not mkstemp, whose files are private: ours are for everybody the umask allows, and the kernel applies it
        # here. Reading it with os.umask would change it for all threads of the process.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        _sync(temporary)
        publish(temporary, path)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}; nothing half-written was kept") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """Yield a temporary folder to fill; when the block ends well it is renamed to `path`, which must not be there.

    Raises:
        WriteError: the disk is full, or the folder cannot be made; nothing is left of it.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        temporary.mkdir()
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


def _beside(path: Path) -> Path:
    """Return a new name in the same folder: hidden, drawn from 64 bits, so that no two writers share it."""
    return path.parent / f".{path.name[:200]}.{secrets.token_hex(8)}"
