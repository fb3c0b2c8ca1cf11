"""An ImageNet validation folder: photos in subfolders named by WordNet ids."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmark.cache.cache import Cache
from d3s_dataset.errors import SourceError, one_line
from d3s_dataset.identity import digest
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils import paths


class Folder:
    """The photos of a folder, ordered by path; a `decode.Source` with labels.

    Raises:
        SourceError: no folder, a subfolder that is no ImageNet class, no photo, or one that is no file.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SourceError(f"no folder at {folder}: expected subfolders named by WordNet ids, such as n01440764")
        self._folder = folder
        names = [name for each in paths.subfolders(folder) for name in paths.photos(folder / each, f"{each}/")]
        self.paths = sorted(folder / name for name in names if name.count("/") == 1)
        known = {each.wnid for each in classes()}
        strange = sorted({path.parent.name for path in self.paths} - known)
        if strange:
            raise SourceError(f"{folder / strange[0]} is no WordNet id of the 1000 classes, such as n01440764")
        if not self.paths:
            raise SourceError(f"{folder} holds no photos: expected subfolders named by WordNet ids with .jpg or .png")
        if no_file := next((path for path in self.paths if not path.is_file()), None):
            raise SourceError(f"{no_file} is no file: expected a photo; remove it")
        self.n = len(self.paths)

    @property
    def key(self) -> np.ndarray:
        """The path of each photo inside the folder, (n,)."""
        return np.array([str(path.relative_to(self._folder)) for path in self.paths], dtype=object)

    @property
    def foreground(self) -> np.ndarray:
        """The class of each photo, (n,)."""
        return self._foreground

    @cached_property
    def _foreground(self) -> np.ndarray:
        labels = {each.wnid: each.index for each in classes()}
        return np.array([labels[path.parent.name] for path in self.paths])

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
