"""The same release from a Hub repo: load_dataset, the builder, check and benchmark, by the real client over HTTP."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import one_line_error
from tests.support.hub_server import COMMIT, serve

REPO = "lab/d3s"


@pytest.fixture(scope="module")
def endpoint(sample_release):
    with serve({REPO: sample_release}) as address:
        yield address


@pytest.fixture
def python(endpoint, tmp_path):
    """Run code in a process that takes the local server for the Hub, with caches of its own."""

    def run(code):
        environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "D3S_REPO": REPO}
        environment |= {"HF_DATASETS_CACHE": str(tmp_path / "datasets"), "HF_HUB_DISABLE_XET": "1"}
        line = [sys.executable, "-c", textwrap.dedent(code)]
        result = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    return run


def test_load_dataset_map_and_streaming(python):
    out = python(
        """
        from datasets import load_dataset
        for streaming in (False, True):
            data = load_dataset("lab/d3s", streaming=streaming)
            print({split: sum(1 for _ in data[split]) for split in data}, data["train"].features["background"].names[9])
        """
    )
    assert out.splitlines() == ["{'train': 400, 'validation': 80} cave"] * 2


def test_load_finds_the_repo_named_by_the_variable(python):
    out = python("from d3s_dataset import load; print(len(load(split='validation')))")
    assert out.split() == ["80"]


def test_the_builder_over_a_repo(python):
    out = python(
        """
        from d3s_dataset import D3S
        builder = D3S(repo_id="lab/d3s")
        builder.download_and_prepare()
        built, streamed = builder.as_dataset(split="validation"), builder.as_streaming_dataset(split="validation")
        print(len(built), built["key"][:] == [row["key"] for row in streamed], built.features == streamed.features)
        """
    )
    assert out.split() == ["80", "True", "True"]


def test_a_split_is_fetched_without_the_rest(python):
    out = python(
        f"""
        from d3s_dataset.load import fetch
        folder = fetch("lab/d3s", "default", "validation", revision={COMMIT!r})
        print(*sorted(path.name for path in folder.rglob("*.*")))
        """
    )
    assert out.split() == ["manifest.json", "validation-00000-of-00001.parquet"]


def test_check_of_a_repo(command, endpoint, tmp_path):
    environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    result = command("d3s_dataset.check", REPO, **environment)
    assert result.returncode == 0, result.stderr
    assert "all checks passed (400 train, 80 validation rows" in result.stdout
    assert "no data set repo 'lab/gone' on the Hub" in one_line_error(
        command("d3s_dataset.check", "lab/gone", **environment)
    )
