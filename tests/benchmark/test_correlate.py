"""The spurious-correlation task: what is drawn, who may take part, what is scored, and the whole table."""

import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from benchmark import correlate, train
from benchmark.data import pairing
from benchmark.data.pairing import PairingError
from benchmark.reports.text import worst_cells
from benchmark.schemas.experiments import Correlation, Scores
from benchmark.spurious import last_layer, task
from benchmark.spurious.sampling import NONE, Cells, draw, score
from d3s_dataset.errors import ModelError, ResultError
from d3s_dataset.identity import file_digest
from d3s_dataset.taxonomy import BACKGROUNDS, SUPERCLASSES, background_names

NAMES = list(background_names())
THREE = ("a", "b", "c")


def _cells(groups: int = 3, each: int = 20) -> Cells:
    """Every group and a class of none on every background, `each` times; group g is paired with background g."""
    group, background = (part.ravel() for part in np.mgrid[: groups + 1, : len(BACKGROUNDS)])
    group, background = np.repeat(group - 1, each), np.repeat(background, each)
    return Cells(group, background, group == background)


@given(rho=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_a_draw_has_the_share_of_aligned_images_that_rho_says(rho, seed):
    cells = _cells()
    drawn = draw(cells, THREE, NAMES, rho, seed)
    assert len(drawn.train) == len(set(drawn.train)) == 3 * 16  # four fifths of 20
    for group in range(3):
        rows = drawn.train[cells.group[drawn.train] == group]
        assert len(rows) == 16
        assert cells.aligned[rows].sum() == round(16 * (rho + (1 - rho) / 10))
        counts = np.bincount(cells.background[rows[~cells.aligned[rows]]], minlength=10)
        others = np.delete(counts, group)
        assert others.max() - others.min() <= 1
    assert not set(drawn.train) & set(drawn.balanced)
    assert NONE not in cells.group[drawn.balanced]
    assert len(set(np.bincount(cells.group[drawn.balanced] * 10 + cells.background[drawn.balanced]))) == 1
    again = draw(cells, THREE, NAMES, rho, seed)
    assert np.array_equal(drawn.train, again.train)


def test_seeds_draw_other_images():
    first, second = (set(draw(_cells(), THREE, NAMES, 1.0, seed).train) for seed in (0, 1))
    assert first != second


def test_a_draw_that_would_fall_short_is_refused():
    """Fewer conflicting images than rho asks for, and a group that is missing on a background."""
    cells = _cells()
    few = (cells.group != 1) | cells.aligned | (np.arange(len(cells.group)) % 20 == 0)  # nine of group b
    short = Cells(cells.group[few], cells.background[few], cells.aligned[few])
    with pytest.raises(ResultError, match=r"rho 0\.2 draws 12 conflicting training images of every group, got 9 of b"):
        draw(short, THREE, NAMES, 0.2, 0)
    there = (cells.group != 2) | (cells.background != 4)
    missing = Cells(cells.group[there], cells.background[there], cells.aligned[there])
    with pytest.raises(ResultError, match=f"got none of c on {NAMES[4]}"):
        draw(missing, THREE, NAMES, 1.0, 0)
    nowhere = cells.background != 4  # a background that the split does not show is nobody's lack
    fewer = Cells(cells.group[nowhere], cells.background[nowhere], cells.aligned[nowhere])
    assert 4 not in fewer.background[draw(fewer, THREE, NAMES, 1.0, 0).balanced]


def test_the_papers_pairing_is_theirs():
    found = pairing.read("paper")
    assert found.names == tuple(SUPERCLASSES)
    assert "indoors" not in {background for _, background in found.groups.values()}
    labels, background = np.array([151, 151, 7, 0, 999]), np.array([2, 0, 8, 0, 0])
    assert found.group(labels).tolist() == [0, 0, 1, 8, -1]
    assert found.aligned(labels, background, NAMES).tolist() == [True, False, True, True, False]
    assert found.conflicting(labels, background, NAMES).tolist() == [False, True, False, False, False]


def test_pairings_are_drawn_by_seed_and_come_back_from_files(tmp_path):
    first, same, other = (pairing.read(text) for text in ("3", "3", "4"))
    assert first == same != other
    assert len({background for _, background in first.groups.values()}) == 9
    (tmp_path / "a.json").write_text(json.dumps(pairing.read("sample").record()))
    assert pairing.read(str(tmp_path / "a.json")) == pairing.read("sample")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read as a pairing"),
        ('["dog"]', "is no pairing"),
        ('{"dog": "grass"}', "fewer than two groups"),
        ('{"dog": "grass", "cat": "road"}', "'cat'"),
        ('{"dog": "grass", "a": {"classes": [151], "background": "road"}}', "class 151 is unknown or in two groups"),
        ('{"dog": "grass", "a": {"classes": [1000], "background": "road"}}', "class 1000 is unknown"),
    ],
)
def test_a_damaged_pairing_is_refused(tmp_path, text, says):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PairingError, match=says):
        pairing.read(str(tmp_path / "a.json"))


def test_scores_are_means_over_images_and_seeds():
    cells = Cells(np.array([0, 0, 1, 1]), np.array([0, 5, 1, 5]), np.array([True, False, True, False]))
    right = np.array([[1, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
    base = np.array([[1, 0, 1, 0], [1, 0, 1, 0]], dtype=bool)
    found = score(right, base, cells, ("a", "b"), (np.arange(4), np.arange(4)))
    assert (found.aligned.mean, found.conflicting.mean, found.drop.mean) == (1, 0.75, 0.25)
    assert found.gain.mean == 0.75
    assert {name: each.mean for name, each in found.groups.items()} == {
        "a, aligned": 1,
        "a, conflicting": 0.5,
        "b, aligned": 1,
        "b, conflicting": 1,
    }
    assert found.worst is None
    assert found.worst_group is None  # of 30 images or more
    assert "fewer than 30 images" in found.conflicting.doubts
    alone = score(right[:1], base[:1], cells, ("a", "b"), (np.arange(4), np.arange(4)))
    assert (alone.conflicting.mean, alone.conflicting.ci95, alone.gain.ci95) == (0.5, (None, None), (None, None))


def test_files_of_the_older_form_are_read(tmp_path):
    """They have a `worst` over groups of any size and intervals over seeds; tables leave that worst group out."""
    some = {"mean": 0.8, "ci95": [0.7, 0.9]}
    old = {
        "aligned": some,
        "conflicting": some,
        "drop": some,
        "worst": some,
        "gain": some,
        "groups": {"a, aligned": some},
    }
    found = Scores.model_validate(old)
    assert (found.worst.mean, found.worst_group, found.doubts()) == (0.8, None, [])
    assert worst_cells(found.worst_group) == ("-", "-", "-")


def test_a_correlation_of_version_1_is_read():
    """Its fields and group names are `tied`, `untied` and `way`."""
    some = {"mean": 0.8, "ci95": [0.7, 0.9]}
    groups = {"dog, tied": some, "dog, untied": some, "odd, name, untied": some}
    worst = {"name": "dog, untied", "top1": 0.8, "ci95": [0.7, 0.9], "split_sample": 0.8, "picked": 0.9}
    scores = {"tied": some, "untied": some, "drop": some, "worst_group": worst, "gain": some, "groups": groups}
    dataset = dict.fromkeys(("revision", "verified_fraction")) | {
        "name": "d3s", "kind": "d3s", "digest": "0" * 64, "config": "default", "split": "validation", "n": 40,
        "backgrounds": NAMES,
    }  # fmt: skip
    old = {
        "schema_version": 1, "models": [], "datasets": [dataset, dataset], "pairing": {}, "rho": 1.0,
        "as_paper": False, "seeds": [0], "disjoint": {}, "n": {"tied": 40, "untied": 80},
        "rows": [{"model": "m", "way": "plain", "scores": scores}],
    }  # fmt: skip
    found = Correlation.model_validate(old)
    (row,) = found.rows
    assert (found.schema_version, found.n, row.method) == (2, {"aligned": 40, "conflicting": 80}, "plain")
    assert row.scores.worst_group.name == "dog, conflicting"
    assert list(row.scores.groups) == ["dog, aligned", "dog, conflicting", "odd, name, conflicting"]
    assert Correlation.model_validate_json(found.model_dump_json()) == found
    for broken in ({"rows": 3}, {"n": []}, {"rows": [{"scores": "x"}]}, {"rows": [None]}):
        with pytest.raises(ValidationError, match="not the fields of version 1"):
            Correlation.model_validate(old | broken)


def test_a_trainings_record_with_the_older_key_is_read(tmp_path):
    record = {"tied_only": PAIRS, "start": None}
    (tmp_path / "training.json").write_text(json.dumps(record))
    task.check_unseen(f"local-dir:{tmp_path}", pairing.read("pairs.json"))
    (tmp_path / "training.json").write_text(json.dumps(record | {"tied_only": None}))
    with pytest.raises(ModelError, match="type --as-paper"):
        task.check_unseen(f"local-dir:{tmp_path}", pairing.read("pairs.json"))


def test_group_dro_lowers_the_worst_groups_loss():
    """Two groups of one class, the smaller one behind the boundary that suits the larger one."""
    rng = np.random.default_rng(0)
    size = {"major": 190, "minor": 10}
    features = np.concatenate(
        [
            rng.normal([1, 1], 0.3, (size["major"], 2)),
            rng.normal([-1, 1], 0.3, (size["minor"], 2)),
            rng.normal([-1, -0.2], 0.3, (200, 2)),
        ]
    ).astype(np.float32)
    labels = np.repeat([0, 1], [200, 200])
    groups = np.repeat([0, 1, 2], [190, 10, 200])
    photo = np.arange(400)
    robust = last_layer.group_dro(features, labels, groups, photo, 2, 0)(features) == labels
    erm = last_layer.plain(features, labels, photo, 2, 0)(features).argmax(1) == labels
    assert min(robust[groups == each].mean() for each in range(3)) >= min(
        erm[groups == each].mean() for each in range(3)
    )
    assert robust[groups == 1].mean() >= 0.9


@pytest.fixture(scope="module")
def aligned(sample_release, tmp_path_factory):
    """A model of two epochs that saw no conflicting image of the sample's groups."""
    out = tmp_path_factory.mktemp("aligned") / "model"
    small = ["--model", "test_resnet", "--image-size", "32", "--epochs", "2", "--objective", "wasserstein"]
    train.main([*small, "--dataset", str(sample_release), "--aligned-only", "pairs.json", "--out", str(out)])
    return out


PAIRS = {
    "plant": {"classes": [949, 950, 951, 985, 992], "background": "sand"},
    "round": {"classes": [417, 430, 574, 805, 852], "background": "grass"},
    "city": {"classes": [409, 779, 879, 919, 920], "background": "road"},
}


@pytest.fixture(scope="module", autouse=True)
def _pairs_file(tmp_path_factory):
    """A pairing for a release of 480 rows, which has two images a class and background."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "pairs.json").write_text(json.dumps(PAIRS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def test_the_command_writes_every_method(sample_release, aligned, tmp_path, capsys):
    on = ["--dataset", str(sample_release), "--pairing", "pairs.json", "--repeats", "2", "--out", str(tmp_path)]
    correlate.main(["--model", f"local-dir:{aligned}", *on, "--erase", "none", "leace"])
    shown = capsys.readouterr().out
    assert re.search(rf"local-dir:{aligned}\n group +plain +erased: none +erased: leace ", shown)
    assert "rho 1;" in shown
    found = task.Correlation.model_validate_json(next(tmp_path.glob("*.correlation.json")).read_bytes())
    rows = {each.method: each.scores for each in found.rows}
    assert list(rows) == ["plain", "erased: none", "erased: leace", "foreground part", "JTT", "DFR", "GroupDRO"]
    assert rows["plain"] == rows["erased: none"]
    assert rows["plain"].gain.mean == 0
    assert found.pairing == PAIRS
    assert found.disjoint == {"foreground": True, "background": True}
    assert all(0 <= each.conflicting.mean <= 1 for each in rows.values())
    correlate.main(["--model", f"local-dir:{aligned}", *on, "--erase", "none", "leace"])
    assert capsys.readouterr().out == shown
    with pytest.raises(ModelError, match="is given 2 times: expected each model once"):
        correlate.main(["--model", f"local-dir:{aligned}", f"local-dir:{aligned}", *on])
    with pytest.raises(ModelError, match="one model, got 2"):
        correlate.main(["--model", "a", "b", *on, "--checkpoint", str(aligned / "model.safetensors")])


def test_the_weights_of_a_file_are_read(sample_release, aligned, tmp_path):
    """Mirrored kernels in a file come in place of the folder's own."""
    on = ["--dataset", str(sample_release), "--pairing", "pairs.json", "--repeats", "1", "--erase"]
    state = load_file(aligned / "model.safetensors")
    other = {key: value.flip(-1) if value.ndim == 4 else value for key, value in state.items()}
    save_file({key: value.contiguous() for key, value in other.items()}, tmp_path / "other.safetensors")
    rows = {}
    for name, file in (("own", None), ("other", tmp_path / "other.safetensors")):
        given = ["--checkpoint", str(file), "--model-kwargs", "drop_rate=0.1"] if file else []
        correlate.main(["--model", f"local-dir:{aligned}", *given, *on, "--out", str(tmp_path / name)])
        (path,) = (tmp_path / name).iterdir()
        found = task.Correlation.model_validate_json(path.read_bytes())
        assert found.models[0].checkpoint == (file and file.name)
        rows[name] = found.rows
    assert rows["own"] != rows["other"]


def test_a_model_that_may_have_seen_conflicting_images_is_refused(sample_release, aligned, tmp_path, fails):
    on = ["--dataset", str(sample_release), "--out", str(tmp_path)]
    assert "type --as-paper" in fails(correlate.main, ["--model", f"local-dir:{aligned}", "--pairing", "sample", *on])
    shutil.copytree(aligned, tmp_path / "unknown")
    (tmp_path / "unknown" / "training.json").unlink()
    with pytest.raises(ModelError, match="type --as-paper"):
        task.check_unseen(f"local-dir:{tmp_path / 'unknown'}", pairing.read("pairs.json"))
    task.check_unseen(f"local-dir:{aligned}", pairing.read("pairs.json"))
    task.check_unseen("resnet18.a1_in1k", pairing.read("paper"))
    for name in ("test_resnet", f"local-dir:{aligned}"):  # a file beside a training's record has its history
        with pytest.raises(ModelError, match="type --as-paper"):
            task.check_unseen(name, pairing.read("paper"), aligned / "model.safetensors")
        task.check_unseen(name, pairing.read("paper"), tmp_path / "unknown" / "model.safetensors")


@pytest.mark.long
def test_weights_that_a_training_starts_from_must_not_have_seen_them_either(sample_release, aligned, tmp_path, fails):
    """A training on aligned images from weights of one that saw all; from weights of one like it, it may take part."""
    pairs = pairing.read("pairs.json")
    small = ["--model", "test_resnet", "--image-size", "32", "--epochs", "1", "--dataset", str(sample_release)]
    train.main([*small, "--out", str(tmp_path / "all")])
    again = [*small, "--objective", "hsic", "--aligned-only", "pairs.json"]
    for start, out in (
        (tmp_path / "all", "from-all"),
        (aligned, "from-aligned"),
        (tmp_path / "from-all", "from-from-all"),
    ):
        train.main([*again, "--checkpoint", str(start / "model.safetensors"), "--out", str(tmp_path / out)])
        record = json.loads((tmp_path / out / "training.json").read_text())
        assert record["start"]["sha256"] == file_digest(start / "model.safetensors")
        assert record["start"]["training"] == json.loads((start / "training.json").read_text())
    task.check_unseen(f"local-dir:{tmp_path / 'from-aligned'}", pairs)
    for each in ("all", "from-all", "from-from-all"):
        with pytest.raises(ModelError, match="type --as-paper"):
            task.check_unseen(f"local-dir:{tmp_path / each}", pairs)
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "all" / "model.safetensors")
    with pytest.raises(ModelError, match="type --as-paper"):
        task.check_unseen("test_resnet", pairs, tmp_path / "link.safetensors")
    for record in ("null", "[" * 100_000, "[]"):
        (tmp_path / "from-all" / "training.json").write_text(record)
        with pytest.raises(ModelError, match="type --as-paper"):
            task.check_unseen(f"local-dir:{tmp_path / 'from-all'}", pairs)
    (tmp_path / "all" / "training.json").write_text("{")
    wrong = [*again, "--checkpoint", str(tmp_path / "all" / "model.safetensors"), "--out", str(tmp_path / "none")]
    assert "record of its training" in fails(train.main, wrong)


def test_bad_input(toy, aligned, tmp_path, fails):
    model = ["--model", f"local-dir:{aligned}"]
    for rho in ("1.5", "-0.1", "nan"):
        assert f"expected a number from 0 to 1, got '{rho}'" in fails(correlate.main, [*model, "--rho", rho])
    on = ["--dataset", str(toy), "--as-paper", "--out", str(tmp_path)]
    assert "5 or more aligned training images of every group, got 0 of dog" in fails(
        correlate.main, [*model, "--pairing", "paper", *on]
    )
    assert "invalid choice: 'magic'" in fails(correlate.main, [*model, "--erase", "magic"])
