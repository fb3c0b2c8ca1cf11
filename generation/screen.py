"""Automatic checks per image, written as columns and never a silent drop."""

import math

import numpy as np


def screen(pixels: np.ndarray) -> dict[str, float]:
    """Return an image's screen columns.

    Args:
        pixels: uint8, (height, width, 3).

    Returns:
        `screen_contrast`: standard deviation of the luminance (ITU-R BT.601) in [0, 127.5]; a blank image has 0.
        `screen_clipped`: share of channel values that are 0 or 255, in [0, 1]; a burnt-out image is near 1.
    """
    red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
    luminance = 299 * red + 587 * green + 114 * blue  # whole numbers: their sums are the same on every machine
    n, total, squares = luminance.size, int(luminance.sum()), int((luminance * luminance).sum())
    clipped = np.count_nonzero((pixels == 0) | (pixels == 255)) / pixels.size
    return {"screen_contrast": math.sqrt(n * squares - total * total) / n / 1000, "screen_clipped": clipped}
