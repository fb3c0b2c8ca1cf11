"""What is evaluated, in how many blocks, into which cache."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark import run
from benchmark.cache import blocks


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
