"""A result is a typed file: null for what nobody knows, names that other tools can rely on, one-line errors."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmark.metrics.registry import METRICS
from benchmark.schemas.metrics import Further
from benchmark.schemas.result import Result, make_folder, read, write
from benchmark.score import score
from d3s_dataset.errors import ResultError, WriteError
from d3s_dataset.taxonomy import background_names
from tests.support.results import dataset, model


@pytest.fixture
def result(make_predictions) -> Result:
    metrics = score(make_predictions(), background_names())
    return Result(model=model(), dataset=dataset(), metrics=metrics, environment={"python": "3.11"}, seconds=1.5)


def test_round_trip(result, tmp_path):
    write(tmp_path / "r.json", result)
    assert read(tmp_path / "r.json") == result
    write(tmp_path / "again.json", read(tmp_path / "r.json"))
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "r.json").read_bytes()


def test_an_empty_group_is_null(make_predictions, result, tmp_path):
    everything = make_predictions()
    one = replace(everything, background=np.full(len(everything), 3))
    write(tmp_path / "r.json", result.model_copy(update={"metrics": score(one, background_names())}))
    content = json.loads((tmp_path / "r.json").read_text())
    empty = content["metrics"]["by_background"]["grass"]
    assert empty == {"n": 0, "top1": None, "top5": None, "ci95": [None, None]} | {
        "foreground_sources": 0,
        "background_sources": 0,
        "doubts": [],
        **dict.fromkeys(("error_ratio", "ece", "brier", "loss")),
        "further": {name: None for name in METRICS if name not in Further.model_fields},
    }
    assert content["metrics"]["worst_background"]["name"] == "water"
    assert "NaN" not in (tmp_path / "r.json").read_text()


def test_the_contract_s_fields_are_there(result, tmp_path):
    write(tmp_path / "r.json", result)
    content = json.loads((tmp_path / "r.json").read_text())
    assert set(content) == {"schema_version", "model", "dataset", "metrics", "environment", "seconds"} | {
        "run",
        "imagenet",
        "drop",
    }
    assert {"name", "tag", "digest", "precision", "transform"} <= set(content["model"])
    wanted = {"name", "kind", "revision", "digest", "config", "split", "n", "verified_fraction"}
    assert wanted <= set(content["dataset"])
    assert {"top1", "top5", "by_background", "worst_background", "gap"} <= set(content["metrics"])
    assert list(content["metrics"]["by_background"]) == list(background_names())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seconds": "soon"}, "seconds: "),
        ({"extra": 1}, "extra: "),
        ({"schema_version": None}, "schema_version: expected a whole number from 1 to 4, got None"),
        ({"schema_version": True}, "schema_version: expected a whole number"),
        ({"schema_version": 5}, "schema_version 5 is newer than 4, the newest that is read: update d3s"),
    ],
)
def test_a_file_that_is_no_result_is_one_line(result, tmp_path, change, expected):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(result.model_dump(mode="json") | change))
    with pytest.raises(ResultError, match=expected) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files_are_one_line(tmp_path):
    with pytest.raises(ResultError, match="no result at"):
        read(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"schema_version": 1, ')
    with pytest.raises(ResultError, match="cannot be read as a result") as caught:
        read(tmp_path / "half.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(WriteError, match="cannot make the folder"):
        make_folder(tmp_path / "half.json")
