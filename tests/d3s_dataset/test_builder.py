import pytest
from datasets import load_dataset

from d3s_dataset import D3S
from d3s_dataset.errors import DatasetNotFound, ReleaseError
from d3s_dataset.schema import CONFIGS


def test_the_builder_gives_what_load_dataset_gives(sample_release, tmp_path):
    builder = D3S(data_dir=sample_release, cache_dir=str(tmp_path))
    builder.download_and_prepare()
    built, plain = builder.as_dataset(), load_dataset(str(sample_release))
    streamed = builder.as_streaming_dataset()
    assert set(built) == set(plain) == set(streamed) == {"train", "validation"}
    for split in plain:
        assert built[split].features == plain[split].features == streamed[split].features
        rows = [{**row, "image": row["image"].tobytes()} for row in plain[split]]
        assert [{**row, "image": row["image"].tobytes()} for row in built[split]] == rows
        assert [{**row, "image": row["image"].tobytes()} for row in streamed[split]] == rows


def test_another_release_is_never_taken_from_the_cache(sample_release, guides_release, tmp_path):
    for release, rows in ((sample_release, 80), (guides_release, 100)):
        builder = D3S(data_dir=release, cache_dir=str(tmp_path))
        builder.download_and_prepare()
        assert len(builder.as_dataset(split="validation")) == rows


def test_what_is_missing_is_named(sample_release, tmp_path):
    with pytest.raises(DatasetNotFound, match="got neither"):
        D3S()
    with pytest.raises(DatasetNotFound, match="got both"):
        D3S(data_dir=sample_release, repo_id="lab/d3s")
    with pytest.raises(ReleaseError, match="no config 'guides'; it has default"):
        D3S(data_dir=sample_release, config_name="guides")
    with pytest.raises(ReleaseError, match=r"no manifest\.json"):
        D3S(data_dir=tmp_path)
    assert set(D3S.builder_configs) == set(CONFIGS)
