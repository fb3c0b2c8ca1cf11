import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Image, load_dataset
from torch.utils.data import DataLoader

from d3s_dataset import load
from d3s_dataset.errors import DatasetNotFound, ReleaseError
from d3s_dataset.load import fetch, resolve
from d3s_dataset.manifest import read
from d3s_dataset.schema import required_columns
from tests.support.releases import decoded, rows_of


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
    ours, theirs = load(split="validation", columns="all"), load_dataset("d3s", split="validation")
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
        ({"split": "train", "columns": ["image", "label"]}, "no column 'label'; it has image, foreground, "),
        ({"columns": ["imag"]}, r"no column 'imag'; .*; did you mean image\?"),
    ],
)
def test_what_a_release_does_not_have_is_named(arguments, says):
    with pytest.raises(ReleaseError, match=says):
        load(**arguments)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fixture", ["sample_release", "guides_release"])
def test_batches_of_the_default_columns_need_no_collate_function(fixture, streaming, request):
    """The DataLoader as it is; over all columns it fails at the first null, as users would see it."""
    release = request.getfixturevalue(fixture)
    data = load(release, split="validation", streaming=streaming)
    assert tuple(data.features) == required_columns()
    rows = rows_of(release)
    seen = []
    for batch in DataLoader(data.with_format("torch"), batch_size=7):
        seen += batch["key"]
        assert batch["image"].dtype == torch.uint8
        assert batch["image"].shape[1:] == (3, *[read(release).image_size] * 2)
        first = rows[batch["key"][0]]
        assert np.array_equal(batch["image"][0].permute(1, 2, 0).numpy(), decoded(first))
        assert batch["foreground"].tolist() == [rows[key]["foreground"] for key in batch["key"]]
        assert batch["box"]["left"].tolist() == [rows[key]["box"]["left"] for key in batch["key"]]
    assert len(seen) == read(release).rows("default", "validation")
    everything = load(release, split="validation", columns="all", streaming=streaming).with_format("torch")
    with pytest.raises(TypeError, match="NoneType"):
        next(iter(DataLoader(everything, batch_size=7)))


def test_columns_come_as_they_were_asked_for(sample_release):
    assert list(load(sample_release, split="train", columns=("verified", "key")).features) == ["verified", "key"]
    assert {tuple(part.features) for part in load(sample_release, columns=["key"]).values()} == {("key",)}
    assert list(load(sample_release, split="train", columns="key").features) == ["key"]


@pytest.mark.usefixtures("beside")
def test_the_cards_code_runs_as_it_stands(sample_release, capsys):
    section = (sample_release / "README.md").read_text().split("## Load it")[1].split("## What is in it")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        exec(block, names)
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].startswith("torch.Size([32, 3, 256, 256]) ")
    assert sum("torch.Size([32, 3, 256, 256])" in line for line in shown) == 2
    assert names["verified"][0]["verified"] is None


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
