"""Automatic checks per image, written as columns and never a silent drop."""

import math

import numpy as np
from PIL import Image

_LEVELS = np.arange(256)


def screen(image: Image.Image) -> dict[str, float]:
    """Return an RGB image's screen columns, computed from histograms: whole numbers, the same on every machine.

    Returns:
        `screen_contrast`: standard deviation of the 8-bit luminance (ITU-R BT.601), 0 to 127.5; 0 is blank.
        `screen_clipped`: share of channel values that are 0 or 255, in [0, 1]; near 1 is burnt out.
    """
    luminance = np.array(image.convert("L").histogram())
    n, total, squares = (int((luminance * _LEVELS**power).sum()) for power in range(3))
    channels = np.array(image.histogram()).reshape(3, 256)
    clipped = int(channels[:, [0, 255]].sum()) / (3 * n)
    return {"screen_contrast": math.sqrt(n * squares - total * total) / n, "screen_clipped": clipped}
