"""Conversion of images with more than 8 bits per channel, which Pillow's `convert` silently clips or inverts.

`Image.convert("RGB")` clips 16-bit greys at 255, so that a photo becomes a white square; it ignores that a 16-bit TIFF
may count from white, and compares a PNG's transparent colour with pixels of another depth. All other modes (CMYK, LAB,
YCbCr, palettes, 16 bits per channel of RGB) it converts as it should.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from PIL import Image

from d3s_dataset.errors import one_line

# What Pillow's plugins raise on bytes that somebody else wrote: besides OSError whatever their parsers trip over. To be
# caught around decoding alone, where a photo that breaks is that photo's failure and not the end of a run.
UNREADABLE = (
    OSError, ValueError, SyntaxError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    RuntimeError, EOFError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

_BITS, _PHOTOMETRIC = 258, 262  # TIFF 6.0: BitsPerSample; PhotometricInterpretation, 0 is WhiteIsZero
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")
_SCALED = ("PNG", "PPM")  # their 32-bit greys are 16-bit ones that Pillow scaled to 65535


def eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of 8 bits per channel, scaled by its format's white; an image that has 8 bits is returned itself.

    Args:
        image: as `Image.open` gives it, not yet decoded.

    Raises:
        ValueError: 32-bit greys without a known white: integers, or floats outside 0 to 1.
    """
    raw = _raw_mode(image)
    if image.mode in _DEEP or (image.mode == "I" and image.format in _SCALED):
        return _grey16(image)
    if image.mode == "I":
        raise ValueError("32-bit grey without a known white: expected 8 or 16 bits per channel")
    if image.mode == "F":
        return _floats(image)
    _scale_transparency(image, raw)
    return image


def rgb(content: bytes | None) -> Image.Image:
    """Return a picture's file as 8-bit RGB, decoded.

    Args:
        content: the file; None, as in a row without one, cannot be read either.

    Raises:
        ValueError: it cannot be read, whatever the reason, which it names.
    """
    try:
        return eight_bits(Image.open(io.BytesIO(content or b""))).convert("RGB")
    except UNREADABLE as error:
        raise ValueError(one_line(error)) from None


def _grey16(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint16)
    tags = getattr(image, "tag_v2", {})
    white = 2 ** tags.get(_BITS, (16,))[0] - 1
    table = np.minimum((np.arange(2**16) * 255 + white // 2) // white, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == 0:
        table = 255 - table
    grey = Image.fromarray(table[values])
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _floats(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if not (values.min() >= 0 and values.max() <= 1):  # also where a value is not a number
        raise ValueError(f"float grey from {values.min():g} to {values.max():g}: expected values from 0 to 1")
    tags = getattr(image, "tag_v2", {})
    scaled = np.rint(values * 255).astype(np.uint8)
    return Image.fromarray(255 - scaled if tags.get(_PHOTOMETRIC) == 0 else scaled)


def _raw_mode(image: Image.Image) -> str:
    """Return how the file stores its pixels (`L;4`, `RGB;16B`); empty once the image is decoded."""
    tiles: Sequence[tuple[Any, ...]] = getattr(image, "tile", None) or []
    arguments = tiles[0][3] if tiles else ""
    return arguments if isinstance(arguments, str) else ""


def _scale_transparency(image: Image.Image, raw: str) -> None:
    """Bring a PNG's transparent colour to the 8 bits that its pixels are decoded to."""
    key = image.info.get("transparency")
    if isinstance(key, int) and raw in ("L;2", "L;4"):
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}[raw]
    elif isinstance(key, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(part >> 8 for part in cast(tuple[int, ...], key))
