"""Fidelity of an object to its guide, from pixels alone: similarity, colour difference, contrast of the seam.

Only pixels under the object's mask count, in windows too, so that an object that was kept has similarity 1 and colour
difference 0 whatever stands behind it.
"""

import numpy as np
from PIL import Image

COLUMNS = ("fidelity_ssim", "fidelity_colour", "fidelity_seam")
_REACH = 3  # windows are squares of 7 pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

# sRGB (IEC 61966-2-1): 8-bit values -> linear light, and linear light -> XYZ relative to the white of D65.
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_LIGHT = (_LINEAR[:, None, None] * (_XYZ / _XYZ.sum(axis=1, keepdims=True)).T).astype(np.float32)  # (level, channel, 3)


def fidelity(image: np.ndarray, guide: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Return the columns `fidelity_*` of an image.

    Args:
        image: (height, width, 3) uint8.
        guide: what it was made from, of the same shape.
        mask: (height, width) bool, the object's pixels; not empty.

    Returns:
        `fidelity_ssim`: mean structural similarity of the luminance (`ssim`) under the mask, -1 to 1.
        `fidelity_colour`: mean CIE 1976 colour difference under the mask; about 2.3 is just noticeable.
        `fidelity_seam`: mean step of the luminance across the mask's edge in the image (`seam`), 0 to 255.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside, image_part, guide_part = mask[box], image[box], guide[box]
    places = np.flatnonzero(inside)
    similar = ssim(_luminance(image_part), _luminance(guide_part), inside)
    return {
        "fidelity_ssim": float(similar[inside].mean()),
        "fidelity_colour": _colour_difference(*(each.reshape(-1, 3)[places] for each in (image_part, guide_part))),
        "fidelity_seam": seam(image, mask),
    }


def ssim(one: np.ndarray, other: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the structural similarity index at each pixel of two luminances (Wang et al. 2004, equation 13).

    Means, variances and the covariance are over the pixels under the mask in a window of 7 x 7, unweighted; whole
    numbers until the last step. NaN where a window holds none.

    Args:
        one: (height, width) of whole numbers, 0 to 255.
        other: the same.
        mask: (height, width) bool.
    """
    x, y = (np.where(mask, each, 0).astype(np.int64) for each in (one, other))
    count, sum_x, sum_y, xx, yy, xy = (_windows(each) for each in (mask.astype(np.int64), x, y, x * x, y * y, x * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = sum_x / count, sum_y / count
        spread = (count * (xx + yy) - sum_x**2 - sum_y**2) / count**2  # both variances
        shared = (count * xy - sum_x * sum_y) / count**2
        alike = (2 * mean_x * mean_y + _C1) * (2 * shared + _C2)
        return alike / ((mean_x**2 + mean_y**2 + _C1) * (spread + _C2))


def seam(image: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean difference of luminance between neighbours of which one is the object's, 0 to 255.

    Args:
        image: (height, width, 3) uint8.
        mask: (height, width) bool; 0.0 where it has no edge inside the image.
    """
    luminance = _luminance(image)
    steps = [
        np.abs(luminance[1:] - luminance[:-1])[mask[1:] != mask[:-1]],
        np.abs(luminance[:, 1:] - luminance[:, :-1])[mask[:, 1:] != mask[:, :-1]],
    ]
    across = np.concatenate(steps)
    return float(across.mean()) if len(across) else 0.0


def _luminance(image: np.ndarray) -> np.ndarray:
    """Return 8-bit luminance (ITU-R BT.601) as int64."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L")).astype(np.int64)


def _windows(values: np.ndarray) -> np.ndarray:
    """Return the sum of each pixel's window, which ends at the border, by a summed-area table."""
    total = np.pad(values, ((_REACH + 1, _REACH), (_REACH + 1, _REACH))).cumsum(0).cumsum(1)
    side = 2 * _REACH + 1
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]


def _colour_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean Euclidean distance in CIELAB of (n, 3) uint8 colours."""
    unequal = one != other
    differs = unequal[:, 0] | unequal[:, 1] | unequal[:, 2]  # `any` over an axis of three is ten times slower
    if not differs.any():
        return 0.0
    apart = _lab(one[differs]) - _lab(other[differs])
    return float(np.sqrt((apart**2).sum(axis=0)).sum(dtype=np.float64) / len(one))


def _lab(colours: np.ndarray) -> np.ndarray:
    """Return (n, 3) uint8 sRGB as (3, n) float32 CIELAB (CIE 15: L*, a*, b*)."""
    relative = sum(_LIGHT[colours[:, channel], channel].T for channel in range(3))
    x, y, z = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
