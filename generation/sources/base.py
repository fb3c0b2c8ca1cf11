"""Interface of photo sources (image folders, HF datasets, cut-outs, the drawn sample), and file -> photo.

A source lists the photos per label and opens one by name; the columns `foreground_source` and `background_source` hold
these names. A folder's licence is read from `source.json` next to its subfolders,
``{"name": ..., "licence": ..., "redistribution": false}``; without that file, redistribution is not allowed.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import ExifTags, Image

from d3s_dataset.errors import PhotoError
from d3s_dataset.manifest import Source
from d3s_dataset.utils.pixels import UNREADABLE, eight_bits

Photos = Mapping[int, Sequence[str]]
CONFIDENCE = "mask_confidence"  # in the `info` of a photo whose alpha is not its own but a segmenter's: 0 to 1
HALF = 128  # alpha from which a pixel is the object's


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


_MASKED = ("RGBA", "LA", "PA", "RGBa")

_TRANSPOSED = {  # EXIF 2.3, tag Orientation: what brings the pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_photo(file: Any, name: str) -> Image.Image:
    """Decode an image file fully: upright, RGB, or RGBA with transparency; 8 bits per channel.

    Raises:
        PhotoError: the file is missing, truncated, not an image, or too large for a photo.
    """
    try:
        _require_file(file)
        with Image.open(file) as image:
            return _upright(_coloured(image), image)
    except UNREADABLE as error:
        text = str(error).splitlines() or [""]
        # Without the path: a reason in the manifest must not depend on the location of the photos.
        reason = "no such file" if isinstance(error, FileNotFoundError) else text[0].split(" '/")[0].split(" <")[0]
        raise PhotoError(f"photo {name} cannot be read: {type(error).__name__}: {reason}") from None


def _require_file(file: Any) -> None:
    """Raise OSError for a path that is not a regular file: opening a FIFO blocks forever."""
    if isinstance(file, str | Path) and not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116 - also of a str
        raise OSError("no regular file")


def _coloured(image: Image.Image) -> Image.Image:
    pixels = eight_bits(image)
    if pixels.mode == "La":
        pixels = pixels.convert("LA")  # Pillow has no direct way from premultiplied greys
    transparent = pixels.mode in _MASKED or "transparency" in pixels.info
    return pixels.convert("RGBA" if transparent else "RGB")


def _upright(pixels: Image.Image, image: Image.Image) -> Image.Image:
    """Rotate by the orientation tag only: `ImageOps.exif_transpose` also writes the other tags back."""
    turn = _TRANSPOSED.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return pixels if turn is None else pixels.transpose(turn)
