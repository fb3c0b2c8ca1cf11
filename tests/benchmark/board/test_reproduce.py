"""Running the named weights again: an honest submission passes, the labels sent as answers do not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from benchmark import leaderboard, submit
from benchmark.board import reproduce, rules, workers
from benchmark.board.ranking import REPRODUCED
from benchmark.board.reproduce import agree
from benchmark.board.schema import Board
from benchmark.board.submission import FOLDER
from benchmark.cache.cache import Options
from benchmark.data.split import open_split
from benchmark.inference.evaluate import Subject, measure_one
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as results
from benchmark.schemas.identity import write_files
from benchmark.schemas.predictions import Predictions
from d3s_dataset import manifest as manifests
from d3s_dataset.errors import ModelError
from tests.benchmark.board.conftest import answers, refused, written

ROWS = 30


@pytest.fixture(scope="module")
def honest(release, small, tmp_path_factory):
    """What `benchmark.run` says of a small model, in fp32."""
    split = open_split(release, "default", "validation")
    options = Options("fp32", compile=False)
    made = measure_one(Subject(f"local-dir:{small}"), split, options, 0.0)
    return write_files(tmp_path_factory.mktemp("run"), *made)


def state(board, release, out, name, model):
    more = ["--reproduce", name, "--rows", str(ROWS), "--model", model]
    leaderboard.main([str(board), "--out", str(out), "--dataset", str(release), *more])
    (entry,) = Board.model_validate_json((out / "board.json").read_bytes()).entries
    return entry


@pytest.mark.parametrize("again", [False, pytest.param(True, marks=pytest.mark.long)], ids=["once", "again"])
def test_an_honest_one_is_ranked_and_keeps_its_place(honest, board, release, send, tmp_path, small, again):
    send(honest, board)
    name = next((board / FOLDER).iterdir()).name
    line = [board, "--out", tmp_path / "board", "--dataset", release, "--reproduce", name]
    # A stranger's folder is not read: the owner types where the weights lie.
    assert "code and folders load only when typed as --model" in refused(leaderboard.main, *line)
    entry = state(board, release, tmp_path / "board", name, f"local-dir:{small}")
    assert (entry.state, entry.rank, entry.sequence, entry.run_again) == ("reproduced", 1, 1, ROWS)
    assert entry.reason == f"{ROWS} of {ROWS} images run again agree"
    # Run again once more, it keeps its place.
    if again:
        assert state(board, release, tmp_path / "board", name, f"local-dir:{small}").sequence == 1


def test_labels_sent_as_answers_with_real_weights_named_are_not(honest, board, release, send, tmp_path, small):
    sent = predictions_.read(honest.with_suffix(".parquet"))
    lies = written(tmp_path / "lies", replace(sent, **vars(answers(sent.foreground, 1.0, 0))))
    assert results.read(lies).metrics.top1 == 1.0
    send(lies, board)  # labels are public: it recomputes perfectly
    name = next((board / FOLDER).iterdir()).name
    entry = state(board, release, tmp_path / "board", name, f"local-dir:{small}")
    assert (entry.state, entry.rank) == ("not reproduced", None)


def test_a_strangers_code_arguments_and_other_weights_are_not_run(measured, board, release, send, tmp_path, small):
    line = [board, "--out", tmp_path / "out", "--dataset", release, "--reproduce"]

    def sent(name, **facts):
        before = set((board / FOLDER).glob("*"))
        send(measured(tmp_path / name.replace("/", "_") / str(len(facts)), name, **facts), board)
        (new,) = set((board / FOLDER).glob("*")) - before
        return new.name

    assert "code and folders load only when typed" in refused(leaderboard.main, *line, sent("os:system"))
    large = sent("resnet18", kwargs={"depth": 4096})
    assert "sets the model's argument depth: a board runs pad_type" in refused(leaderboard.main, *line, large)
    wide = sent("resnet18", kwargs={"img_size": 4096})
    assert "sets img_size 4096: expected at most 1024" in refused(leaderboard.main, *line, wide)
    other = sent("resnet18")
    typed = [other, "--model", f"local-dir:{small}"]
    assert "are others (digest" in refused(leaderboard.main, *line, *typed)
    assert not (board / REPRODUCED).exists()


@pytest.mark.long
def test_a_model_too_large_for_the_bounds_is_one_line(small, release, tmp_path):
    """A config of a stranger's repo decides how large a network is: here 51 GB in one layer."""
    folder = shutil.copytree(small, tmp_path / "large")
    config = json.loads((folder / "config.json").read_bytes())
    config |= {"architecture": "vit_tiny_patch16_224", "model_args": {"embed_dim": 65_536, "depth": 1, "num_heads": 8}}
    (folder / "config.json").write_text(json.dumps(config))
    model = results.Model(name="x", architecture=None, tag=None, kwargs={}, digest="", precision="fp32", transform={})
    asked = reproduce._Run(
        f"local-dir:{folder}", None, model, str(release), rules.rules_of(release), np.arange(2), None
    )
    with pytest.raises(ModelError, match=r"cannot be loaded: .*(memory|alloc)"):
        workers.alone(reproduce._run, asked, 300)


def rows(probability, prediction=(0, 1, 2, 3, 4), foreground=0, loss=None):
    """One image's answers."""
    probability = np.array([probability], dtype=np.float32)
    loss = -np.log(probability[0, 0]) if loss is None else loss
    labels = {"key": np.array(["k"]), "foreground": np.array([foreground]), "background": np.array([0]),
              "foreground_source": np.array(["f"]), "background_source": np.array(["b"])}  # fmt: skip
    return Predictions(**labels, prediction=np.array([prediction]), probability=probability,
                       loss=np.array([loss], dtype=np.float32))  # fmt: skip


AGAIN = (0.6, 0.2, 0.05, 0.05, 0.01)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (rows(AGAIN), True),
        (rows((0.601, 0.199, 0.05, 0.05, 0.01)), True),
        (rows(AGAIN, (0, 1, 3, 2, 4)), True),  # two classes of one probability
        (rows(AGAIN, (0, 1, 2, 3, 9)), True),  # the fifth and the sixth
        (rows(AGAIN, (1, 0, 2, 3, 4)), False),
        (rows(AGAIN, (0, 1, 4, 3, 2)), False),
        (rows((0.7, 0.2, 0.05, 0.05, 0.01)), False),
        (rows(AGAIN, loss=0.0), False),
    ],
)
def test_when_two_runs_agree_on_an_image(sent, expected):
    assert agree(sent, rows(AGAIN)).tolist() == [expected]


def test_a_label_put_in_as_the_fifth_does_not_agree():
    again = rows(AGAIN, foreground=77, loss=12.0)  # the label is far from the five
    forged = rows(AGAIN, (0, 1, 2, 3, 77), foreground=77, loss=-np.log(0.01))
    assert agree(forged, again).tolist() == [False]
    quiet = rows(AGAIN, (0, 1, 2, 3, 77), foreground=77, loss=12.0)
    assert agree(quiet, again).tolist() == [False]


@pytest.mark.long
def test_with_trained_weights_on_photos(photos, make, real_weights, tmp_path):
    """The labels of 200 real photos, with MobileNetV2's real weights named; and what those weights really say."""
    release = tmp_path / "d3s"
    shutil.copytree(photos, release)
    manifests.write(release, manifests.read(photos).model_copy(update={"kind": "d3s"}))
    board = tmp_path / "submissions"
    leaderboard.main([str(board), "--begin", "--dataset", str(release)])
    split = open_split(release, "default", "validation")
    subject = Subject("mobilenetv2_100", real_weights, {"pad_type": "same"})
    path = write_files(tmp_path / "run", *measure_one(subject, split, Options("fp32", compile=False), 0.0))

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
