"""The command `benchmark.probe` on a small release of real files, and what it refuses."""

import json
import shutil

import numpy as np
import pytest

from benchmark import probe
from benchmark.models import training_record
from benchmark.models.training_record import Partition
from benchmark.probing.probes import logistic
from benchmark.schemas import experiments
from d3s_dataset.errors import D3SError, ResultError
from tests.conftest import one_line_error


@pytest.fixture(scope="module")
def crossed(make, tmp_path_factory):
    """Patches on noise: three classes of three photos on three photos of three backgrounds, which tint the rest."""
    rng = np.random.default_rng(0)
    foregrounds = [(label, f"foreground-{label}-{photo}") for label in (1, 7, 151) for photo in range(3)]
    backgrounds = [(label, f"background-{label}-{photo}") for label in range(3) for photo in range(3)]
    shade = {name: rng.integers(0, 60, 3) for _, name in foregrounds + backgrounds}
    rows = []
    for label, foreground_photo in foregrounds:
        for background, background_photo in backgrounds:
            pixels = rng.integers(0, 40, (32, 32, 3)) + shade[background_photo]
            pixels[..., background] += 60
            pixels[8:24, 8:24] = shade[foreground_photo] + (100 if label == 1 else 150 if label == 7 else 190)
            rows.append((label, background, foreground_photo, background_photo, pixels.astype(np.uint8)))
    records = [
        make.record(
            i,
            make.jpeg(pixels),
            label,
            background,
            foreground_source=foreground_photo,
            background_source=background_photo,
        )
        for i, (label, background, foreground_photo, background_photo, pixels) in enumerate(rows)
    ]
    short = [each for each in records if not each.background_source.endswith("-2")]
    splits = {"validation": records, "train": records[:9], "short": short}
    return make.write_release(tmp_path_factory.mktemp("crossed") / "d3s", splits)


def line(small, crossed, tmp_path, *others) -> list[str]:
    where = ["--model", f"local-dir:{small}", "--dataset", str(crossed), "--out", str(tmp_path / "out")]
    return [*where, "--probes", "linear", "--null", "2", *others]


def test_the_whole_table_and_what_is_erased(small, crossed, tmp_path, capsys):
    probe.main(line(small, crossed, tmp_path, "--erase", "leace"))
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.endswith("-probe-leace.json")
    found = experiments.Probed.model_validate_json(path.read_bytes())
    asked = {(each.label, each.cut) for each in found.readings}
    assert {(label, cut) for label in ("foreground", "background") for cut in probe.CUTS} <= asked
    assert found.converged
    assert found.kept[0].head is not None
    main = next(each for each in found.readings if (each.label, each.cut) == ("background", "unseen_background"))
    assert main.n == 81
    assert main.accuracy > main.chance
    assert found.erasure[0].photos == (3, 3, 3)
    shown = capsys.readouterr().out
    assert "background <- all" in shown
    assert "leace erases the background" in shown
    probe.main(line(small, crossed, tmp_path))  # another file, and the same figures
    again = json.loads(next((tmp_path / "out").glob("*-probe.json")).read_text())
    assert again["readings"] == json.loads(path.read_text())["readings"]


def test_an_eraser_of_the_photo_on_both_cuts_and_what_more_vectors_give_away(small, crossed, tmp_path, capsys):
    asked = ["--erase", "noise", "--erase-label", "photo", "--cut", "seen", "unseen", "--erase-kwargs", "strength=0.5"]
    probe.main(line(small, crossed, tmp_path, *asked, "--null", "0", "--allow-unconverged"))
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.endswith("-probe-noise-photo-seen-unseen.json")
    found = experiments.Probed.model_validate_json(path.read_bytes()).erasure
    assert [(each.cut, each.erases) for each in found[:2]] == [("seen", "background"), ("unseen", "background")]
    assert all(each.erase_label == "photo" and each.options == {"strength": 0.5} for each in found)
    assert [each.erased[0].cut for each in found[:2]] == ["unseen_foreground", "unseen_both"]
    assert [each.erased[0].n for each in found[:2]] == [27, 9]
    held = {(each.access, each.count): each for each in found[0].threats}
    assert set(held) == {("bag", 5), ("bag", 20), ("bag", 60), ("query", 16), ("limit", 0)}
    assert held["bag", 60].accuracy is None  # three test images of a photo
    assert held["query", 16].n == 27
    shown = capsys.readouterr().out
    assert "noise (strength 0.5) of the photo, unseen backgrounds erases the background" in shown
    assert "mean of 16 erasures per image" in shown


def test_a_model_with_split_features_gets_the_two_by_two_table(small, crossed, tmp_path):
    split = shutil.copytree(small, tmp_path / "split")
    training_record.write(split, Partition(foreground=72, background=24))
    probe.main(line(split, crossed, tmp_path))
    found = experiments.Probed.model_validate_json(next((tmp_path / "out").iterdir()).read_bytes())
    cells = {(each.features, each.label) for each in found.readings}
    assert cells >= {(part, label) for part in ("foreground", "background") for label in ("foreground", "background")}
    assert found.partition == (72, 24)


def test_a_probe_that_did_not_converge_fails_the_run_unless_allowed(small, crossed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(logistic, "LIMIT", 1)
    with pytest.raises(ResultError, match=r"probes did not converge, first linear .* type --allow-unconverged"):
        probe.main(line(small, crossed, tmp_path))
    assert not list((tmp_path / "out").iterdir())
    probe.main(line(small, crossed, tmp_path, "--allow-unconverged"))
    assert "not converged" in capsys.readouterr().out
    assert not json.loads(next((tmp_path / "out").iterdir()).read_text())["converged"]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (["--probes", "svm"], "unknown probe 'svm': expected --probes of linear, lda, knn, kernel, mlp"),
        (["--erase", "magic"], "unknown eraser 'magic': expected --erase of none"),
        (["--erase", "photo-lda", "--erase-label", "photo"], "--erase photo-lda uses no label of the background"),
        (["--erase", "noise", "--erase-kwargs", "strength=loud"], "expected a number for strength, got 'loud'"),
        (["--erase", "leace", "--erase-kwargs", "rank=3"], "the eraser 'leace' has no option 'rank': expected none"),
        (["--split", "train"], "all 9 images have the same foreground"),
        (["--split", "short"], "too few background photos: a cut by unseen background photos needs at least 3"),
    ],
)
def test_bad_input_is_one_line(small, crossed, tmp_path, others, expected):
    with pytest.raises(D3SError) as error:
        probe.main(line(small, crossed, tmp_path, *others))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_ends_with_one_line(small, crossed, tmp_path, command):
    made = command("benchmark.probe", *line(small, crossed, tmp_path, "--erase", "magic"))
    assert "unknown eraser" in one_line_error(made)
