"""Mistakes that many make get one line that names the way out."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark import report, submit
from benchmark.models.registry import check
from benchmark.score import main as score_main
from d3s_dataset.errors import ModelError


def test_a_result_given_to_score_names_the_predictions_next_to_it(tmp_path, fails):
    (tmp_path / "r.json").write_text("{}")
    assert f"expected the predictions next to it, {tmp_path / 'r.parquet'}" in fails(
        score_main, [str(tmp_path / "r.json")]
    )


def test_predictions_given_to_report_name_the_result_next_to_them(tmp_path, fails):
    pq.write_table(pa.table({"key": ["a"]}), tmp_path / "p.parquet")
    line = fails(report.main, [str(tmp_path / "p.parquet"), "--out", str(tmp_path / "x.html")])
    assert f"expected the result next to it, {tmp_path / 'p.json'}" in line


@pytest.mark.parametrize("place", ["nofolder", "../no/folder", "/no/folder"])
def test_submit_to_what_is_neither_repo_nor_folder_says_how_to_begin_a_board(place, tmp_path, fails):
    line = fails(submit.main, [str(tmp_path / "r.json"), "--repo-id", place, "--training-data", "web"])
    assert f"expected ORG/NAME or the folder of a board, got {place!r}" in line
    assert "--begin" in line


def test_a_module_that_python_does_not_find_is_named():
    with pytest.raises(ModelError, match="MODULE:FUNCTION; Python finds no module 'no_such_module' here"):
        check("no_such_module:fn", pretrained=True)
