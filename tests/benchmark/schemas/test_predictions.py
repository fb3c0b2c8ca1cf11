"""Predictions survive the round trip, and a file that is none says so in one line."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.schemas.predictions import BEST, SCHEMA, Predictions, read, write
from benchmark.schemas.text import codes_of, differing
from d3s_dataset.errors import ResultError


@given(n=st.integers(1, 30), seed=st.integers(0, 1000), photos=st.booleans())
@settings(max_examples=20, deadline=None)
def test_round_trip(make_predictions, tmp_path_factory, n, seed, photos):
    path = tmp_path_factory.mktemp("predictions") / "p.parquet"
    made = make_predictions(n=n, seed=seed)
    if not photos:
        made = replace(made, background_source=np.full(n, None, dtype=object))
    made = replace(made, provenance={"seconds": 1.5, "model": {"name": "a"}})
    write(path, made)
    again = read(path)
    for name in SCHEMA.names:
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    assert again.provenance == made.provenance


def test_columns_are_those_of_the_contract(make_predictions, tmp_path):
    write(tmp_path / "p.parquet", make_predictions())
    assert pq.read_schema(tmp_path / "p.parquet").names == [
        *("key", "foreground", "background", "foreground_source", "background_source"),
        *("prediction", "probability", "loss", "squares"),
    ]


def test_squares_may_be_missing_but_not_in_part(make_predictions, tmp_path):
    """Predictions from elsewhere need not keep what only the Brier score uses."""
    path = tmp_path / "p.parquet"
    write(path, replace(make_predictions(), squares=None))
    assert "squares" not in pq.read_schema(path).names
    assert read(path).squares is None
    table = pq.read_table(path)
    n = len(table)
    pq.write_table(table.append_column("squares", pa.nulls(n)), path)
    assert read(path).squares is None
    pq.write_table(table.append_column("squares", pa.array([None] + [0.5] * (n - 1))), path)
    with pytest.raises(ResultError, match="1 nulls"):
        read(path)


def test_predictions_from_pandas_are_read(make_predictions, tmp_path):
    """Another writer's integer widths and missing metadata do not matter."""
    made = make_predictions(n=12)
    columns = {name: getattr(made, name) for name in SCHEMA.names}
    for name in ("prediction", "probability"):
        columns[name] = [row.tolist() for row in columns[name]]
    import pandas as pd

    pd.DataFrame(columns).to_parquet(tmp_path / "p.parquet")
    again = read(tmp_path / "p.parquet")
    np.testing.assert_array_equal(again.prediction, made.prediction)
    assert again.provenance == {}


def test_file_problems_are_one_line(tmp_path, make_predictions):
    text = tmp_path / "text.parquet"
    text.write_text("no parquet")
    cut = tmp_path / "cut.parquet"
    write(cut, make_predictions())
    cut.write_bytes(cut.read_bytes()[:-20])
    for path, expected in {
        tmp_path / "none.parquet": "no predictions at",
        text: "cannot be read",
        cut: "cannot be read",
    }.items():
        with pytest.raises(ResultError, match=expected) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_missing_columns_say_which_there_are(tmp_path):
    pq.write_table(pa.table({"key": ["a"], "loss": [1.0]}), tmp_path / "p.parquet")
    with pytest.raises(ResultError, match=re.escape("it lacks foreground, background") + ".*it has key, loss"):
        read(tmp_path / "p.parquet")


def _changed(made: Predictions, name: str, value) -> Predictions:
    column = getattr(made, name).copy()
    column[3] = value
    return replace(made, **{name: column})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("key", "0-0", "same key stands in two rows"),
        ("foreground", 1000, "foreground labels in 0..999"),
        ("background", -1, "background labels of 0 or more"),
        ("prediction", -1, "predicted classes in 0..999"),
        ("prediction", [1, 2, 3, 3, 4], "same class twice"),
        ("probability", np.nan, "probabilities in"),
        ("probability", [0.1, 0.2, 0.3, 0.1, 0.1], "best prediction first"),
        ("loss", np.nan, "finite losses"),
        ("squares", np.nan, "sums of squared probabilities"),
    ],
)
def test_bad_values_are_refused(make_predictions, tmp_path, name, value, expected):
    write(tmp_path / "p.parquet", _changed(make_predictions(), name, value))
    with pytest.raises(ResultError, match=expected):
        read(tmp_path / "p.parquet")


def test_no_rows_are_refused(make_predictions, tmp_path):
    write(tmp_path / "p.parquet", make_predictions(n=0))
    with pytest.raises(ResultError, match="at least one row"):
        read(tmp_path / "p.parquet")


def test_wrong_types_nulls_and_short_lists_are_refused(make_predictions, tmp_path):
    path = tmp_path / "p.parquet"
    write(path, make_predictions())
    table = pq.read_table(path)
    n = len(table)
    for name, column, expected in [
        ("foreground", pa.array(["tench"] * n), "expected int64 in column foreground, got string"),
        ("key", pa.array([None] * n, pa.string()), "nulls"),
        ("prediction", pa.array([[1, 2]] * n), f"lists of {BEST}"),
        ("prediction", pa.array([None, *[[1, 2, 3, 4, 5]] * (n - 1)]), "1 nulls"),
    ]:
        at = table.column_names.index(name)
        pq.write_table(table.set_column(at, name, column), path)
        with pytest.raises(ResultError, match=expected):
            read(path)


def test_a_failed_write_leaves_the_old_file(make_predictions, tmp_path):
    path: Path = tmp_path / "p.parquet"
    write(path, make_predictions())
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Out of range float"):
        write(path, replace(make_predictions(seed=1), provenance={"seconds": float("nan")}))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["p.parquet"]


def test_columns_of_text_are_compared_and_coded_however_they_are_held():
    one, other = ["b", None, "a", "c"], ["b", None, None, "d"]
    held = [
        np.array(other, dtype=object),
        pa.array(other),
        pa.array(other).dictionary_encode(),
        pa.chunked_array([other]),
    ]
    for values in held:
        assert differing(values, pa.array(one)).tolist() == [2, 3]
        assert codes_of([pa.array(one), values]).tolist() == [1, -1, 0, 2, 1, -1, -1, 3]
