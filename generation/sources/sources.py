"""Photo sources: image folders, HF datasets, cut-outs with masks, the drawn sample.

A source lists the photos per label and opens one by name; the columns `foreground_source` and `background_source` hold
these names. A folder's licence is read from `source.json` next to its subfolders,
``{"name": ..., "licence": ..., "redistribution": false}``; without that file, redistribution is not allowed.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from d3s_dataset.errors import SourceError, one_line
from d3s_dataset.manifest import Source
from d3s_dataset.taxonomy import classes, wnid_to_label
from d3s_dataset.utils import folders
from d3s_dataset.utils.nested import parse_json
from generation.sources import drawn
from generation.sources.photo import read_photo

HF_PREFIX = "hf:"
Photos = Mapping[int, Sequence[str]]


class ImageSource(Protocol):
    """Interface of photo sources. Implementations are picklable: worker processes open photos themselves."""

    info: Source

    def photos(self) -> Photos:
        """Return the sorted photo names per label; labels without a photo are omitted."""
        ...

    def open(self, photo: str, size: int) -> Image.Image:
        """Return one photo, RGB, or RGBA with a mask; drawn photos are rendered at `size` pixels.

        Raises:
            PhotoError: the photo is missing or cannot be read.
        """
        ...


class FolderSource:
    """Image folder with one subfolder per label, searched recursively; other folders are ignored.

    Args:
        root: the folder. ImageNet's layout has one subfolder per WordNet id; backgrounds one per name.
        labels: subfolder name -> label.
        role: `foregrounds` or `backgrounds`.
    """

    def __init__(self, root: Path, labels: Mapping[str, int], role: str) -> None:
        if not root.is_dir():
            raise SourceError(f"--{role}: expected a folder of photos, got {root}, which is not a folder")
        self.root, self.labels = root, labels
        self.info = _folder_info(root, role)

    def photos(self) -> Photos:
        """Return the photo paths relative to the root, by label."""
        found: dict[int, list[str]] = {}
        for name, label in self.labels.items():
            names = folders.photos(self.root / name, f"{name}/")
            if names:
                found[label] = names
        if not found:
            example = next(iter(self.labels))
            raise SourceError(
                f"--{self.info.role}: no photo found in {self.root}: expected images in subfolders such as "
                f"{self.root / example}"
            )
        return found

    def open(self, photo: str, size: int) -> Image.Image:
        """Return a photo, upright; see `ImageSource.open`."""
        return read_photo(self.root / photo, photo)


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


class DrawnForegrounds:
    """Drawn foregrounds, `instances` per class, with masks."""

    info = Source(role="foregrounds", name="drawn by code", licence="CC0-1.0", redistribution=True)

    def __init__(self, instances: int) -> None:
        self.instances = instances

    def photos(self) -> Photos:
        """Return `<wnid>/<number>` by label."""
        return {label: _numbered(classes()[label].wnid, self.instances) for label in sorted(drawn.CLASSES)}

    def open(self, photo: str, size: int) -> Image.Image:
        """Draw one instance, RGBA."""
        wnid, _, number = photo.partition("/")
        return drawn.draw_foreground(wnid_to_label()[wnid], int(number), size)


class DrawnBackgrounds:
    """Drawn backgrounds, `templates` for each of the ten."""

    info = Source(role="backgrounds", name="drawn by code", licence="CC0-1.0", redistribution=True)

    def __init__(self, templates: int, labels: Mapping[str, int]) -> None:
        self.templates, self.labels = templates, labels

    def photos(self) -> Photos:
        """Return `<name>/<number>` by label."""
        return {label: _numbered(name, self.templates) for name, label in self.labels.items()}

    def open(self, photo: str, size: int) -> Image.Image:
        """Draw one template, RGB."""
        name, _, number = photo.partition("/")
        return drawn.draw_background(name, int(number), size)


def open_source(name: str, labels: Mapping[str, int], role: str) -> ImageSource:
    """Return the source that a command line names: a folder, or `hf:REPO[:SPLIT]`.

    Raises:
        SourceError: no such folder, or a data set that cannot be loaded.
    """
    return HubSource(name, labels, role) if name.startswith(HF_PREFIX) else FolderSource(Path(name), labels, role)


def foreground_labels() -> dict[str, int]:
    """Return what may name a foreground class in a source: its WordNet id, or its full name."""
    # imagenet-1k on the Hub tells the two cranes apart by a number.
    return wnid_to_label() | {each.name: each.index for each in classes()} | {"crane2": 517}


def _numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}/{number:05d}" for number in range(count)]


def _folder_info(root: Path, role: str) -> Source:
    path = root / "source.json"
    if not path.is_file():
        name = folders.utf8_name(root.resolve().name)
        return Source(role=role, name=name, licence="unknown", redistribution=False)
    try:
        said = parse_json(path.read_text(encoding="utf-8"))
        return Source(role=role, name=said["name"], licence=said["licence"], redistribution=said["redistribution"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f'{path}: expected {{"name": ..., "licence": ..., "redistribution": true|false}}: {one_line(error)}'
        ) from None
