"""Automatic checks per image, stored as columns (no row is dropped), and the checks that a record fails."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.check_image import measure
from d3s_dataset.utils.extras import late
from generation.recipe.sections import Screen

_HASHED_SIDE = 64  # minimum side in pixels before the hash's own resize to 32 x 32


def screen(image: Image.Image) -> dict[str, Any]:
    """Return an RGB image's screen columns.

    Returns:
        `screen_contrast`, `screen_clipped`: from histograms (`d3s_dataset.check_image.measure`).
        `screen_hash`: perceptual hash of the luminance, 64 bits as 16 hex characters (`perceptual_hash`).
    """
    return {**measure(image), "screen_hash": perceptual_hash(image.convert("L"))}


def perceptual_hash(luminance: Image.Image) -> str:
    """Return the perceptual hash (imagehash.phash, 64 bits as 16 hex characters) of a greyscale image.

    It is the hash of the image reduced by a whole factor to 64 to 127 pixels (its shorter side), by block averages:
    a fifth of the time, and on real guides 0.2 of the 64 bits away from the whole image's hash. Images that look alike
    differ in few bits; a blank image is 8000000000000000, or all zeros where it is black.
    """
    imagehash = late("imagehash", "generation")  # here, because it brings scipy: 0.7 s
    reduced = luminance.reduce(max(1, min(luminance.size) // _HASHED_SIDE))
    return np.packbits(imagehash.phash(reduced).hash).tobytes().hex()


def failed_screens(record: Mapping[str, Any], limits: Screen) -> list[str]:
    """Return the names of the screens that a record fails, in a fixed order; unknown values (None) fail none.

    A value that is not finite fails every screen that has a limit on it.

    Args:
        record: has `screen_contrast`, `screen_clipped`, `screen_unsafe`, `screen_clip_foreground`,
            `screen_clip_background` and `screen_duplicate_of`; a missing one is None.
        limits: thresholds; a minimum of 0 disables its screen.
    """
    clipped = record.get("screen_clipped")
    failed = {
        "contrast": _below(record.get("screen_contrast"), limits.min_contrast),
        "clipped": clipped is not None and not clipped <= limits.max_clipped,
        "unsafe": limits.safety and bool(record.get("screen_unsafe")),
        "clip_foreground": _below(record.get("screen_clip_foreground"), limits.min_clip_foreground),
        "clip_background": _below(record.get("screen_clip_background"), limits.min_clip_background),
        "duplicate": record.get("screen_duplicate_of") is not None,
    }
    return [name for name, fails in failed.items() if fails]


def _below(value: float | None, least: float) -> bool:
    return value is not None and least > 0 and not value >= least
