"""One run per release: a file lock that the kernel releases when its holder dies.

Not filelock: parallel parts share one lock (LOCK_SH), and a file system without locks must warn and go on.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from d3s_dataset.errors import ReleaseError, WriteError
from d3s_dataset.utils.cli import warn


@contextmanager
def sole_run(out: Path, work: Path, part: tuple[int, int] | None) -> Iterator[None]:
    """Lock a release's folder for one run, or for one of several parallel parts, until the block ends.

    Raises:
        ReleaseError: another run has it.
        WriteError: the folder cannot be created.
    """
    busy = f"another run is making --out {out}: wait for it, or stop it"
    with ExitStack() as held:
        held.enter_context(_flock(work / "run.lock", fcntl.LOCK_SH if part else fcntl.LOCK_EX, busy))
        if part:
            which = f"{part[0]}-of-{part[1]}"
            held.enter_context(_flock(work / f"part-{which}.lock", fcntl.LOCK_EX, busy))
        yield


@contextmanager
def one_at_a_time(work: Path) -> Iterator[None]:
    """Serialise access to the folder's state by parts that start together."""
    with _flock(work / "begin.lock", fcntl.LOCK_EX, None):
        yield


@contextmanager
def _flock(path: Path, kind: int, busy: str | None) -> Iterator[None]:
    """Hold a file's lock; `busy` is the error message if another run has it, None waits for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise WriteError(f"cannot write {path.parent.parent}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, kind if busy is None else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ReleaseError(str(busy)) from None
    except OSError as error:
        warn(f"{path.parent}: this file system has no locks ({error.strerror}): make sure that no other run uses it")
    try:
        yield
    finally:
        os.close(descriptor)
