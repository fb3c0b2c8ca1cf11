"""Images come in order, whole and lazily from real shards; damage names shard and key."""

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from benchmark.data import Images, batches, open_split
from d3s_dataset.errors import DatasetNotFound, ReleaseError


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image))


def test_batches_hold_every_image_in_order(toy):
    split = open_split(toy, "default", "validation")
    assert split.rows == (50, 40)
    pairs = list(batches(split, _tensor, 16))
    index = torch.cat([each for each, _ in pairs])
    assert index.tolist() == list(range(90))
    table = pa.concat_tables(pq.read_table(path, columns=["image", "key"]) for path in split.paths)
    expected = [np.array(Image.open(io.BytesIO(each["bytes"]))) for each in table["image"].to_pylist()]
    np.testing.assert_array_equal(torch.cat([each for _, each in pairs]).numpy(), expected)
    assert split.labels["key"].to_pylist() == table["key"].to_pylist()


def test_a_single_image_is_the_same_in_any_order(toy):
    images = Images(open_split(toy, "default", "train"), _tensor)
    forward = [images[i][1] for i in range(len(images))]
    for i in (119, 0, 64, 50, 49, 20, 19):
        assert torch.equal(images[i][1], forward[i])


def test_limit_names_the_part(toy):
    part = open_split(toy, "default", "validation", 60)
    assert (part.n, part.facts().n, part.facts().split) == (60, 60, "validation[:60]")
    assert len(part.labels) == 60
    assert sum(len(index) for index, _ in batches(part, _tensor, 16)) == 60
    assert open_split(toy, "default", "validation", 500).facts().split == "validation"


def test_memory_holds_one_row_group(toy):
    images = Images(open_split(toy, "default", "train"), _tensor)
    for i in range(len(images)):
        _ = images[i]
        assert len(images._held) <= 20


def test_verified_fraction(make, tmp_path):
    image = make.jpeg(np.zeros((8, 8, 3), np.uint8))
    rows = [make.record(i, image, 1, 0, verified=value) for i, value in enumerate([True, True, False, True])]
    folder = make.write_release(tmp_path / "d3s", {"validation": rows})
    assert open_split(folder, "default", "validation").facts().verified_fraction == 0.75


@pytest.mark.parametrize("damage", [b"no image", None, "cut"])
@pytest.mark.parametrize("count", [10, 100])
def test_a_corrupt_image_names_shard_and_key(make, tmp_path, damage, count):
    """In the main process (10 images) and in worker processes (100)."""
    image = make.jpeg(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    broken = image[: len(image) // 2] if damage == "cut" else damage
    rows = [make.record(i, broken if i == 7 else image, 1, 0) for i in range(count)]
    folder = make.write_release(tmp_path / "d3s", {"validation": rows})
    split = open_split(folder, "default", "validation")
    with pytest.raises(ReleaseError) as caught:
        list(batches(split, _tensor, 8))
    assert f"{7:020x}" in str(caught.value)
    assert "validation-00000-of-" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_wrong_with_a_release_is_one_line(make, toy, tmp_path):
    with pytest.raises(DatasetNotFound, match="no data set found"):
        open_split(tmp_path / "none", "default", "validation")
    with pytest.raises(ReleaseError, match="no split 'test'; it has train, validation"):
        open_split(toy, "default", "test")
    with pytest.raises(ReleaseError, match="no config 'guides'"):
        open_split(toy, "guides", "validation")
    empty = make.write_release(tmp_path / "empty", {"validation": []})
    with pytest.raises(ReleaseError, match="is empty"):
        open_split(empty, "default", "validation")


def _damaged(toy: Path, folder: Path) -> Path:
    shutil.copytree(toy, folder)
    return next((folder / "data").glob("validation-00001-*"))


def test_damaged_shards_are_named(toy, tmp_path):
    cut = _damaged(toy, tmp_path / "cut")
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(ReleaseError, match=f"{cut.name} cannot be read, is it cut short"):
        open_split(tmp_path / "cut", "default", "validation")
    fewer = _damaged(toy, tmp_path / "fewer")
    pq.write_table(pq.read_table(fewer).slice(0, 5), fewer)
    with pytest.raises(ReleaseError, match="holds 5 rows, the manifest says 40"):
        open_split(tmp_path / "fewer", "default", "validation")
    narrow = _damaged(toy, tmp_path / "narrow")
    pq.write_table(pq.read_table(narrow).drop_columns(["background", "key"]), narrow)
    with pytest.raises(ReleaseError, match="lacks the columns key, background; it has image, foreground, wnid"):
        open_split(tmp_path / "narrow", "default", "validation")
