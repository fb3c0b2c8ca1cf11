import pytest
from pydantic import BaseModel

from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import read, to_json, verified_fraction, write


def test_a_manifest_survives_the_disk(sample_release, tmp_path):
    first = read(sample_release)
    write(tmp_path, first)
    assert read(tmp_path) == first
    assert (tmp_path / "manifest.json").read_bytes() == (sample_release / "manifest.json").read_bytes()


def test_splits_and_rows_add_up(sample_release):
    manifest = read(sample_release)
    assert manifest.configs() == ["default"]
    assert manifest.splits() == ["train", "validation"]
    assert [manifest.rows("default", split) for split in manifest.splits()] == [400, 80]
    assert [shard.index for shard in manifest.select("default", "train")] == [0, 1, 2]
    assert manifest.rows("default", "test") == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "Invalid JSON"), ("{}", "name"), ('{"nonsense": 1}', "required"), (None, "no manifest.json")],
)
def test_a_damaged_manifest_is_one_clear_line(tmp_path, content, says):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ReleaseError, match=says) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


class Score(BaseModel):
    value: float


def test_nan_is_refused_rather_than_written():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(Score(value=float("nan")))


@pytest.mark.parametrize(
    ("values", "share"), [([], None), ([None, None], None), ([True, None, False, True], 2 / 3), ([False], 0.0)]
)
def test_verified_fraction_counts_known_rows_only(values, share):
    assert verified_fraction(values) == share
