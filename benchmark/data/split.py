"""The images and labels of one split, read from a release's Parquet shards; the flags that name it.

Read with pyarrow, because `datasets` is not on every machine that has a GPU. Needs no torch, so that a missing dataset
is an error before torch is loaded. Memory holds one row group of images, however many there are.
"""

from argparse import ArgumentParser
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.cache.cache import Cache
from benchmark.data.factors import factors
from benchmark.schemas import result
from benchmark.schemas.predictions import Answers, Predictions, replaced
from d3s_dataset.errors import ReleaseError, one_line
from d3s_dataset.identity import digest
from d3s_dataset.load import check_split, fetch, resolve
from d3s_dataset.manifest import Manifest, locate, verified_fraction
from d3s_dataset.utils.cli import natural

_LABELS = ("key", "foreground", "background", "foreground_source", "background_source", "verified")
_READ = 16  # images read at a time, so that decoding starts at once


@dataclass(frozen=True)
class Split:
    """One split of a release on disk: its manifest, its shards, and how many of its images are used."""

    manifest: Manifest
    config: str
    name: str
    revision: str | None
    paths: tuple[Path, ...]
    rows: tuple[int, ...]  # of each shard
    n: int

    @cached_property
    def labels(self) -> pa.Table:
        """All columns but the image, of the first `n` rows."""
        parts = [_read_columns(path, _LABELS) for path in self.paths]
        return pa.concat_tables(parts, promote_options="permissive").slice(0, self.n).combine_chunks()

    def column(self, name: str) -> np.ndarray:
        """Return a label column, (n,)."""
        return self.labels[name].to_numpy(zero_copy_only=False)

    @property
    def key(self) -> np.ndarray:
        """The key of each image, (n,)."""
        return self.column("key")

    @property
    def foreground(self) -> np.ndarray:
        """The class of each image, (n,)."""
        return self.column("foreground")

    def boxes(self) -> np.ndarray:
        """Return where the foreground was pasted: (n, 4) int, left, top, right, bottom in pixels.

        Raises:
            ReleaseError: the shards hold no boxes, or an image has none.
        """
        column = self._read("box")
        if column.null_count:
            raise ReleaseError(f"{self.paths[0]}: {column.null_count} images have no box, so no object can be located")
        return _corners(column).astype(np.int64)

    def images(self, start: int = 0) -> Iterator[bytes | None]:
        """Yield the encoded images from row `start` on; None where a row has none.

        Raises:
            ReleaseError: a shard that cannot be read.
        """
        for path, begin, count in zip(self.paths, self._starts, self.rows, strict=True):
            if start < begin + count:
                yield from _encoded(path, max(0, start - begin))

    def masks(self) -> Iterator[bytes | None]:
        """Yield the encoded mask of each image's object; None where there is none, or the release is older than masks.

        Raises:
            ReleaseError: a shard that cannot be read.
        """
        for path, count in zip(self.paths, self.rows, strict=True):
            if "mask" in _footer(path).schema_arrow.names:
                yield from _encoded(path, 0, "mask")
            else:
                yield from repeat(None, count)

    def predictions(self, answers: Answers) -> Predictions:
        """Return a model's predictions with the labels and what the release varies by plan."""
        labels = {name: self.column(name) for name in ("foreground", "background")}
        # Not Python's strings, of which millions take gigabytes.
        text = {name: self.labels[name] for name in ("key", "foreground_source", "background_source")}
        return replaced(Predictions(**labels, **text, **vars(answers)), **self.factors)

    @cached_property
    def factors(self) -> dict[str, Any]:
        """Columns of `Predictions` for what the images differ in by plan."""
        boxes, ladder, severity = (self._known(name) for name in ("box", "ladder", "severity"))
        levels = None if severity is None else severity.to_numpy()
        return factors(None if boxes is None else _corners(boxes), self.manifest.image_size, ladder, levels)

    def _known(self, name: str) -> pa.ChunkedArray | None:
        """Return a column that older releases lack; None without it, and where a row has none."""
        if any(name not in _footer(path).schema_arrow.names for path in self.paths):
            return None
        column = self._read(name)
        return None if column.null_count else column

    def _read(self, name: str) -> pa.ChunkedArray:
        return pa.concat_tables([_read_columns(path, (name,)) for path in self.paths]).slice(0, self.n)[name]

    def content(self, cache: Cache) -> str:
        """Return the digest of the shards' bytes.

        Raises:
            ReleaseError: a shard is not the one that the manifest lists.
        """
        digests = [cache.digest_of(path) for path in self.paths]
        for path, found, shard in zip(self.paths, digests, self.manifest.select(self.config, self.name), strict=True):
            if found != shard.sha256:
                raise ReleaseError(f"{path} is not the file that its manifest lists: see python -m d3s_dataset.check")
        return digest(digests)

    def where(self, index: int) -> str:
        """Return shard and key of an image, for errors."""
        path = self.paths[bisect_right(self._starts, index) - 1]
        return f"{path}: image {self.labels['key'][index]}"

    @cached_property
    def _starts(self) -> list[int]:
        return [*accumulate(self.rows, initial=0)][:-1]

    def facts(self) -> result.Dataset:
        """Return a result's facts about the images. A part of a split is named in `datasets`' slice notation."""
        part = "" if self.n == sum(self.rows) else f"[:{self.n}]"
        return result.Dataset(
            name=self.manifest.name,
            kind=self.manifest.kind,
            revision=self.revision,
            digest=self.manifest.digest_of(self.config),
            config=self.config,
            split=self.name + part,
            n=self.n,
            verified_fraction=verified_fraction(self.labels["verified"].to_pylist()),
            backgrounds=self.manifest.backgrounds,
            release=self.manifest.digest,
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """Some images of a split, as a source of images: `chosen` is (n,) their places in it, sorted."""

    split: Split
    chosen: np.ndarray

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.chosen)

    @property
    def key(self) -> np.ndarray:
        """The key of each image, (n,)."""
        return self.split.key[self.chosen]

    @property
    def foreground(self) -> np.ndarray:
        """The class of each image, (n,)."""
        return self.split.foreground[self.chosen]

    def images(self, start: int = 0) -> Iterator[bytes | None]:
        """Yield the encoded images from row `start` on."""
        wanted = self.chosen[start:]
        first = int(wanted[0]) if len(wanted) else 0
        images = self.split.images(first)
        for skipped in np.diff(wanted, prepend=first - 1) - 1:
            yield next(islice(images, int(skipped), None))

    def where(self, index: int) -> str:
        """Return shard and key of an image, for errors."""
        return self.split.where(int(self.chosen[index]))

    def content(self, cache: Cache) -> str:
        """Return the digest of the images."""
        return digest([self.split.content(cache), self.chosen.tolist()])


def open_split(dataset: str | Path, config: str, split: str, limit: int | None = None) -> Split:
    """Find one split of a release and check that its shards can be read.

    Args:
        dataset: `d3s`, a folder, or a Hub repo.
        config: `default` or another config.
        split: `train`, `validation`, ...
        limit: use the first so many images only.

    Raises:
        DatasetNotFound: nothing is found under that name.
        ReleaseError: unfinished, without that split, damaged, or without the columns.
    """
    folder = fetch(dataset, config, split)
    manifest = check_split(folder, config, split)
    shards = manifest.select(config, split)
    paths = tuple(locate(folder, each) for each in shards)
    rows = tuple(_footer(path).metadata.num_rows for path in paths)
    for shard, count in zip(shards, rows, strict=True):
        if count != shard.rows:
            raise ReleaseError(f"{folder / shard.path} holds {count} rows, the manifest says {shard.rows}")
    if not sum(rows):
        raise ReleaseError(f"split {split!r} of {folder} is empty")
    # A Hub snapshot's folder is named by its commit.
    revision = folder.name if resolve(dataset).repo else None
    found = Split(manifest, config, split, revision, paths, rows, min(sum(rows), limit or sum(rows)))
    _ = found.labels  # missing columns are an error now, not after the model was loaded
    return found


def _encoded(path: Path, skip: int, name: str = "image") -> Iterator[bytes | None]:
    """Yield the images (or another column of images) of a shard from row `skip` on, a few read at a time."""
    file = _footer(path)
    starts = [0, *accumulate(file.metadata.row_group(each).num_rows for each in range(file.num_row_groups))]
    first = bisect_right(starts, skip) - 1
    at, groups = starts[first], range(first, file.num_row_groups)
    try:
        for batch in file.iter_batches(_READ, row_groups=groups, columns=[name], use_threads=False):
            offset, at = max(0, skip - at), at + len(batch)
            yield from ((each or {}).get("bytes") for each in batch.column(name).slice(offset).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise ReleaseError(f"{path}: shard cannot be read: {one_line(error)}") from None


def _corners(boxes: pa.ChunkedArray) -> np.ndarray:
    """Return (n, 4) float64 left, top, right, bottom; NaN where a box lacks a side."""
    sides = ("left", "top", "right", "bottom")
    parts = [np.stack([_side(part, name) for name in sides], axis=1) for part in boxes.chunks]
    return np.concatenate([np.empty((0, len(sides))), *parts])


def _side(boxes: pa.StructArray, name: str) -> np.ndarray:
    return boxes.field(name).to_numpy(zero_copy_only=False).astype(np.float64)


def _footer(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ReleaseError(f"{path} cannot be read, is it cut short? {one_line(error)}") from None


def _read_columns(path: Path, columns: tuple[str, ...]) -> pa.Table:
    file = _footer(path)
    has = file.schema_arrow.names
    missing = [name for name in ("image", *columns) if name not in has]
    if missing:
        raise ReleaseError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(has)}")
    try:
        return file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise ReleaseError(f"{path} cannot be read: {one_line(error)}") from None


def add_dataset_flags(parser: ArgumentParser, *, split: bool = True, configs: bool = False) -> None:
    """Add `--dataset` and `--config`.

    Args:
        parser: the command's.
        split: also `--split` and `--limit`, for commands that read one split.
        configs: `--config` takes several names, and gives a list.
    """
    add = parser.add_argument
    add("--dataset", default="d3s", metavar="DIR_OR_REPO", help="folder or Hub repo of a release")
    about = "config of the release: default, guides, a control set"
    if configs:
        about += "; of several, each model is loaded once"
        add("--config", nargs="+", default=["default"], metavar="NAME", help=about)
    else:
        add("--config", default="default", metavar="NAME", help=about)
    if split:
        add("--split", default="validation", metavar="NAME", help="train, validation, ...")
        add("--limit", type=natural, metavar="N", help="use the first N images only")
