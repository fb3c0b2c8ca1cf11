import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from PIL import Image

from generation.screen import screen


@given(arrays(np.uint8, (7, 5, 3)))
def test_contrast_and_clipping_agree_with_numpy(pixels):
    luminance = np.asarray(Image.fromarray(pixels).convert("L"), float)
    found = screen(Image.fromarray(pixels))
    assert found["screen_contrast"] == pytest.approx(luminance.std(), abs=1e-9)
    assert found["screen_clipped"] == pytest.approx(np.isin(pixels, [0, 255]).mean())
    exact = pixels.astype(float) @ [0.299, 0.587, 0.114]
    assert found["screen_contrast"] == pytest.approx(exact.std(), abs=1)  # luminance is rounded to 8 bits


@pytest.mark.parametrize(("level", "clipped"), [(77, 0.0), (0, 1.0), (255, 1.0)])
def test_blank_and_burnt_out_images_stand_out(level, clipped):
    blank = Image.new("RGB", (8, 8), (level,) * 3)
    assert screen(blank) == {"screen_contrast": 0.0, "screen_clipped": clipped}
