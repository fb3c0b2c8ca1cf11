"""The command that sets two models against each other."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.compare import compare, compare_table
from benchmark.compare import main as compare_main
from benchmark.metrics import compute
from benchmark.schemas import result
from benchmark.schemas.predictions import Predictions, take, write


@pytest.fixture
def save(tmp_path, provenance):
    def save(name: str, predictions: Predictions, **facts) -> Path:
        made = replace(predictions, provenance=provenance(name=name, n=len(predictions), **facts))
        write(tmp_path / f"{name}.parquet", made)
        result.write(tmp_path / f"{name}.json", compute.result_of(made, name))
        return tmp_path / f"{name}.json"

    return save


def test_command_compares_the_images_both_have(make_predictions, save, tmp_path, capsys):
    made = make_predictions(n=300, n_foregrounds=40, n_backgrounds=12)
    wrong = replace(made, prediction=np.roll(made.prediction, 1, axis=1))
    paths = save("good", take(made, np.arange(290))), save("bad.v1", take(wrong, np.arange(5, 300)))
    compare_main([*map(str, paths), "--out", str(tmp_path / "new" / "c.json")])
    shown = capsys.readouterr().out
    assert "285 images in both; A lacks 10, B lacks 5" in shown
    assert "p (Holm)" in shown
    written = result.Comparison.model_validate_json((tmp_path / "new" / "c.json").read_text())
    assert written == compare(*paths)
    total = written.changes["all images"]
    assert total.change == -total.before
    assert (total.gained, total.odds_ratio) == (0, 0)
    assert total.p <= 0.01
    assert written.first.name == "good"


def test_a_model_against_itself_differs_nowhere(make_predictions, save):
    path = save("a", make_predictions(n=100))
    found = compare(path, path.with_suffix(".parquet"))
    assert {each.p for each in found.changes.values() if each.n > 1} <= {1.0, None}
    assert {each.change for each in found.changes.values()} <= {0.0, None}


def test_other_releases_are_pointed_out(make_predictions, save):
    paths = [save(name, make_predictions(), digest=digit * 64) for name, digit in (("a", "1"), ("b", "1"))]
    assert "different releases" not in compare_table(compare(*paths))
    other = save("c", make_predictions(), images="2" * 64)
    assert "different releases (digests cdcdcdcd, 22222222)" in compare_table(compare(paths[0], other))


def _ended(*paths) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "benchmark.compare", *map(str, paths)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_bad_input_is_one_line_and_exit_code_1(make_predictions, save, tmp_path):
    one, other = save("a", make_predictions()), save("b", make_predictions(seed=1))
    alone = save("c", make_predictions())
    alone.with_suffix(".parquet").unlink()
    swapped = save("d", make_predictions())
    swapped.with_suffix(".parquet").write_bytes(other.with_suffix(".parquet").read_bytes())
    bare = tmp_path / "bare.parquet"
    write(bare, make_predictions())
    cases = {
        (one, other): "no image in common between",
        (one, tmp_path / "none.json"): "no result at",
        (one, alone): "a comparison needs them next to",
        (one, swapped): "is of another model (b, abababab)",
        (one, bare): "provenance that cannot be read",
    }
    for paths, expected in cases.items():
        ended = _ended(*paths)
        assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
        assert expected in ended.stderr
