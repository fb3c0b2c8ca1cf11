"""16-bit pictures in somebody's release: grey everywhere, as they are, and not white."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from benchmark.data.split import open_split
from benchmark.reports.error_gallery import _small
from d3s_dataset.errors import ReleaseError
from d3s_dataset.sheet import contact_sheet
from d3s_dataset.utils.pixels import rgb
from generation.verify.prepare.images import encoded
from tests.benchmark.conftest import jpeg, record, write_release


def grey16(level: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.full((48, 48), level, np.uint16)).save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture
def deep(tmp_path):
    rows = [record(index, grey16(257 * 96), 1, index) for index in range(10)]
    return write_release(tmp_path / "d3s", {"validation": rows})


def test_the_contact_sheet_shows_them_grey(deep):
    sheet = contact_sheet(deep, "default", "validation", 1, 40)
    assert sheet.getpixel((150 + 20, 40)) == (96, 96, 96)


def test_the_gallery_shows_them_grey(deep):
    split = open_split(str(deep), "default", "validation")
    shown = _small(split, 0, next(iter(split.images())), None).partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(shown))) as picture:
        assert picture.getpixel((5, 5)) == pytest.approx((96, 96, 96), abs=2)


def test_annotators_see_them_grey():
    content, suffix = encoded(grey16(257 * 96), "here")
    assert suffix == ".png"
    assert rgb(content).getpixel((5, 5)) == (96, 96, 96)


@pytest.mark.parametrize("content", [b"", b"no picture", jpeg(np.zeros((48, 48, 3), np.uint8))[:300]])
def test_a_contact_sheet_names_the_row_whose_image_cannot_be_read(tmp_path, content):
    folder = write_release(tmp_path / "d3s", {"validation": [record(7, content, 1, 0)]})
    with pytest.raises(ReleaseError, match=rf"row {7:020x}: its image cannot be read"):
        contact_sheet(folder, "default", "validation", 1, 40)
