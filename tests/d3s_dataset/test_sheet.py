import numpy as np
import pytest
from PIL import Image

from d3s_dataset.sheet import contact_sheet
from tests.conftest import one_line_error


def test_a_sheet_has_a_cell_for_each_class_and_background(sample_release, tmp_path, command):
    result = command("d3s_dataset.sheet", sample_release, "--out", tmp_path / "a.png", "--rows", 3, "--cell", 40)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.size == (150 + 10 * 40, 20 + 3 * 40)
        assert all(sheet.getpixel((150 + 40 * i + 20, 40)) != (255, 255, 255) for i in range(10))


def test_masks_are_outlined_on_request(sample_release):
    plain, outlined = (
        contact_sheet(sample_release, "default", "validation", 3, 64, masks=masks) for masks in (False, True)
    )
    drawn = (np.asarray(outlined) == (255, 0, 255)).all(axis=2)
    assert 0 < drawn.mean() < 0.2
    assert (np.asarray(plain)[~drawn] == np.asarray(outlined)[~drawn]).all()


@pytest.mark.parametrize(("out", "says"), [("a.nonsense", ".png or .jpg"), ("gone/a.png", "can be written")])
def test_a_picture_that_cannot_be_written_is_one_line(sample_release, tmp_path, command, out, says):
    assert says in one_line_error(command("d3s_dataset.sheet", sample_release, "--out", tmp_path / out))
