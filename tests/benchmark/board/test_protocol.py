"""Another version of the protocol, and the difference below which entries share a tier."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmark import leaderboard
from benchmark.board.fold import power_line
from benchmark.board.rules import FILE_NAME, NEWEST, read_rules, truth_of
from benchmark.metrics.accuracy import hits
from benchmark.metrics.power import of_two
from benchmark.schemas import predictions as predictions_
from d3s_dataset.utils.power import DISCORDANCE, Photos
from tests.benchmark.board.conftest import IMAGES, refused, written
from tests.benchmark.board.test_board import build, by_name, reproduced


def set_protocol(root, version):
    path = root / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"protocol_version": version}))


@pytest.fixture
def two(board, measured, send, tmp_path):
    """A board with a whole entry, and a better one of before predictions held the sum of squares."""
    send(measured(tmp_path / "whole", "whole", 0.5, 1, digest="1a" * 32), board)
    older = predictions_.read(measured(tmp_path / "made", "older", 0.8, 2, digest="2a" * 32).with_suffix(".parquet"))
    send(written(tmp_path / "older", replace(older, squares=None)), board)
    reproduced(board, "whole", "older")
    return board


def test_every_entry_is_scored_anew_and_none_is_thrown_away(two, release, tmp_path):
    assert read_rules(two).protocol_version == NEWEST == 2
    found = by_name(build(two, release, tmp_path / "second"))
    assert (found["whole"].state, found["whole"].rank) == ("reproduced", 1)
    assert (found["older"].state, found["older"].rank) == ("incomplete", None)
    assert found["older"].reason == "protocol 2 needs squares, which its predictions lack: run it again"
    assert found["older"].numbers.all.right == 96  # shown all the same
    set_protocol(two, 1)
    first = by_name(build(two, release, tmp_path / "first"))
    assert {name: (each.state, each.rank) for name, each in first.items()} == {
        "older": ("reproduced", 1), "whole": ("reproduced", 2)
    }  # fmt: skip
    assert first["older"].numbers == found["older"].numbers
    set_protocol(two, 2)
    assert by_name(build(two, release, tmp_path / "again")) == found
    assert (tmp_path / "again" / "board.json").read_bytes() == (tmp_path / "second" / "board.json").read_bytes()


def test_a_protocol_that_is_not_there_is_one_line(two, release, tmp_path):
    set_protocol(two, NEWEST + 1)
    said = refused(leaderboard.main, two, "--out", tmp_path / "board", "--dataset", release)
    assert said.startswith(f"{two / FILE_NAME} cannot be read: protocol_version: ")


@pytest.mark.long
def test_the_power_line_is_measured_on_the_tests_of_the_tiers(board, release, measured, send, tmp_path):
    made = {}
    for index, (name, accuracy) in enumerate([("a", 0.8), ("b", 0.75), ("c", 0.7)]):
        path = measured(tmp_path / "results", name, accuracy, index, digest=f"{index}a" * 32)
        made[name] = predictions_.read(path.with_suffix(".parquet"))
        send(path, board)
    reproduced(board, *made)
    found = build(board, release, tmp_path / "board")
    assert {name: each.tier for name, each in by_name(found).items()} == {"a": 1, "b": 1, "c": 1}
    names = [f"background {number}" for number in range(10)]
    against = [of_two(made["a"], made[name], names)["all images"] for name in ("b", "c")]
    right = {name: hits(each.foreground, each.prediction) for name, each in made.items()}
    assert [each.discordance for each in against] == [(right["a"] != right[name]).mean() for name in ("b", "c")]
    assert (found.power.pairs, found.power.n) == (2, IMAGES)
    assert found.power.discordance == pytest.approx(np.median([each.discordance for each in against]), abs=1e-6)
    assert found.power.detectable == pytest.approx(np.median([each.detectable for each in against]), abs=1e-6)
    line = f"{100 * found.power.detectable:.1f} points"
    assert line in (tmp_path / "board" / "board.md").read_text()


def test_before_any_test_the_power_line_is_that_of_the_photos(board, release):
    truth = truth_of(release, read_rules(board))
    found = power_line([], truth)
    # 12 foreground photos ten times each; on each background three photos four times each.
    assert (found.pairs, found.discordance) == (0, DISCORDANCE)
    assert found.detectable is not None
    assert found.detectable == pytest.approx(Photos(IMAGES, 12.0, 30.0, 11).detectable(), abs=1e-6)
