import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from generation.screen import screen


@given(arrays(np.uint8, (7, 5, 3)))
def test_contrast_and_clipping_agree_with_numpy(pixels):
    luminance = pixels.astype(np.float64) @ [0.299, 0.587, 0.114]
    found = screen(pixels)
    assert found["screen_contrast"] == pytest.approx(luminance.std(), abs=1e-6)
    assert found["screen_clipped"] == pytest.approx(np.isin(pixels, [0, 255]).mean())


def test_blank_and_burnt_out_images_stand_out():
    assert screen(np.full((8, 8, 3), 77, np.uint8)) == {"screen_contrast": 0.0, "screen_clipped": 0.0}
    assert screen(np.full((8, 8, 3), 255, np.uint8)) == {"screen_contrast": 0.0, "screen_clipped": 1.0}
