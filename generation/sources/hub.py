"""Image datasets of the Hub, or in its form, as a source of photos."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from d3s_dataset.errors import SourceError, one_line
from d3s_dataset.manifest import Source
from generation.sources.base import Photos, read_photo

HF_PREFIX = "hf:"


class HubSource:
    """HF image dataset with one label column of the 1000 classes, or of the ten backgrounds.

    Args:
        name: `hf:REPO_OR_FOLDER[:SPLIT]`; the split defaults to `train`.
        labels: label name -> label; rows with other labels are skipped.
        role: `foregrounds` or `backgrounds`.
    """

    def __init__(self, name: str, labels: Mapping[str, int], role: str) -> None:
        self.path, _, split = name.removeprefix(HF_PREFIX).partition(":")
        self.split, self.labels, self.role = split or "train", labels, role
        self._data = self._load()
        licence = str(self._data.info.license or "unknown")
        self.info = Source(
            role=role,
            name=f"{Path(self.path).name if Path(self.path).exists() else self.path}:{self.split}",
            licence=licence,
            redistribution=False,
        )

    def _load(self) -> Any:
        from datasets import ClassLabel, load_dataset
        from datasets import Image as ImageFeature

        try:
            data = load_dataset(self.path, split=self.split)
        except Exception as error:  # noqa: BLE001 - datasets raises a dozen unrelated types for "not available"
            raise SourceError(f"--{self.role}: {self.path!r} cannot be loaded: {one_line(error)}") from None
        images, labels = (
            [name for name, feature in data.features.items() if isinstance(feature, kind)]
            for kind in (ImageFeature, ClassLabel)
        )
        if not images or not labels:
            raise SourceError(f"--{self.role}: expected an image and a label column, got {', '.join(data.features)}")
        self.image_column, self.label_column = images[0], labels[0]
        return data.cast_column(self.image_column, ImageFeature(decode=False))

    def photos(self) -> Photos:
        """Return `<split>/<row number>` by label."""
        names = self._data.features[self.label_column].names
        known = {i: self.labels[name] for i, name in enumerate(names) if name in self.labels}
        if not known:
            wanted = f"labels named such as {next(iter(self.labels))!r}"
            raise SourceError(f"--{self.role}: expected {wanted}, got {len(names)} such as {names[0]!r}")
        found: dict[int, list[str]] = {}
        for row, label in enumerate(self._data[self.label_column]):
            if label in known:
                found.setdefault(known[label], []).append(f"{self.split}/{row:08d}")
        if not found:
            raise SourceError(f"--{self.role}: no row of {self.path!r} has one of the expected labels")
        return found

    def open(self, photo: str, size: int) -> Image.Image:
        """Return a row's image; see `ImageSource.open`."""
        stored = self._data[int(photo.rpartition("/")[2])][self.image_column]
        return read_photo(stored["path"] if stored["bytes"] is None else io.BytesIO(stored["bytes"]), photo)
