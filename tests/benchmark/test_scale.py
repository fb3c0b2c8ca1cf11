"""Memory for each row of predictions, by two sizes; files of several row groups; keys joined in blocks as by sets."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.schemas import columns, predictions, text
from tests.support.scale import taken, write

SIZES = (20_000, 140_000)
MOST = {"score": 500, "compare": 650}  # bytes a row; before text stayed in Arrow 970 and 1,290


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    made = [[folder / f"{n}-{seed}.parquet" for seed in (1, 2)] for n in SIZES]
    for n, paths in zip(SIZES, made, strict=True):
        for seed, path in enumerate(paths, start=1):
            write(path, n, seed)
    return made


@pytest.mark.parametrize("command", ["score", "compare"])
def test_memory_of_a_row(files, command):
    runs = files if command == "compare" else [paths[:1] for paths in files]
    small, large = taken(command, *runs, quick=True)
    slope = (large["peak"] - small["peak"]) * 2**20 / (SIZES[1] - SIZES[0])
    assert 0 < slope < MOST[command], (slope, small, large)


@pytest.mark.parametrize("whole", [True, False])
def test_keys_are_joined_in_blocks_as_by_sets(monkeypatch, whole):
    monkeypatch.setattr(text, "_STEP", 7)
    rng = np.random.default_rng(0)
    every = np.array([f"{word:05x}é" for word in rng.choice(1 << 20, 300, replace=False)])
    tables = [np.sort(every if whole else every[rng.random(300) < share]) for share in (0.9, 0.5, 0.7)]
    rows, everywhere = text.common([each.astype(object) for each in tables])
    shared = sorted(set.intersection(*(set(each) for each in tables)))
    assert len(shared) > 20
    for own, table in zip(rows, tables, strict=True):
        assert table[own].tolist() == shared
    assert everywhere == len(set.union(*(set(each) for each in tables)))


def test_rows_in_order_of_keys_are_those_of_the_file(make_predictions, tmp_path, monkeypatch):
    """Read in pieces and sorted: the same as sorted afterwards, whatever the row groups; of `best` the first class."""
    monkeypatch.setattr(columns, "_PIECE", 16)
    made = make_predictions(n=90)
    made = replace(made, background_source=np.where(np.arange(90) % 7 == 0, None, made.background_source))
    predictions.write(tmp_path / "one.parquet", made)
    pq.write_table(pq.read_table(tmp_path / "one.parquet"), tmp_path / "p.parquet", row_group_size=25)
    order = np.argsort(made.key.astype(str))
    found = predictions.read(tmp_path / "p.parquet", ordered=True)
    best = predictions.read(tmp_path / "p.parquet", ordered=True, best=True)
    for name in predictions.SCHEMA.names:
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name)[order])
        if name not in ("prediction", "probability", "loss", "squares"):
            np.testing.assert_array_equal(getattr(best, name), getattr(made, name)[order])
    np.testing.assert_array_equal(best.prediction, made.prediction[order, :1])
    assert (best.probability, best.loss, best.squares) == (None, None, None)


def test_what_is_not_kept_is_checked(make_predictions, tmp_path):
    made = make_predictions()
    made.loss[3] = np.nan
    predictions.write(tmp_path / "p.parquet", made)
    with pytest.raises(predictions.ResultError, match="finite losses"):
        predictions.read(tmp_path / "p.parquet", best=True)


def test_row_groups_and_arrow_columns_leave_the_file_as_it_was(make_predictions, tmp_path, monkeypatch):
    """As one call of pyarrow writes all rows, from Python's strings or as they were read."""
    monkeypatch.setattr(predictions, "_GROUP", 32)
    made = make_predictions(n=90)
    columns = {name: getattr(made, name) for name in predictions.SCHEMA.names}
    columns |= {name: list(columns[name]) for name in ("prediction", "probability")}
    schema = predictions.SCHEMA.with_metadata({"d3s": "{}"})
    pq.write_table(pa.table(columns, schema=schema), tmp_path / "whole.parquet", compression="zstd", row_group_size=32)
    predictions.write(tmp_path / "p.parquet", made)
    found = predictions.read(tmp_path / "p.parquet")
    predictions.write(tmp_path / "again.parquet", found)
    assert isinstance(text.stored(found, "key"), pa.Array)
    one, two, three = ((tmp_path / f"{name}.parquet").read_bytes() for name in ("whole", "p", "again"))
    assert one == two == three


def test_codes_of_a_dictionary_are_those_of_its_strings():
    values = np.array(["b", None, "a", "b", "é"], dtype=object)
    held = pa.DictionaryArray.from_arrays(pa.array([1, None, 3, 1, 0]), ["é", "b", "unused", "a"])
    for given in (values, pa.array(values), pa.chunked_array([pa.array(values)]), held):
        assert text.codes(given).tolist() == [1, -1, 0, 1, 2]
