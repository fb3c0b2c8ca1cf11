"""A function of one's own gives a model, with real weights too; anything else it gives is one line."""

import sys

import pytest
import torch

from benchmark.models.registry import check, load
from d3s_dataset.errors import ModelError

MODULE = """
import timm, torch
from safetensors.torch import load_file

def small(outputs=1000):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, outputs)), view

def view(image):
    return torch.ones(3, 2, 2)

def mobilenet(path):
    network = timm.create_model("mobilenetv2_100", pad_type="same")
    network.load_state_dict(load_file(path))
    return network

def ten():
    return timm.create_model("test_resnet", num_classes=10)

def bare():
    return small()[0]

def text():
    return "resnet50"

number = 7
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_models_").mkdir()
    (tmp_path / "my_models_" / "nets.py").write_text(MODULE)
    (tmp_path / "my_models_" / "needy.py").write_text("import no_such_package")
    (tmp_path / "my_models_" / "wrong.py").write_text("def (")
    yield
    for name in [each for each in sys.modules if each.startswith("my_models_")]:
        del sys.modules[name]


def test_network_and_transform():
    found = load("my_models_.nets:small")
    assert found.network(found.transform(None)[None]).shape == (1, 1000)  # pyright: ignore[reportArgumentType]
    assert (found.name, found.architecture, found.tag) == ("my_models_.nets:small", "Sequential", None)
    assert found.preprocessing == {"transform": "view"}
    assert not found.network.training
    assert load("my_models_.nets:small", kwargs={"outputs": 5}).network[1].out_features == 5


def test_a_network_of_timm_is_what_timm_s_name_gives(real_weights):
    found = load("my_models_.nets:mobilenet", kwargs={"path": str(real_weights)})
    plain = load("mobilenetv2_100", real_weights, {"pad_type": "same"})
    assert (found.digest, found.architecture, found.tag) == (plain.digest, plain.architecture, None)
    assert str(found.transform) == str(plain.transform)
    assert found.preprocessing == plain.preprocessing
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(found.network(images), plain.network(images))


def test_a_checkpoint_goes_into_the_network(real_weights, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = load("my_models_.nets:small").network.state_dict()
    torch.save(state, tmp_path / "w.pth")
    assert torch.equal(load("my_models_.nets:small", tmp_path / "w.pth").network[1].weight, state["1.weight"])
    with pytest.raises(ModelError, match=r"another architecture than my_models_\.nets:small"):
        load("my_models_.nets:small", real_weights)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my_models_.needy:f", "the module my_models_.needy cannot be imported: No module named 'no_such_package'"),
        ("my_models_.wrong:f", "the module my_models_.wrong cannot be imported"),
        ("my_models_.none:f", "the module my_models_.none cannot be imported"),
        ("my_models_.nets:smal", r"my_models_\.nets has no function 'smal'; did you mean small"),
        ("my_models_.nets:number", "has no function 'number'"),
        ("no_such_package.models:f", "unknown model 'no_such_package.models:f': expected a timm name"),
    ],
)
def test_names_are_checked_before_any_work(name, expected):
    with pytest.raises(ModelError, match=expected) as caught:
        check(name, pretrained=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "kwargs", "expected"),
    [
        ("text", {}, "returned a str: expected a torch.nn.Module"),
        ("bare", {}, "is a Sequential without its transform"),
        ("ten", {}, "tells 10 classes apart"),
        ("small", {"depth": 2}, "does not take these --model-kwargs: .*depth"),
        ("mobilenet", {}, "does not take these --model-kwargs: .*path"),
    ],
)
def test_what_a_function_returns_is_checked(function, kwargs, expected):
    with pytest.raises(ModelError, match=expected) as caught:
        load(f"my_models_.nets:{function}", kwargs=kwargs)
    assert "\n" not in str(caught.value)
