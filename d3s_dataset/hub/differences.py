"""A shard as its difference from photos: noise without the photos; with them it gives the shard back.

The difference is the XOR of the shard's bytes and a stream that SHAKE-256 (FIPS 202) expands from the bytes of every
photo its rows name. A difference of pixels would show what it must hide: where JPEG rounds, the photo's edges; where an
image departs from its photo, the photo's negative. It would also come back as other bytes under another Pillow, libjpeg
or pyarrow, which this cannot.

A file of a difference is one line of JSON, `{"format": ..., "photos": [[role, name, SHA-256], ...]}`, then the XOR.
"""

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import PhotoError, ReleaseError
from d3s_dataset.manifest import Difference, Shard, open_shard
from d3s_dataset.utils.atomic import replacing
from d3s_dataset.utils.paths import inside

COLUMNS = {"foregrounds": "foreground_source", "backgrounds": "background_source"}  # of the photos of each role
_FORMAT = "d3s-difference-1"
_BLOCK = 1 << 20  # bytes of the stream that are expanded at a time
_MOST_HEADER = 1 << 28  # bytes; a million photos take half of it
# Digests are published, so the stream must not follow from them: its secret is another hash of the same bytes.
_SECRET = b"d3s difference: secret of a photo\0"


@dataclass(frozen=True)
class Photo:
    """A photo's file: role, name in its source, SHA-256, and what the stream is expanded from."""

    role: str
    name: str
    sha256: str
    secret: bytes


class Photos:
    """Photos by role and name; each file is read once.

    Args:
        roots: role (`foregrounds`, `backgrounds`) -> folder that the names are relative to.
    """

    def __init__(self, roots: Mapping[str, Path]) -> None:
        self.roots = dict(roots)
        self._read: dict[tuple[str, str], Photo] = {}

    def get(self, role: str, name: str) -> Photo:
        """Return a photo; raises PhotoError, which names it, where it is missing or cannot be read."""
        if (role, name) not in self._read:
            root = self.roots[role]
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts:  # names come from a downloaded file
                raise PhotoError(f"photo {name!r}: expected a path below --{role} {root}")
            self._read[role, name] = _read(root / name, role, name)
        return self._read[role, name]


def _read(path: Path, role: str, name: str) -> Photo:
    public, secret = hashlib.sha256(), hashlib.sha256(_SECRET)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would block
            raise PhotoError(f"photo {name}: {path} is no regular file")
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                public.update(block)
                secret.update(block)
    except OSError as error:
        raise PhotoError(f"photo {name} cannot be read: {path}: {error.strerror}: expected it below --{role}") from None
    return Photo(role, name, public.hexdigest(), secret.digest())


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["d3s-difference-1"]
    photos: Annotated[list[tuple[Literal["foregrounds", "backgrounds"], str, str]], Field(min_length=1)]


def subtract(release: Path, shard: Shard, photos: Photos, path: Path) -> bool:
    """Write a shard's difference from the photos of its rows to `path`, atomically; return whether it has any photo.

    Args:
        release: folder that holds the shard.
        shard: the shard.
        photos: photos of the roles that may not be passed on.
        path: the new file.

    Raises:
        PhotoError: a photo is missing or cannot be read.
        ReleaseError: the shard is damaged.
        WriteError: the disk is full, or the folder cannot be written.
    """
    source = manifests.verify(release, shard)
    used = [photos.get(role, name) for role in sorted(photos.roots) for name in _names(release, shard, role)]
    if not used:
        return False
    header = {"format": _FORMAT, "photos": [[each.role, each.name, each.sha256] for each in used]}
    with replacing(path) as temporary, temporary.open("wb") as sink, source.open("rb") as stream:
        sink.write(json.dumps(header).encode() + b"\n")
        sink.writelines(_mixed(stream, used, shard))
    return True


def restore(release: Path, difference: Difference, photos: Photos) -> None:
    """Write the shard that a difference and its photos give, atomically, after comparing its checksum.

    Args:
        release: folder that holds the difference, and gets the shard.
        difference: of the release's manifest.
        photos: the photos.

    Raises:
        PhotoError: names the first photo that is missing, or is not the one that the release was made from.
        ReleaseError: the difference is damaged, or needs photos of a role that has no folder.
        WriteError: the disk is full, or the folder cannot be written.
    """
    source, shard = manifests.verify(release, difference), difference.shard
    target, found = inside(release, shard.path), hashlib.sha256()
    with source.open("rb") as stream:
        used = [_expected(photos, *each) for each in _header(source, stream).photos]
        with replacing(target) as temporary, temporary.open("wb") as sink:
            for block in _mixed(stream, used, shard):
                found.update(block)
                sink.write(block)
            if found.hexdigest() != shard.sha256:
                raise ReleaseError(f"{source} and its photos do not give {shard.path}: expected SHA-256 {shard.sha256}")


def _names(release: Path, shard: Shard, role: str) -> list[str]:
    column: list[str | None] = open_shard(release, shard).read([COLUMNS[role]])[COLUMNS[role]].to_pylist()
    return sorted({name for name in column if name is not None})


def _header(path: Path, stream: BinaryIO) -> _Header:
    try:
        return _Header.model_validate_json(stream.readline(_MOST_HEADER))
    except ValidationError as error:
        first: Any = error.errors()[0]
        raise ReleaseError(f"{path} cannot be read as a difference: {first['msg']}") from None


def _expected(photos: Photos, role: str, name: str, sha256: str) -> Photo:
    if role not in photos.roots:
        raise ReleaseError(f"the release was made from {role} as well: type --{role} DIR, with photo {name} below it")
    photo = photos.get(role, name)
    if photo.sha256 != sha256:
        raise PhotoError(
            f"photo {name} below --{role} {photos.roots[role]} is not the one that the release was made from: expected "
            f"SHA-256 {sha256[:16]}, got {photo.sha256[:16]}"
        )
    return photo


def _mixed(stream: BinaryIO, photos: Sequence[Photo], shard: Shard) -> Iterator[bytes]:
    """Yield the XOR of a stream's bytes and the pad; applied twice it gives them back."""
    # With the shard's own digest, no two contents share a pad: the XOR of two releases' differences is noise too.
    key = hashlib.sha256(b"".join(each.secret for each in photos) + bytes.fromhex(shard.sha256)).digest()
    number = 0
    while block := stream.read(_BLOCK):
        pad = hashlib.shake_256(key + number.to_bytes(8, "big")).digest(len(block))
        yield (np.frombuffer(block, np.uint8) ^ np.frombuffer(pad, np.uint8)).tobytes()
        number += 1
