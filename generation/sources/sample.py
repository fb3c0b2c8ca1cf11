"""The drawn sample as a source of photos."""

from collections.abc import Mapping
from functools import lru_cache

from PIL import Image

from d3s_dataset.manifest import Source
from d3s_dataset.taxonomy import classes, wnid_to_label
from generation.sources import drawn
from generation.sources.base import Photos

_SCENES = 256  # scenes that a process keeps: all 240 of the sample, 50 MB at its 256 px; each is used some 15 times


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
        return _scene(name, int(number), size).copy()


@lru_cache(_SCENES)
def _scene(name: str, number: int, size: int) -> Image.Image:
    return drawn.draw_background(name, number, size)


def _numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}/{number:05d}" for number in range(count)]
