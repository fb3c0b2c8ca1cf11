"""Models of one transform decode an image once, within a bounded memory, and give the files of each alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark import run
from benchmark.cache import decoded as module
from benchmark.cache.decoded import Decoded, free_memory
from benchmark.data import decode
from benchmark.data.decode import blocks, shared_blocks
from benchmark.data.split import open_split
from benchmark.schemas.predictions import read

MIB = 2**20


def test_blocks_of_another_transform_make_room_and_those_of_the_same_stay():
    held = Decoded(3 * MIB)
    for name, spans in ((b"one", range(2)), (b"two", range(3)), (b"two", range(3, 5))):
        for at in spans:
            held.put("images", name, (at, at + 1), np.full(MIB, at, np.uint8))
    assert [held.get("images", b"one", (at, at + 1)) is None for at in range(2)] == [True, True]
    assert [held.get("images", b"two", (at, at + 1)) is None for at in range(5)] == [False] * 3 + [True] * 2
    assert held.held == 3 * MIB
    held.put("images", b"three", (0, 1), np.zeros(4 * MIB, np.uint8))  # never fits, so drops nothing
    assert held.held == 3 * MIB


def test_the_memory_is_the_machine_s_or_the_narrowest_group_s(tmp_path, monkeypatch):
    own, outer = tmp_path / "own", tmp_path / "groups" / "outer"
    (outer / "inner").mkdir(parents=True)
    for group, most in ((outer, f"{5 * MIB}"), (outer / "inner", "max")):
        (group / "memory.max").write_text(f"{most}\n")
        (group / "memory.current").write_text(f"{2 * MIB}\n")
    monkeypatch.setattr(module, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(module, "_OWN", own)
    own.write_text("1:memory:/outer\n")  # version 1, which is not read
    assert free_memory() > 3 * MIB
    own.write_text("0::/outer/inner\n")
    assert free_memory() == 3 * MIB


def test_what_does_not_fit_is_decoded_again(toy, tmp_path):
    split, spans = open_split(toy, "default", "validation"), [(0, 30), (30, 60), (60, 90)]
    expected = [pixels.copy() for _, pixels in blocks(split, np.array, spans)]
    held = Decoded(2 * expected[0].nbytes)
    for _ in range(2):
        found = [(span, pixels.copy()) for span, pixels in shared_blocks(split, np.array, spans, held, "toy")]
        assert [span for span, _ in found] == spans
        for (_, pixels), right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(pixels, right)
        assert held.held == held.most


@pytest.mark.parametrize(("size", "times"), [(32, 1), (24, 2)])
def test_models_of_one_transform_decode_once(controlled, small, tmp_path, monkeypatch, make, size, times):
    """A second model with other weights; one of another input size decodes for itself."""
    other = Path(shutil.copytree(small, tmp_path / "other"))
    state = load_file(other / "model.safetensors")
    save_file(state | {"fc.bias": state["fc.bias"] + torch.arange(1000) / 100}, other / "model.safetensors")
    config = json.loads((other / "config.json").read_text())
    config["pretrained_cfg"]["input_size"] = [3, size, size]
    (other / "config.json").write_text(json.dumps(config))
    make.age(other)
    names, seen, rgb = [f"local-dir:{each}" for each in (small, other)], [], decode.rgb
    line = ["--dataset", str(controlled), "--precision", "fp32"]
    for place, name in enumerate(names):
        monkeypatch.setenv("D3S_CACHE", str(tmp_path / f"cache-{place}"))
        run.main([*line, "--model", name, "--out", str(tmp_path / "alone")])
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decode, "rgb", lambda content: seen.append(content) or rgb(content))
    run.main([*line, "--model", *names, "--out", str(tmp_path / "together")])
    assert len(seen) == 41 * times  # the first image is decoded once more, for its shape
    alone = sorted((tmp_path / "alone").glob("*.parquet"))
    assert len(alone) == 2
    for path in alone:
        one, two = (vars(read(each)) for each in (path, tmp_path / "together" / path.name))
        for name in ("key", "prediction", "probability", "loss"):
            np.testing.assert_array_equal(one[name], two[name])
