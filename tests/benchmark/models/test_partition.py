"""Which features speak for which label: written, read again, refused where it is damaged."""

import pytest

from benchmark.models import training_record
from benchmark.models.training_record import Partition
from d3s_dataset.errors import ModelError


def test_a_partition_comes_back_from_its_folder(tmp_path):
    wanted = Partition(foreground=1798, background=250)
    training_record.write(tmp_path, wanted)
    assert training_record.read(tmp_path) == wanted
    assert (wanted.columns("foreground"), wanted.columns("background")) == (slice(0, 1798), slice(1798, 2048))


def test_a_folder_without_one_is_not_split(tmp_path):
    assert training_record.read(tmp_path) is None


@pytest.mark.parametrize("text", ["{", '{"foreground": 0, "background": 3}', '{"foreground": 3}'])
def test_a_damaged_record_is_refused(tmp_path, text):
    (tmp_path / training_record.FILE).write_text(text)
    with pytest.raises(ModelError, match="expected a split of features"):
        training_record.read(tmp_path)
