"""Image folders as a source of photos: one subfolder per label."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from d3s_dataset.errors import SourceError, one_line
from d3s_dataset.manifest import Source
from d3s_dataset.utils import paths
from d3s_dataset.utils.nested import parse_json
from generation.sources.base import Photos, read_photo


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
            names = paths.photos(self.root / name, f"{name}/")
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


def _folder_info(root: Path, role: str) -> Source:
    path = root / "source.json"
    if not path.is_file():
        name = paths.utf8_name(root.resolve().name)
        return Source(role=role, name=name, licence="unknown", redistribution=False)
    try:
        said = parse_json(path.read_text(encoding="utf-8"))
        return Source(role=role, name=said["name"], licence=said["licence"], redistribution=said["redistribution"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f'{path}: expected {{"name": ..., "licence": ..., "redistribution": true|false}}: {one_line(error)}'
        ) from None
