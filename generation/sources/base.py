"""Photo sources: image folders, HF datasets, cut-outs with masks, the drawn sample.

A source lists the photos per label and opens one by name; the columns `foreground_source` and `background_source` hold
these names. A folder's licence is read from `source.json` next to its subfolders,
``{"name": ..., "licence": ..., "redistribution": false}``; without that file, redistribution is not allowed.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from PIL import Image

from d3s_dataset.manifest import Source

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
