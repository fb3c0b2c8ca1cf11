"""Weights are read without running code, loaded whole or not at all, and named the same from any container."""

import pickle

import pytest
import timm
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


def test_auxiliary_heads_are_left_out_by_name_next_to_complete_weights(network, tmp_path, capsys):
    extra = {"AuxLogits.fc.weight": torch.ones(2), "aux1.conv.weight": torch.ones(1), "head_dist.bias": torch.ones(1)}
    other = _network()
    left_out = weights.load_into(other, extra | network.state_dict(), tmp_path / "a.pth", "toy")
    assert left_out == ("AuxLogits", "aux1", "head_dist")
    assert weights.digest(other) == weights.digest(network)
    assert (
        "3 tensors of auxiliary heads left out, which toy has not: AuxLogits, aux1, head_dist"
        in capsys.readouterr().err
    )
    assert weights.load_into(other, network.state_dict(), tmp_path / "a.pth", "toy") == ()
    incomplete = {key: value for key, value in network.state_dict().items() if key != "2.bias"}
    with pytest.raises(CheckpointError, match=r"lacks 2\.bias$"):
        weights.load_into(other, incomplete | extra, tmp_path / "a.pth", "toy")


def test_a_deeper_network_is_no_auxiliary_head(tmp_path):
    """A resnet34 holds all tensors of a resnet18 with their names and shapes: taking them would be wrong in silence."""
    shallow, deep = (timm.create_model(name, num_classes=7) for name in ("resnet18", "resnet34"))
    held = deep.state_dict()
    assert all(held[key].shape == value.shape for key, value in shallow.state_dict().items())
    with pytest.raises(CheckpointError, match=r"has layer1\.2\.conv1\.weight, which resnet18 has not"):
        weights.load_into(shallow, held, tmp_path / "a.pth", "resnet18")


def test_weights_that_would_be_wrong_in_silence_are_refused(network, tmp_path):
    state = network.state_dict()
    torch.save({**state, "module.0.weight": state["0.weight"] + 1}, tmp_path / "twice.pth")
    with pytest.raises(CheckpointError, match=r"holds 0\.weight twice"):
        weights.read(tmp_path / "twice.pth")
    quantised = state | {"0.weight": torch.ones(4, 3, dtype=torch.int8)}
    with pytest.raises(CheckpointError, match=r"0\.weight holds torch\.int8, expected floating-point numbers"):
        weights.load_into(network, quantised, tmp_path / "a.pth", "toy")


def test_half_precision_and_the_moving_average_are_taken(network, tmp_path):
    half = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    worse = {name: torch.zeros_like(value) for name, value in half.items()}
    torch.save({"state_dict": worse, "model_ema": half}, tmp_path / "a.pth")
    other = _network()
    weights.load_into(other, weights.read(tmp_path / "a.pth"), tmp_path / "a.pth", "toy")
    assert torch.equal(other[0].weight, network[0].weight.half().float())


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
