import pyarrow.parquet as pq
import pytest

from d3s_dataset.identity import file_digest
from d3s_dataset.schema import arrow_schema, column_names
from d3s_dataset.taxonomy import background_names
from generation.release.shards import read_records, write_shard

NAMES = background_names()


def records(n):
    empty = dict.fromkeys(column_names())
    return [{**empty, "key": f"k{i}", "image": {"bytes": bytes([i]) * 50, "path": f"k{i}.jpg"}} for i in range(n)]


@pytest.mark.parametrize("n", [0, 1, 250])
def test_rows_survive_the_disk(tmp_path, n):
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    size, checksum = write_shard(path, records(n), NAMES)
    assert (size, checksum) == (path.stat().st_size, file_digest(path))
    assert list(read_records(path).values()) == records(n)
    assert pq.read_schema(path).equals(arrow_schema(), check_metadata=True)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_same_rows_give_the_same_bytes(tmp_path):
    assert write_shard(tmp_path / "a", records(120), NAMES) == write_shard(tmp_path / "b", records(120), NAMES)


def test_row_groups_and_page_index_let_readers_skip(tmp_path):
    write_shard(tmp_path / "a", records(250), NAMES)
    metadata = pq.ParquetFile(tmp_path / "a").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [100, 100, 50]
    assert metadata.row_group(0).column(0).has_column_index


def test_a_shard_that_cannot_be_read_holds_nothing(tmp_path):
    assert read_records(tmp_path / "gone") == {}
    write_shard(tmp_path / "a", records(3), NAMES)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-30])
    assert read_records(tmp_path / "a") == {}
