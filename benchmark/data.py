"""The images of one split, read from a release's Parquet shards and decoded in worker processes.

Read with pyarrow, because `datasets` is not on every machine that has a GPU. Imports torch only where images are
batched, so that a missing data set is said before torch is loaded. Memory holds one row group a worker, however
many images there are.
"""

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmark import results
from d3s_dataset.command import cores
from d3s_dataset.errors import ReleaseError, one_line
from d3s_dataset.load import check_split, fetch, resolve
from d3s_dataset.manifest import Manifest, verified_fraction

if TYPE_CHECKING:
    import torch

_LABELS = ("key", "foreground", "background", "foreground_source", "background_source", "verified")
_MOST_WORKERS = 16
_FEW_IMAGES = 64  # starting workers for fewer costs more than they save


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
        """The columns beside the image, of the first `n` rows."""
        parts = [_read_columns(path, _LABELS) for path in self.paths]
        return pa.concat_tables(parts, promote_options="permissive").slice(0, self.n).combine_chunks()

    def facts(self) -> results.Dataset:
        """Return what a result says about the images. A part of a split is named in `datasets`' slice notation."""
        part = "" if self.n == sum(self.rows) else f"[:{self.n}]"
        return results.Dataset(
            name=self.manifest.name,
            kind=self.manifest.kind,
            revision=self.revision,
            digest=self.manifest.digest_of(self.config),
            config=self.config,
            split=self.name + part,
            n=self.n,
            verified_fraction=verified_fraction(self.labels["verified"].to_pylist()),
            backgrounds=self.manifest.backgrounds,
        )


def open_split(dataset: str | Path, config: str, split: str, limit: int | None = None) -> Split:
    """Find one split of a release and check that its shards can be read.

    Args:
        dataset: `d3s`, a folder, or a Hub repo.
        config: `default` or another config.
        split: `train`, `validation`, ...
        limit: use the first so many images only.

    Raises:
        DatasetNotFound: nothing lies under that name.
        ReleaseError: unfinished, without that split, damaged, or without the columns.
    """
    folder = fetch(dataset, config, split)
    manifest = check_split(folder, config, split)
    shards = manifest.select(config, split)
    paths = tuple(folder / each.path for each in shards)
    rows = tuple(_footer(path).metadata.num_rows for path in paths)
    for shard, count in zip(shards, rows, strict=True):
        if count != shard.rows:
            raise ReleaseError(f"{folder / shard.path} holds {count} rows, the manifest says {shard.rows}")
    if not sum(rows):
        raise ReleaseError(f"split {split!r} of {folder} is empty")
    # A Hub snapshot's folder is named by its commit.
    revision = folder.name if resolve(dataset).repo else None
    found = Split(manifest, config, split, revision, paths, rows, min(sum(rows), limit or sum(rows)))
    _ = found.labels  # missing columns are said now, not after the model was loaded
    return found


class Images:
    """Map-style images for a torch DataLoader: index to (index, transformed image), one row group held at a time.

    An unreadable image is returned as a ReleaseError that names shard and key; `batches` raises it, because an
    exception inside a worker process would arrive as a page of traceback.
    """

    def __init__(self, split: Split, transform: Callable[[Image.Image], Any]) -> None:
        self._split = split
        self._transform = transform
        self._starts = (0, *accumulate(split.rows))
        self._shard = -1
        self._file: pq.ParquetFile | None = None
        self._group = (0, 0)  # global indices of the rows held
        self._held: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return self._split.n

    def __getitem__(self, index: int) -> tuple[int, Any]:
        try:
            row = self._row(index)
            return index, self._transform(_decode(row["image"]))
        except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
            path = self._split.paths[self._shard]
            what = f"image {self._held[index - self._group[0]]['key']}" if self._holds(index) else "shard"
            return index, ReleaseError(f"{path}: {what} cannot be read: {one_line(error)}")

    def _holds(self, index: int) -> bool:
        return self._group[0] <= index < self._group[1]

    def _row(self, index: int) -> dict[str, Any]:
        if not self._holds(index):
            self._load_group(index)
        return self._held[index - self._group[0]]

    def _load_group(self, index: int) -> None:
        shard = bisect_right(self._starts, index) - 1
        if shard != self._shard or self._file is None:
            self._shard, self._file = shard, pq.ParquetFile(self._split.paths[shard])
        groups = range(self._file.num_row_groups)
        rows = [self._file.metadata.row_group(group).num_rows for group in groups]
        starts = [*accumulate(rows, initial=self._starts[shard])]
        group = bisect_right(starts, index) - 1
        self._group, self._held = (0, 0), []  # the old rows go before the new ones come
        self._held = self._file.read_row_group(group, columns=["key", "image"]).to_pylist()
        self._group = (starts[group], starts[group + 1])


def batches(
    split: Split, transform: Callable[[Image.Image], Any], batch_size: int, *, pin: bool = False
) -> Iterator[tuple["torch.Tensor", "torch.Tensor"]]:
    """Yield (indices (b,), images (b, ...)) of a split in order, decoded and transformed in worker processes.

    Raises:
        ReleaseError: an image that cannot be read, with its shard and key.
    """
    from torch.utils.data import DataLoader

    images = Images(split, transform)
    loader = DataLoader(
        images,  # pyright: ignore[reportArgumentType] - any class with __len__ and __getitem__ is map-style
        batch_size=batch_size,
        num_workers=0 if split.n <= _FEW_IMAGES else min(cores(), _MOST_WORKERS),
        collate_fn=_collate,
        pin_memory=pin,
    )
    for batch in loader:
        if isinstance(batch, ReleaseError):
            raise batch
        yield batch


def _collate(samples: list[tuple[int, Any]]) -> Any:
    from torch.utils.data import default_collate

    broken = [each for _, each in samples if isinstance(each, ReleaseError)]
    return broken[0] if broken else default_collate(samples)


def _decode(image: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(image["bytes"])).convert("RGB")


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
