import os
import shutil
import subprocess
import sys

import pytest
from datasets import ClassLabel, Image, load_dataset

from d3s_dataset import load
from d3s_dataset.errors import DatasetNotFound, ReleaseError
from d3s_dataset.load import fetch, resolve


@pytest.fixture
def beside(sample_release, tmp_path, monkeypatch):
    """A working directory in which the release is the folder ./d3s."""
    (tmp_path / "d3s").symlink_to(sample_release)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("streaming", [False, True])
def test_plain_load_dataset_reads_the_folder_beside(streaming):
    data = load_dataset("d3s", streaming=streaming)
    assert set(data) == {"train", "validation"}
    assert isinstance(data["train"].features["image"], Image)
    assert data["train"].features["foreground"].num_classes == 1000
    assert data["train"].features["background"] == ClassLabel(
        names=["grass", "road", "forest", "water", "sand", "indoors", "snow", "rain", "night", "cave"]
    )
    assert {split: sum(1 for _ in data[split]) for split in data} == {"train": 400, "validation": 80}
    assert next(iter(data["train"]))["image"].size == (256, 256)


@pytest.mark.usefixtures("beside")
def test_load_is_thin_over_load_dataset():
    ours, theirs = load(split="validation"), load_dataset("d3s", split="validation")
    assert ours.features == theirs.features
    assert ours["key"][:] == theirs["key"][:]
    assert len(load(split="train+validation")) == 480
    assert len(load(split="train[:10]")) == 10
    assert next(iter(load(split="validation", streaming=True)))["key"] == theirs[0]["key"]


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"split": "test"}, "no split 'test'; it has train, validation"),
        ({"split": "train", "config": "guides"}, "no config 'guides'; it has default"),
    ],
)
def test_what_a_release_does_not_have_is_named(arguments, says):
    with pytest.raises(ReleaseError, match=says):
        load(**arguments)


def test_an_unfinished_release_says_how_to_go_on(sample_release, tmp_path):
    shutil.copytree(sample_release, tmp_path / "d3s")
    (tmp_path / "d3s" / "manifest.json").unlink()
    for split in ("train", None):
        with pytest.raises(ReleaseError, match=r"same generation\.run command again"):
            load(tmp_path / "d3s", split=split)


def test_names_resolve_in_the_documented_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetNotFound, match=r"generation\.run --recipe sample --out d3s"):
        resolve("d3s")
    monkeypatch.setenv("D3S_REPO", "lab/d3s")
    assert resolve("d3s").repo == "lab/d3s"
    (tmp_path / "d3s").mkdir()
    assert str(resolve("d3s").folder) == "d3s"
    assert resolve("other/name").repo == "other/name"
    for wrong in ("./gone/folder", "/gone/folder", "gone", "a/b/c", "org/"):
        with pytest.raises(DatasetNotFound, match="expected a folder or a Hub repo"):
            resolve(wrong)


def test_an_unreachable_hub_is_one_line():
    code = "from d3s_dataset.load import fetch\nfetch('lab/d3s', 'default', 'validation')"
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (
        "DatasetNotFound: there is no folder lab/d3s, and the Hub repo 'lab/d3s' cannot be reached"
        in result.stderr.splitlines()[-1]
    )


def test_fetch_of_a_folder_is_the_folder(sample_release):
    assert fetch(sample_release, "default", "train") == sample_release


def test_a_release_of_nearly_that_name_is_named(sample_release, tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "d3s").symlink_to(sample_release)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetNotFound, match=r"did you mean demo/d3s\?"):
        resolve("./demo/d3")
