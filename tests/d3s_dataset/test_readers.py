"""A release is read by the tools its users already have, without our code."""

import io
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pandas
import polars
import pytest
from PIL import Image
from timm.data import create_dataset


def test_pandas_polars_and_duckdb(sample_release):
    files = str(sample_release / "data" / "validation-*.parquet")
    frame = pandas.concat(pandas.read_parquet(file) for file in sorted(sample_release.glob("data/validation-*")))
    table = polars.read_parquet(files)
    counts = duckdb.sql(f"select background, count(*) from '{files}' group by 1 order by 1").fetchall()
    assert len(frame) == table.height == sum(count for _, count in counts) == 80
    assert frame["key"].tolist() == table["key"].to_list()
    assert [label for label, _ in counts] == list(range(10))
    picture = Image.open(io.BytesIO(table["image"][0]["bytes"]))
    assert (picture.size, picture.mode) == ((256, 256), "RGB")


def test_timms_own_reader(sample_release):
    data = create_dataset(f"hfds/{sample_release}", "", split="validation", input_key="image", target_key="foreground")
    assert len(data) == 80
    image, target = data[0]
    assert image.size == (256, 256)
    assert 0 <= target < 1000


SCRIPT = textwrap.dedent(
    """
    import datasets, sys
    from datasets import ClassLabel, Image, load_dataset
    for streaming in (False, True):
        data = load_dataset("d3s", streaming=streaming)
        for split, rows in (("train", 400), ("validation", 80)):
            features = data[split].features
            assert isinstance(features["image"], Image), features
            assert features["foreground"].num_classes == 1000 and features["background"].num_classes == 10
            assert isinstance(features["foreground"], ClassLabel)
            found = list(data[split])
            assert len(found) == rows, (split, len(found))
            assert found[0]["image"].size == (256, 256)
    for package in ("torch", "timm", "d3s_dataset"):
        assert package not in sys.modules
    print("read with", datasets.__version__)
    """
)


@pytest.mark.parametrize("version", [pytest.param("3.6.*", marks=pytest.mark.long), "5.*"])
def test_datasets_and_pillow_alone_are_enough(sample_release, tmp_path, version):
    """A separate environment with only `datasets` and `pillow`, as a user of the Hub has it."""
    uv, python = Path(sys.executable).parent / "uv", tmp_path / "venv" / "bin" / "python"
    for line in (
        [uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"],
        [uv, "pip", "install", "--quiet", "--python", python, f"datasets=={version}", "pillow"],
    ):
        subprocess.run(line, check=True, cwd=tmp_path, timeout=300)
    (tmp_path / "d3s").symlink_to(sample_release)
    environment = {"HF_HOME": str(tmp_path / "hf"), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [python, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert f"read with {version.split('.')[0]}." in result.stdout
