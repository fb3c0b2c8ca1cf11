import io

import numpy as np
import pytest
from PIL import Image

from d3s_dataset.utils.outline import EDGE, outlined


def encoded(mask):
    sink = io.BytesIO()
    Image.fromarray(mask).convert("1").save(sink, "PNG")
    return sink.getvalue()


def test_the_edge_lies_inside_the_mask_and_is_one_pixel_wide():
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 4:28] = 255
    grey = Image.new("RGB", (32, 32), (90, 90, 90))
    drawn = (np.asarray(outlined(grey.copy(), encoded(mask))) == EDGE).all(axis=2)
    expected = mask > 0
    expected[9:19, 5:27] = False
    assert (drawn == expected).all()
    half = (np.asarray(outlined(grey.resize((16, 16)), encoded(mask))) == EDGE).all(axis=2)
    assert (half.any(axis=1).nonzero()[0][[0, -1]] == (4, 9)).all()
    assert (half.any(axis=0).nonzero()[0][[0, -1]] == (2, 13)).all()


def test_no_mask_is_no_edge_and_a_broken_one_is_an_error():
    grey = Image.new("RGB", (8, 8))
    assert outlined(grey.copy(), None) == grey
    with pytest.raises(ValueError, match="cannot identify image file"):
        outlined(grey, b"no picture")
