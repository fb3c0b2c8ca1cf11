"""A head is mapped by what its outputs are called, or refused; it is never guessed."""

import numpy as np
import pytest
import timm
import torch
from timm.data import ImageNetInfo
from timm.models import save_for_hf

from benchmark.cache.cache import Cache
from benchmark.inference.evaluate import Subject
from benchmark.models.heads import columns, over_imagenet
from benchmark.models.registry import load
from d3s_dataset.errors import ModelError
from d3s_dataset.taxonomy import classes

WNIDS = [each.wnid for each in classes()]
NAMES = [each.name.replace(" (machine)", "") for each in classes()]


def test_imagenet_s_own_order_stays():
    identity = list(range(1000))
    firsts = [each.synonym for each in classes()]
    for labels in (None, WNIDS, NAMES, firsts, [name.upper() for name in NAMES], [each.name for each in classes()]):
        assert columns("toy", 1000, labels) == identity


@pytest.mark.parametrize("labels", [WNIDS, [each.name for each in classes()]], ids=["wnids", "names"])
def test_another_order_is_put_right(labels):
    order = np.random.default_rng(0).permutation(1000)
    found = columns("toy", 1000, [labels[k] for k in order])
    assert order[found].tolist() == list(range(1000))


def test_names_that_two_classes_share_are_not_guessed():
    order = np.random.default_rng(0).permutation(1000)
    with pytest.raises(ModelError, match=r"and 2 of the 1000 .*first n02012849 \(crane\)"):
        columns("toy", 1000, [NAMES[k] for k in order])


@pytest.mark.parametrize(
    ("count", "labels", "expected"),
    [
        (1000, [f"LABEL_{i}" for i in range(1000)], "1000 of the 1000 .* output 0 is 'LABEL_0'"),
        (1000, [*WNIDS[:-1], WNIDS[0]], r"2 of the 1000 .*first n01440764 \(tench\)"),
        (11821, None, "7 of the 1000"),
        (21843, None, "1 of the 1000"),
        (11221, None, "9 of the 1000"),
        (512, None, "toy tells 512 classes apart: expected the 1000 of ImageNet-1k"),
        (0, None, "toy has no head"),
    ],
)
def test_a_head_that_lacks_a_class_is_refused_in_one_line(count, labels, expected):
    with pytest.raises(ModelError, match=expected) as caught:
        columns("toy", count, labels)
    assert "\n" not in str(caught.value)


def test_wider_heads_are_cut_to_the_1000():
    for count, labels in ((21842, None), (1003, ["n99999999", *WNIDS[::-1], "n99999998", "n99999997"])):
        found = columns("toy", count, labels)
        names = labels or ImageNetInfo("imagenet-22k-ms").label_names()
        assert [names[output] for output in found] == WNIDS


def test_the_network_answers_in_the_order_asked_for():
    network = torch.nn.Linear(4, 6)
    images = torch.ones(2, 4)
    assert over_imagenet(network, 6, list(range(6))) is network
    for wanted in ([5, 0], [0, 1, 2]):
        assert torch.equal(over_imagenet(network, 6, wanted)(images), network(images)[:, wanted])


def test_a_timm_model_with_a_head_of_22k_is_mapped(tmp_path):
    """By the number of its outputs, and by the label names in its own config."""
    names = ImageNetInfo("imagenet-22k-ms").label_names()
    own = [*WNIDS[::-1], *(f"n9{i:07}" for i in range(5))]
    for labels, given in ((names, None), (own, {"label_names": own})):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = timm.create_model("test_resnet", num_classes=len(labels)).eval()
        folder = tmp_path / str(len(labels))
        save_for_hf(network, str(folder), given, safe_serialization=True)
        found = load(f"local-dir:{folder}")
        images = torch.rand(2, 3, 64, 64)
        with torch.no_grad():
            expected = network(images)[:, [labels.index(wnid) for wnid in WNIDS]]
            assert torch.equal(found.network(images), expected)


def test_tensorflow_s_head_is_cut_where_it_is_named(tmp_path):
    """1001 outputs, background first: refused with what to type, and cut by `head=tf1001`, from a file and a folder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_resnet", num_classes=1001).eval()
    save_for_hf(network, str(tmp_path), {"label_names": None}, safe_serialization=True)
    file, images = tmp_path / "model.safetensors", torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)[:, 1:]
        for name, checkpoint in (("test_resnet", file), (f"local-dir:{tmp_path}", None)):
            found = load(name, checkpoint, {"head": "tf1001"})
            assert torch.equal(found.network(images), expected)
            assert found.kwargs == {"head": "tf1001"}
    for kwargs, says in (
        ({}, "1001 classes apart: .*if its outputs are those of tf1001: --model-kwargs head=tf1001"),
        ({"head": "tf1002"}, "--model-kwargs head=tf1002: expected tf1001"),
    ):
        with pytest.raises(ModelError, match=says):
            load(f"local-dir:{tmp_path}", None, kwargs)
    with pytest.raises(ModelError, match=r"is 1001x.* --model-kwargs head=tf1001"):
        load("test_resnet", file)
    with pytest.raises(ModelError, match="tells 1000 classes apart: expected 1001 outputs"):
        columns("toy", 1000, None, "tf1001")
    assert columns("toy", 1001, ["background", *NAMES], "tf1001") == list(range(1, 1001))


@pytest.mark.long
def test_an_inception_with_its_auxiliary_head_is_the_one_without(tmp_path):
    """As torchvision's and timm's own files have it: the result names what was left out."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trained = timm.create_model("inception_v3", aux_logits=True)
    torch.save(trained.state_dict(), tmp_path / "a.pth")
    found = load("inception_v3", tmp_path / "a.pth")
    assert found.left_out == ("AuxLogits",)
    for _ in range(2):  # loaded, then from the cache
        facts = Subject("inception_v3", tmp_path / "a.pth", {}, Cache(tmp_path / "cache")).model("fp32")
        assert (facts.left_out, facts.digest) == (("AuxLogits",), found.digest)
    own = found.network.state_dict()
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in own.items())
