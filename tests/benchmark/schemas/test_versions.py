"""Files of older versions are read and brought up to date; newer ones are one line."""

import json

import pyarrow.parquet as pq
import pytest

from benchmark.board.schema import Board
from benchmark.board.submission import Description
from benchmark.schemas import experiments, result
from benchmark.schemas.predictions import read, write
from benchmark.schemas.versions import Versioned
from d3s_dataset.errors import ResultError
from tests.benchmark.board.features import probed, sweep
from tests.benchmark.conftest import some_predictions


def every_kind(kind=Versioned):
    return {each for below in kind.__subclasses__() for each in (below, *every_kind(below))}


@pytest.mark.parametrize("kind", sorted(every_kind(), key=lambda kind: kind.__name__))
def test_every_file_has_a_version_and_a_way_up_from_each_before(kind):
    assert set(kind.UPGRADES) == set(range(1, kind.VERSION))
    assert next(iter(kind.model_fields)) == "schema_version" or kind.__name__ == "_Sent"


def test_the_files_that_others_read_are_versioned():
    names = {each.__name__ for each in every_kind()}
    assert {"Result", "Comparison", "Chain", "Probed", "Correlation", "Sweep", "Board", "Rules", "Record"} <= names
    assert issubclass(Description, Versioned)
    assert issubclass(experiments.Sweep, Versioned)


def test_a_result_of_version_1_is_read(tmp_path):
    from benchmark.metrics.compute import score
    from d3s_dataset.taxonomy import background_names

    metrics = score(some_predictions(), background_names()).model_dump(mode="json")
    for part in (metrics, *metrics["by_background"].values()):
        del part["further"]
    dataset = dict.fromkeys(("revision", "verified_fraction")) | {
        "name": "d3s", "kind": "d3s", "digest": "0" * 64, "config": "default", "split": "validation", "n": 40,
        "backgrounds": list(background_names()),
    }  # fmt: skip
    model = {"name": "m", "architecture": None, "tag": None, "kwargs": {}, "digest": "1" * 64, "precision": "fp32"}
    old = {"schema_version": 1, "model": model | {"transform": {}}, "dataset": dataset, "metrics": metrics}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(old | {"environment": {}, "seconds": 1.0}))
    found = result.read(path)
    assert found.schema_version == result.Result.VERSION
    assert found.metrics.further == {}
    assert found.metrics.metric("aurc") is None
    assert found.metrics.ece == metrics["ece"]


def test_a_result_of_version_3_is_read(provenance):
    from benchmark.metrics.compute import score
    from d3s_dataset.taxonomy import background_names

    metrics = score(some_predictions(), background_names()).model_dump(mode="json")
    old = {**provenance(), "schema_version": 3, "metrics": metrics}
    del metrics["factors"], metrics["severity"]
    found = result.Result.model_validate_json(json.dumps(old))
    assert (found.schema_version, found.metrics.factors, found.metrics.severity) == (4, None, None)


def test_a_board_of_version_1_is_read():
    cell = {"n": 2, "right": 1, "top1": 0.5, "ci95": [0.1, 0.9], "doubtful": True}
    numbers = {"answers": "a", "all": cell, "top5": 1.0, "by_background": {}, "worst": None, "gap": None}
    numbers |= {"flip_rate": None, "ece": 0.25}
    rules = {"name": "d3s", "kind": "d3s", "digest": "0" * 64, "config": "default", "split": "validation", "n": 2}
    entries = [{"id": "a", "content": "c", "state": "refused"}]
    entries.append({"id": "b", "content": "d", "state": "recomputed", "numbers": numbers})
    found = Board.model_validate({"schema_version": 1, "rules": rules, "entries": entries})
    assert found.entries[1].numbers.metrics == {"ece": 0.25}
    assert found.schema_version == Board.VERSION


def test_predictions_of_a_newer_version_are_refused(tmp_path):
    path = tmp_path / "p.parquet"
    write(path, some_predictions())
    assert b"d3s_schema_version" not in pq.read_schema(path).metadata
    table = pq.read_table(path)
    for version, expected in ((b"3", "is newer than 2"), (b"x", "expected a whole number from 1 to 2, got 'x'")):
        pq.write_table(table.replace_schema_metadata({b"d3s_schema_version": version}), path)
        with pytest.raises(ResultError, match=expected):
            read(path)


def test_probes_and_sweeps_of_version_1_are_read(provenance):
    dataset = result.Dataset.model_validate(provenance()["dataset"])
    new = {"readable", "null", "raw_readable", "erased_readable"}

    def older(fields):
        return {name: value for name, value in fields.items() if name not in new}

    both = (experiments.Probed, probed(dataset, "leace"), 2), (experiments.Sweep, sweep(dataset), 3)
    for kind, made, version in both:
        old = json.loads(made.model_dump_json(), object_hook=older) | {"schema_version": 1}
        found = kind.model_validate_json(json.dumps(old))
        assert found.schema_version == kind.VERSION == version
        assert found.model_dump(exclude={"readable"}) == made.model_dump(exclude={"readable"})
