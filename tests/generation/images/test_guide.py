import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from d3s_dataset.errors import PhotoError
from generation.images.compose import GREY, compose, square

RED, BLUE = (255, 0, 0), (0, 0, 255)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 40), st.integers(0, 40), st.integers(1, 24))
def test_a_photo_is_pasted_exactly_into_its_box(width, height, left, top, side):
    box = (left, top, left + side, top + side)
    guide = np.asarray(compose(Image.new("RGB", (width, height), RED), Image.new("RGB", (50, 70), BLUE), box, 64).image)
    inside = np.zeros((64, 64), bool)
    inside[top : top + side, left : left + side] = True
    assert (guide[inside] == RED).all()
    assert (guide[~inside] == BLUE).all()


def test_the_centre_of_a_photo_is_kept():
    image = Image.new("RGB", (90, 30), RED)
    ImageDraw.Draw(image).rectangle((30, 0, 59, 29), BLUE)
    assert (np.asarray(square(image, 30)) == BLUE).all()


def test_a_cutout_keeps_its_shape_and_fills_its_box():
    cut = Image.new("RGBA", (200, 100), (0, 255, 0, 0))
    ImageDraw.Draw(cut).ellipse((20, 40, 100, 80), (*RED, 255))
    guide = np.asarray(compose(cut, Image.new("RGB", (64, 64), BLUE), (10, 10, 50, 50), 64).image)
    red = (guide == RED).all(axis=2)
    rows, columns = np.nonzero(red)
    assert columns.min() <= 11 <= 48 <= columns.max()
    assert 18 <= rows.min() <= 22 <= 37 <= rows.max() <= 41
    assert guide[..., 0].sum() / 255 / (40 * 20) == pytest.approx(np.pi / 4, abs=0.03)
    assert guide[..., 1].max() < 16  # the colour under the transparent part does not bleed


def test_an_opaque_cutout_is_a_plain_photo():
    opaque = Image.new("RGBA", (60, 20), (*RED, 255))
    plain = Image.new("RGB", (60, 20), RED)
    box, scene = (4, 4, 34, 34), Image.new("RGB", (64, 64), BLUE)
    assert compose(opaque, scene, box, 64).image.tobytes() == compose(plain, scene, box, 64).image.tobytes()


def test_without_a_background_the_rest_is_grey():
    guide = np.asarray(compose(Image.new("RGB", (9, 9), RED), None, (0, 0, 32, 32), 64).image)
    assert (guide[40:, 40:] == GREY).all()


def test_a_transparent_cutout_is_refused():
    with pytest.raises(PhotoError, match="transparent everywhere"):
        compose(Image.new("RGBA", (9, 9)), None, (0, 0, 32, 32), 64)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 40), st.integers(0, 40), st.integers(2, 24))
def test_the_mask_is_the_alpha_that_was_pasted(width, height, left, top, side):
    """A red object on blue: at its mask the guide is more red than blue, elsewhere more blue."""
    box = (left, top, left + side, top + side)
    cut = Image.new("RGBA", (width + 2, height + 2), (*RED, 0))
    ImageDraw.Draw(cut).rectangle((1, 1, width, height), (*RED, 255))
    guide, mask, confidence = compose(cut, Image.new("RGB", (64, 64), BLUE), box, 64)
    assert mask is not None
    assert confidence is None
    assert (mask.mode, mask.size) == ("1", (64, 64))
    assert (np.asarray(mask) == (np.asarray(guide)[..., 0] >= 128)).all()


def test_a_photo_without_transparency_has_no_mask():
    scene = Image.new("RGB", (64, 64), BLUE)
    for photo in (Image.new("RGB", (9, 9), RED), Image.new("RGBA", (9, 9), (*RED, 255))):
        assert compose(photo, scene, (0, 0, 32, 32), 64).mask is None


def test_a_cutout_that_is_nowhere_opaque_is_refused():
    ghost = Image.new("RGBA", (9, 9))
    ghost.paste((*RED, 100), (2, 2, 6, 6))
    with pytest.raises(PhotoError, match="no pixel of alpha 128 or more"):
        compose(ghost, None, (0, 0, 32, 32), 64)
