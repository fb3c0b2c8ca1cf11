"""Running the named weights again: an honest submission passes, the labels sent as answers do not."""

from dataclasses import replace

import pytest

from benchmark import leaderboard, results, submit
from benchmark import predictions as predictions_
from benchmark.board.standing import Board
from benchmark.cache import Options
from benchmark.data import open_split
from benchmark.job import Subject, measure_one
from benchmark.submission import FOLDER
from d3s_dataset import manifest as manifests
from tests.benchmark.board.conftest import answers, refused, written

ROWS = 30


@pytest.fixture(scope="module")
def honest(release, small, tmp_path_factory):
    """What `benchmark.run` says of a small model, in fp32."""
    split = open_split(release, "default", "validation")
    options = Options("fp32", compile=False)
    return measure_one(Subject(f"local-dir:{small}"), split, options, tmp_path_factory.mktemp("run"), 0.0)[1]


def state(board, release, out, name):
    more = ["--reproduce", name, "--rows", str(ROWS)]
    leaderboard.main([str(board), "--out", str(out), "--dataset", str(release), *more])
    (entry,) = Board.model_validate_json((out / "board.json").read_bytes()).entries
    return entry


def test_an_honest_one_is_ranked(honest, board, release, send, tmp_path):
    send(honest, board)
    entry = state(board, release, tmp_path / "board", next((board / FOLDER).iterdir()).name)
    assert (entry.state, entry.rank) == ("reproduced", 1)
    assert entry.reason == f"{ROWS} of {ROWS} answers the same when run again"


def test_labels_sent_as_answers_with_real_weights_named_are_not(honest, board, release, send, tmp_path):
    sent = predictions_.read(honest.with_suffix(".parquet"))
    lies = written(tmp_path / "lies", replace(sent, **vars(answers(sent.foreground, 1.0, 0))))
    assert results.read(lies).metrics.top1 == 1.0
    send(lies, board)  # labels are public: it recomputes perfectly
    entry = state(board, release, tmp_path / "board", next((board / FOLDER).iterdir()).name)
    assert (entry.state, entry.rank) == ("not reproduced", None)


def test_a_strangers_code_and_other_weights_are_not_run(measured, board, release, send, tmp_path, small):
    line = [board, "--out", tmp_path / "out", "--dataset", release, "--reproduce"]
    send(measured(tmp_path / "a", "os:system"), board)
    code = next((board / FOLDER).glob("os_system--*")).name
    assert "expected weights on the Hub or in a folder, not code" in refused(leaderboard.main, *line, code)
    send(measured(tmp_path / "b", f"local-dir:{small}"), board)
    (other,) = {each.name for each in (board / FOLDER).iterdir()} - {code}
    assert "are others (digest" in refused(leaderboard.main, *line, other)


@pytest.mark.long
def test_with_trained_weights_on_photos(photos, make, real_weights, tmp_path):
    """The labels of 200 real photos, with MobileNetV2's real weights named; and what those weights really say."""
    release = tmp_path / "d3s"
    release.mkdir()
    for each in photos.iterdir():
        if each.is_dir():
            (release / each.name).symlink_to(each)
    manifests.write(release, manifests.read(photos).model_copy(update={"kind": "d3s"}))
    board = tmp_path / "submissions"
    leaderboard.main([str(board), "--begin", "--dataset", str(release)])
    split = open_split(release, "default", "validation")
    subject = Subject("mobilenetv2_100", real_weights, {"pad_type": "same"})
    path = measure_one(subject, split, Options("fp32", compile=False), tmp_path / "run", 0.0)[1]

    def sent(result):
        submit.main([str(result), "--repo-id", str(board), "--training-data", "imagenet", "--dataset", str(release)])
        name = next((board / FOLDER).iterdir()).name
        line = [str(board), "--out", str(tmp_path / "board"), "--dataset", str(release), "--reproduce", name]
        leaderboard.main([*line, "--rows", "50", "--checkpoint", str(real_weights)])
        (entry,) = Board.model_validate_json((tmp_path / "board" / "board.json").read_bytes()).entries
        return entry.state

    assert sent(path) == "reproduced"
    said = predictions_.read(path.with_suffix(".parquet"))
    lies = written(tmp_path / "lies", replace(said, **vars(answers(said.foreground, 1.0, 0))))
    assert sent(lies) == "not reproduced"
