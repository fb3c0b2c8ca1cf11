"""Pictures of the error gallery: the edge of the object's mask on those that have one."""

import base64
import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.data.split import open_split
from benchmark.reports.error_gallery import pictures
from d3s_dataset.errors import ReleaseError
from d3s_dataset.utils.outline import EDGE, outlined


def shown(release, keys):
    """The pixels of the gallery's pictures."""
    found = pictures(release, open_split(release, "default", "validation").facts(), keys)
    return {key: pixels(base64.b64decode(uri.partition(",")[2])) for key, uri in found.items()}


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.fixture
def altered(sample_release, tmp_path):
    """A copy of the sample whose shards a function changes."""

    def change(function):
        folder = shutil.copytree(sample_release, tmp_path / "d3s")
        manifest = json.loads((folder / "manifest.json").read_text())
        for shard in manifest["shards"]:
            path = folder / shard["path"]
            pq.write_table(function(pq.read_table(path)), path)
            shard["bytes"] = path.stat().st_size
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return change


def test_pictures_show_the_edge_of_the_mask_and_nothing_else_changes(sample_release, altered):
    rows = pq.read_table(next((sample_release / "data").glob("validation-*"))).slice(0, 3).to_pylist()
    older = altered(lambda table: table.drop_columns(["mask"]))
    keys = [row["key"] for row in rows]
    drawn_on, plain = shown(sample_release, keys), shown(older, keys)
    assert drawn_on.keys() == plain.keys() == set(keys)
    for row in rows:
        one, other = drawn_on[row["key"]], plain[row["key"]]
        drawn = np.asarray(edge_alone(row["mask"]["bytes"], one.shape[1::-1])) > 0
        assert np.abs(one - EDGE)[drawn].mean() < 30  # as far as JPEG keeps a line
        assert np.abs(other - EDGE)[drawn].mean() > 60
        height, width = (side // 8 for side in drawn.shape)  # JPEG's blocks, each encoded by itself
        crossed = drawn.reshape(height, 8, width, 8).any(axis=(1, 3)).repeat(8, 0).repeat(8, 1)
        assert 0.02 < crossed.mean() < 0.9
        assert (one == other)[~crossed].all()


def edge_alone(mask, size):
    """A mask's edge on black, grey."""
    return outlined(Image.new("RGB", size), mask).convert("L")


def test_a_mask_that_cannot_be_read_is_one_line(altered):
    def broken(table):
        column = pa.array([{"bytes": b"none", "path": None}] * len(table), table.schema.field("mask").type)
        return table.set_column(table.column_names.index("mask"), table.schema.field("mask"), column)

    release = altered(broken)
    key = str(open_split(release, "default", "validation").key[0])
    with pytest.raises(ReleaseError, match=f"image {key} cannot be read as an image") as caught:
        shown(release, [key])
    assert "\n" not in str(caught.value)
