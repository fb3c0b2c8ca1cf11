"""Folders of labelled photos, such as ImageNet's validation folder: subfolders named by WordNet ids."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmark.cache.cache import Cache
from d3s_dataset.errors import SourceError, one_line
from d3s_dataset.identity import digest
from d3s_dataset.taxonomy import wnid_to_label
from d3s_dataset.utils import paths


class Photos:
    """Photos in a folder with a label each; a `decode.Source`.

    Args:
        folder: that holds them all.
        paths: of n photos.
        labels: n classes.

    Raises:
        SourceError: a path that is no file.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], labels: Sequence[int]) -> None:
        if no_file := next((path for path in paths if not path.is_file()), None):
            raise SourceError(f"{no_file} is no file: expected a photo; remove it")
        self._folder = folder
        self.paths = list(paths)
        self.foreground = np.array(labels, dtype=np.int64)
        self.n = len(self.paths)

    @property
    def key(self) -> np.ndarray:
        """The path of each photo inside the folder, (n,)."""
        return np.array([str(path.relative_to(self._folder)) for path in self.paths], dtype=object)

    def images(self, start: int = 0) -> Iterator[bytes | None]:
        """Yield the encoded photos from `start` on."""
        for path in self.paths[start:]:
            try:
                yield path.read_bytes()
            except OSError as error:
                raise SourceError(f"{path} cannot be read: {one_line(error)}") from None

    def where(self, index: int) -> str:
        """Return a photo's path, for errors."""
        return str(self.paths[index])

    def content(self, cache: Cache) -> str:
        """Return a digest of the photos' names, sizes and times of change: reading 50,000 of them takes too long."""
        facts = [(str(key), path.stat()) for key, path in zip(self.key, self.paths, strict=True)]
        return digest([str(self._folder.resolve()), [[key, each.st_size, each.st_mtime_ns] for key, each in facts]])


class Folder(Photos):
    """The photos of a folder with subfolders named by WordNet ids, ordered by path.

    Raises:
        SourceError: no folder, a subfolder that is no ImageNet class, no photo, or one that is no file.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SourceError(f"no folder at {folder}: expected subfolders named by WordNet ids, such as n01440764")
        names = [name for each in paths.subfolders(folder) for name in paths.photos(folder / each, f"{each}/")]
        found = sorted(folder / name for name in names if name.count("/") == 1)
        labels = wnid_to_label()
        strange = sorted({path.parent.name for path in found} - labels.keys())
        if strange:
            raise SourceError(f"{folder / strange[0]} is no WordNet id of the 1000 classes, such as n01440764")
        if not found:
            raise SourceError(f"{folder} holds no photos: expected subfolders named by WordNet ids with .jpg or .png")
        super().__init__(folder, found, [labels[path.parent.name] for path in found])
