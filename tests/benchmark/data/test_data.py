"""Images come in order, whole and lazily from real shards; damage names shard and key."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.cache.cache import Cache
from benchmark.data.decode import blocks
from benchmark.data.split import open_split
from d3s_dataset.errors import DatasetNotFound, ReleaseError


def _cut(n: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def _pixels(folder: Path, split: str) -> np.ndarray:
    paths = sorted((folder / "data").glob(f"{split}-*"))
    table = pa.concat_tables(pq.read_table(path, columns=["image"]) for path in paths)
    return np.stack([np.array(Image.open(io.BytesIO(each["bytes"]))) for each in table["image"].to_pylist()])


@pytest.mark.parametrize(("size", "ahead", "held"), [(16, 0, 1), (16, 1, 2), (90, 0, 1), (7, 3, 1)])
def test_blocks_hold_every_image_in_order(toy, size, ahead, held):
    split = open_split(toy, "default", "validation")
    assert split.rows == (50, 40)
    made = np.zeros((90, 48, 48, 3), np.uint8)
    for (start, stop), images in blocks(split, np.array, _cut(90, size), ahead=ahead, held=held):
        made[start:stop] = images
    np.testing.assert_array_equal(made, _pixels(toy, "validation"))


@given(spans=st.lists(st.integers(0, 119), min_size=2, max_size=8, unique=True).map(sorted))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_may_leave_rows_out(toy, spans):
    """As a run that goes on does: across shards and row groups."""
    wanted, split = list(zip(spans[::2], spans[1::2], strict=False)), open_split(toy, "default", "train")
    expected = _pixels(toy, "train")
    for (start, stop), images in blocks(split, np.array, wanted):
        np.testing.assert_array_equal(images, expected[start:stop])


def test_images_of_another_shape_are_refused(make, tmp_path):
    rows = [make.record(i, make.jpeg(np.zeros((8, 8 + (i == 5), 3), np.uint8)), 1, 0) for i in range(10)]
    split = open_split(make.write_release(tmp_path / "d3s", {"validation": rows}), "default", "validation")
    with pytest.raises(ReleaseError, match=f"{5:020x} cannot be read: its transform gives uint8"):
        list(blocks(split, np.array, [(0, 10)]))


def _as_long_as_listed(folder, shard):
    """Let the manifest list the size that a shard has now, which is looked at before its content is."""
    path = folder / "manifest.json"
    listed = json.loads(path.read_text())
    (entry,) = (each for each in listed["shards"] if each["path"] == f"data/{shard.name}")
    entry["bytes"] = shard.stat().st_size
    path.write_text(json.dumps(listed))


def test_a_shard_that_the_manifest_does_not_list_has_no_digest(toy, tmp_path):
    cache = Cache(tmp_path / "cache")
    before = open_split(toy, "default", "validation").content(cache)
    assert before != open_split(toy, "default", "train").content(cache)
    shard = _damaged(toy, tmp_path / "other")
    assert open_split(tmp_path / "other", "default", "validation").content(cache) == before
    pq.write_table(pq.read_table(shard).slice(0, 40), shard, compression="none")
    _as_long_as_listed(tmp_path / "other", shard)
    with pytest.raises(ReleaseError, match="is not the file that its manifest lists"):
        open_split(tmp_path / "other", "default", "validation").content(cache)


def test_limit_names_the_part(toy):
    part = open_split(toy, "default", "validation", 60)
    assert (part.n, part.facts().n, part.facts().split) == (60, 60, "validation[:60]")
    assert len(part.labels) == 60
    assert len(part.key) == 60
    assert open_split(toy, "default", "validation", 500).facts().split == "validation"


def test_verified_fraction(make, tmp_path):
    image = make.jpeg(np.zeros((8, 8, 3), np.uint8))
    rows = [make.record(i, image, 1, 0, verified=value) for i, value in enumerate([True, True, False, True])]
    folder = make.write_release(tmp_path / "d3s", {"validation": rows})
    assert open_split(folder, "default", "validation").facts().verified_fraction == 0.75


@pytest.mark.parametrize("damage", [b"no image", None, "cut"])
@pytest.mark.parametrize("count", [10, 100])
def test_corrupt_images_are_counted_with_shard_and_key(make, tmp_path, damage, count):
    """In the main process (10 images) and in worker processes (100)."""
    image = make.jpeg(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    broken = image[: len(image) // 2] if damage == "cut" else damage
    rows = [make.record(i, broken if i in (7, 9) else image, 1, 0) for i in range(count)]
    folder = make.write_release(tmp_path / "d3s", {"validation": rows})
    split = open_split(folder, "default", "validation")
    with pytest.raises(ReleaseError) as caught:
        list(blocks(split, np.array, [(0, count)]))
    assert str(caught.value).endswith(f"(and 1 more of rows 0 to {count - 1})")
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
    with pytest.raises(ReleaseError, match=rf"{cut.name}: expected [\d,]+ bytes, got [\d,]+ \(is it cut short"):
        open_split(tmp_path / "cut", "default", "validation")
    fewer = _damaged(toy, tmp_path / "fewer")
    pq.write_table(pq.read_table(fewer).slice(0, 5), fewer)
    _as_long_as_listed(tmp_path / "fewer", fewer)
    with pytest.raises(ReleaseError, match="holds 5 rows, the manifest says 40"):
        open_split(tmp_path / "fewer", "default", "validation")
    narrow = _damaged(toy, tmp_path / "narrow")
    pq.write_table(pq.read_table(narrow).drop_columns(["background", "key"]), narrow)
    _as_long_as_listed(tmp_path / "narrow", narrow)
    with pytest.raises(ReleaseError, match="lacks the columns key, background; it has image, foreground, wnid"):
        open_split(tmp_path / "narrow", "default", "validation")
