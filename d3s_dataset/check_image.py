"""Checks of one image of a release and its mask against its row: format and measured screens."""

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

_FORMATS = ("PNG", "JPEG", "WEBP")  # Pillow passes some other formats to external programs
_LEVELS = np.arange(256)
# Screens are measured before an image is encoded. JPEG at a low quality moves the contrast by less than this; the share
# of clipped values it can move by a third where flat areas lie near 0 or 255, so that one is not compared.
_CONTRAST = 2.0


def check_image(row: Mapping[str, Any], size: int) -> Iterator[str]:
    """Yield one line per problem of a row's image and mask.

    The measured screens detect an image that was moved to another row.

    Args:
        row: a row whose `image` is not null.
        size: side from the manifest, in pixels.
    """
    image = _decoded(row["image"], "image", "RGB", size)
    yield from [image] if isinstance(image, str) else _differ(row, measure(image))
    if row.get("mask") is not None:  # older releases have no such column
        mask = _decoded(row["mask"], "mask", "1", size)
        if isinstance(mask, str) or mask.getbbox() is None:
            yield mask if isinstance(mask, str) else "its mask is empty"


def _decoded(stored: Mapping[str, Any], what: str, mode: str, size: int) -> Image.Image | str:
    """Return a stored image, decoded, or what is wrong with it."""
    if stored["bytes"] is None:
        return f"its {what} has no bytes"
    expected = f"expected {what} {mode} of {size} x {size}"
    try:
        with Image.open(io.BytesIO(stored["bytes"]), formats=_FORMATS) as image:
            if (image.mode, image.size) != (mode, (size, size)):  # before decoding, which may take all memory
                return f"{expected}, got {image.mode} of {image.width} x {image.height}"
            image.load()
            return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"{expected}, got one that is too large to open"
    except (OSError, ValueError, SyntaxError) as error:
        return f"its {what} cannot be decoded: {error}"


def measure(image: Image.Image) -> dict[str, float]:
    """Return the screens of an RGB image that come from its histograms: whole numbers, the same on every machine.

    Returns:
        `screen_contrast`: standard deviation of the 8-bit luminance (ITU-R BT.601), 0 to 127.5; 0 is blank.
        `screen_clipped`: share of channel values that are 0 or 255, in [0, 1]; near 1 is burnt out.
    """
    levels = np.array(image.convert("L").histogram())
    n, total, squares = (int((levels * _LEVELS**power).sum()) for power in range(3))
    channels = image.histogram()  # red's 256 levels, then green's, then blue's
    return {
        "screen_contrast": math.sqrt(n * squares - total * total) / n,
        "screen_clipped": (sum(channels[::256]) + sum(channels[255::256])) / (3 * n),
    }


def _differ(row: Mapping[str, Any], measured: Mapping[str, float]) -> Iterator[str]:
    path = row["image"]["path"]
    if path is not None and path.rpartition(".")[0] != row["key"]:
        yield f"its image was stored as {path[:100]!r}, under another key"
    claimed, found = row["screen_contrast"], measured["screen_contrast"]
    if claimed is not None and not abs(claimed - found) <= _CONTRAST:
        yield f"screen_contrast is {claimed:.4g}, its image has {found:.4g}: is it the image of another row?"
