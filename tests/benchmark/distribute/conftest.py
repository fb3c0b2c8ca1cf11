"""An evaluation on one machine to compare with, and how files are compared."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark import run
from benchmark.cache import blocks
from benchmark.schemas.predictions import read, write


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the 90 images of `toy` six blocks."""
    monkeypatch.setattr(blocks, "BLOCK", 16)


@pytest.fixture(scope="session")
def other(small: Path, make: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`small` with another bias."""
    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(small, folder)
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"fc.bias": weights["fc.bias"] + torch.arange(1000) / 100}, folder / "model.safetensors")
    make.age(folder)
    return folder


@pytest.fixture
def line(toy: Path, small: Path) -> list[str]:
    """Arguments that name what is evaluated: one model."""
    return ["--model", f"local-dir:{small}", "--dataset", str(toy), "--precision", "fp32"]


@pytest.fixture
def two(line: list[str], other: Path) -> list[str]:
    """Arguments that name what is evaluated: two models."""
    return [*line[:2], f"local-dir:{other}", *line[2:]]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run `benchmark.run` with a cache by name; return the folder of results of that name."""

    def go(name: str, *arguments: str, out: bool = True) -> Path:
        monkeypatch.setenv("D3S_CACHE", str(tmp_path / "caches" / name))
        run.main([*arguments, *(["--out", str(tmp_path / name)] if out else [])])
        return tmp_path / name

    return go


def same_files(one: Path, other: Path) -> bool:
    """Return whether two folders hold the same results and predictions to the byte, their seconds set to 0."""
    return _bytes(one) == _bytes(other)


def _bytes(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".parquet":
            predictions = read(path)
            before = path.read_bytes()
            write(path, predictions)
            assert path.read_bytes() == before  # writing again changes nothing, so what follows compares the file
            write(path, replace(predictions, provenance=predictions.provenance | {"seconds": 0.0}))
            found[path.name] = path.read_bytes()
            path.write_bytes(before)
        else:
            content = json.loads(path.read_text())
            assert content["seconds"] > 0
            found[path.name] = json.dumps(content | {"seconds": 0.0}).encode()
    assert found
    return found


@pytest.fixture(scope="session")
def same() -> Callable[[Path, Path], bool]:
    """See `same_files`."""
    return same_files
