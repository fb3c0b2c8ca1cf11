"""Weights are read without running code, loaded whole or not at all, and named the same from any container."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.models import weights
from d3s_dataset.errors import CheckpointError


def _network(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


@pytest.fixture
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _network()


def test_any_container_gives_the_same_digest(network, tmp_path):
    state = network.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    wrapped = {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, tmp_path / "b.pth")
    without = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    save_file(without, tmp_path / "c.safetensors")
    for name in ("a.safetensors", "a.pth", "b.pth", "c.safetensors"):
        other = _network()
        assert weights.digest(other) != weights.digest(network)
        weights.load_into(other, weights.read(tmp_path / name), tmp_path / name, "toy")
        assert weights.digest(other) == weights.digest(network)


def test_digest_depends_on_values_types_and_shapes(network):
    before = weights.digest(network)
    assert weights.digest(network.to(torch.bfloat16)) != before
    network.float()[0].weight.data[0, 0] += 1
    assert weights.digest(network) != before


def test_another_architecture_is_refused_whole(network, tmp_path):
    other = _network(5)
    before = weights.digest(other)
    expected = r"another architecture than toy: 0\.weight is 4x3 where toy has 5x3; .*; and \d more"
    with pytest.raises(CheckpointError, match=expected):
        weights.load_into(other, network.state_dict(), tmp_path / "a.pth", "toy")
    assert weights.digest(other) == before
    with pytest.raises(CheckpointError, match=r"lacks 1\.weight"):
        weights.load_into(network, {"0.weight": network[0].weight}, tmp_path / "a.pth", "toy")
    with pytest.raises(CheckpointError, match="has extra, which toy has not"):
        weights.load_into(network, network.state_dict() | {"extra": torch.ones(1)}, tmp_path / "a.pth", "toy")


class _Harmful:
    def __reduce__(self):
        return (print, ("code ran",))


def test_files_that_are_no_weights_are_one_line(network, tmp_path, capsys):
    torch.save(_Harmful(), tmp_path / "harmful.pth")
    torch.save(network, tmp_path / "module.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(_Harmful()))
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(network.state_dict(), tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-200])
    expected = {
        "none.pth": "no checkpoint at",
        "harmful.pth": "pickled Python objects",
        "module.pth": "pickled Python objects",
        "raw.pth": "pickled Python objects",
        "text.pth": "no file of weights|cannot be read",
        "empty.pth": "cannot be read as weights",
        "text.safetensors": "cannot be read as weights",
        "list.pth": "holds no weights",
        "cut.pth": "cannot be read as weights",
    }
    for name, text in expected.items():
        with pytest.raises(CheckpointError, match=text) as caught:
            weights.read(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    assert "code ran" not in capsys.readouterr().out
