"""Fidelity of an object: against its definitions computed pixel by pixel, and at the ends of its ranges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d3s_dataset.utils.fidelity import COLUMNS, fidelity, seam, ssim

SIZE = 20


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def disc(radius=6, centre=(9, 11)):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2


def by_definition(one, other, mask, row, column):
    """Structural similarity at one pixel, as Wang et al. 2004 write it, over the mask's pixels of a 7 x 7 window."""
    window = slice(max(0, row - 3), row + 4), slice(max(0, column - 3), column + 4)
    x, y = (each[window][mask[window]].astype(float) for each in (one, other))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    shared = ((x - x.mean()) * (y - y.mean())).mean()
    below = (x.mean() ** 2 + y.mean() ** 2 + c1) * (x.var() + y.var() + c2)
    return (2 * x.mean() * y.mean() + c1) * (2 * shared + c2) / below


@settings(max_examples=20)
@given(st.integers(0, 999))
def test_similarity_is_that_of_its_definition(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 256, (2, SIZE, SIZE))
    mask = rng.random((SIZE, SIZE)) < 0.6
    found = ssim(one, other, mask)
    for row, column in np.argwhere(mask)[::17]:
        assert found[row, column] == pytest.approx(by_definition(one, other, mask, row, column))


@given(st.integers(0, 999))
def test_a_kept_object_is_equal_whatever_is_around_it(seed):
    guide, mask = picture(seed), disc()
    image = np.where(mask[..., None], guide, picture(seed + 1))
    found = fidelity(image, guide, mask)
    assert tuple(found) == COLUMNS
    assert (found["fidelity_ssim"], found["fidelity_colour"]) == (1.0, 0.0)
    assert fidelity(guide, image, mask)["fidelity_ssim"] == 1.0


def test_noise_is_unlike_and_a_shade_is_alike_in_structure_and_not_in_colour():
    guide, mask = picture(0), disc()
    assert fidelity(picture(1), guide, mask)["fidelity_ssim"] < 0.2
    shaded = fidelity((guide * 0.8).astype(np.uint8), guide, mask)
    assert shaded["fidelity_ssim"] > 0.9
    assert shaded["fidelity_colour"] > 5


def test_colours_are_as_far_apart_as_the_cie_says():
    """Red and blue of sRGB have L*a*b* (53.24, 80.09, 67.20) and (32.30, 79.19, -107.86)."""
    red, blue = (np.broadcast_to(np.uint8(colour), (SIZE, SIZE, 3)) for colour in ((255, 0, 0), (0, 0, 255)))
    expected = np.linalg.norm(np.subtract((53.24, 80.09, 67.20), (32.30, 79.19, -107.86)))
    assert fidelity(red, blue, disc())["fidelity_colour"] == pytest.approx(expected, abs=0.05)


def test_a_seam_is_the_step_across_the_edge():
    mask = disc()
    image = np.where(mask[..., None], np.uint8(150), np.uint8(110)).repeat(3, axis=2)
    assert seam(image, mask) == 40
    assert seam(np.full((SIZE, SIZE, 3), 9, np.uint8), mask) == 0
    assert seam(image, np.ones_like(mask)) == 0
