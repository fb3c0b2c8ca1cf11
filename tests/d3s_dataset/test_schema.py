import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features
from datasets.info import DatasetInfo

from d3s_dataset.schema import Record, arrow_schema, column_names, columns_table, feature_dict, feature_yaml, features


@pytest.mark.parametrize("backgrounds", [None, ["old", "future"]])
def test_arrow_schema_carries_the_features_as_datasets_writes_them(backgrounds):
    ours, theirs = arrow_schema(backgrounds), features(backgrounds).arrow_schema
    assert Features.from_arrow_schema(ours) == features(backgrounds)
    assert ours.equals(theirs, check_metadata=False)


def test_yaml_is_what_datasets_writes():
    theirs = DatasetInfo(features=features())._to_yaml_dict()["features"]
    assert feature_yaml() == theirs


def test_labels_survive_parquet(tmp_path):
    record = dict.fromkeys(column_names()) | {"foreground": 999, "background": 0}
    pq.write_table(pa.Table.from_pylist([record], schema=arrow_schema()), tmp_path / "a.parquet")
    loaded = Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache"))
    assert loaded.features == features()
    assert loaded.features["foreground"].int2str(517) == "crane (machine)"
    assert loaded.features["background"].names[9] == "cave"


def test_names_agree_everywhere():
    names = column_names()
    assert tuple(Record.__dataclass_fields__) == tuple(feature_dict()) == tuple(arrow_schema().names) == names
    assert [line.split("`")[1] for line in columns_table().splitlines()[2:]] == list(names)
