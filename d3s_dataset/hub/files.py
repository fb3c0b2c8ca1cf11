"""A file of a Hub repo, with the two checksums that the Hub lists."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """One file: path in the repo, local path or bytes, size in bytes and SHA-256."""

    path: str
    source: Path | bytes
    size: int
    sha256: str

    @cached_property
    def git_oid(self) -> str:
        """Git's blob SHA-1 of the content, which the Hub lists for files outside LFS."""
        hashed = hashlib.sha1(b"blob %d\0" % self.size)
        for chunk in chunks(self.source):
            hashed.update(chunk)
        return hashed.hexdigest()


def file_of(path: str, content: bytes) -> File:
    """Return a file that is held in memory."""
    return File(path, content, len(content), hashlib.sha256(content).hexdigest())


def chunks(source: Path | bytes) -> Iterable[bytes]:
    """Yield the bytes of a file piece by piece."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
