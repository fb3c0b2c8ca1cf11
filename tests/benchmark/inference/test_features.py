"""Pooled features: the model's own, kept as predictions are, with its head; refused where there are none."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from benchmark.cache import blocks
from benchmark.cache.cache import Cache, Options
from benchmark.data.split import open_split
from benchmark.inference import features as features_
from benchmark.inference.evaluate import Subject
from benchmark.inference.features import features_of
from benchmark.inference.predict import predict
from benchmark.models import training_record
from benchmark.models.backbone import pooled
from benchmark.models.heads import Columns
from benchmark.models.training_record import Partition
from d3s_dataset.errors import ModelError


@pytest.fixture
def split(toy):
    return open_split(toy, "default", "validation")


def counted(monkeypatch) -> list[int]:
    """Count the blocks that are computed."""
    made: list[int] = []
    write = blocks.Store.write
    monkeypatch.setattr(blocks.Store, "write", lambda self, span, part: made.append(span[0]) or write(self, span, part))
    return made


def test_features_are_the_model_s_own_and_its_head_gives_its_answers(split, small):
    subject = Subject(f"local-dir:{small}")
    found = features_of(subject, split, Options())
    assert found.values.dtype == np.float32
    assert len(found.values) == split.n
    assert found.model.precision == "fp32"
    answers, _ = predict(subject.classifier, split, "fp32")
    np.testing.assert_array_equal(found.head(found.values).argmax(1), answers.prediction[:, 0])
    np.testing.assert_array_equal(found.foreground, split.foreground)
    assert found.foreground_source.max() + 1 == len(set(split.column("foreground_source")))


def test_a_second_call_loads_no_model_and_a_stopped_one_goes_on(split, small, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 32)
    straight = features_of(Subject(f"local-dir:{small}"), split, Options()).values
    subject = Subject(f"local-dir:{small}", cache=Cache(tmp_path))
    made, write = counted(monkeypatch), blocks.Store.write

    def stop(self, span, part):
        if span[0] == 64:
            raise KeyboardInterrupt
        write(self, span, part)

    with monkeypatch.context() as context:
        context.setattr(blocks.Store, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            features_of(subject, split, Options())
    assert made == [0, 32]
    again = features_of(subject, split, Options())
    assert made == [0, 32, 64]
    np.testing.assert_array_equal(again.values, straight)
    monkeypatch.setattr(features_, "compute", None)
    third = features_of(Subject(f"local-dir:{small}", cache=Cache(tmp_path)), split, Options())
    np.testing.assert_array_equal(third.values, straight)
    np.testing.assert_array_equal(third.head.weight, again.head.weight)
    with pytest.raises(TypeError):  # features made without compilation are others
        features_of(Subject(f"local-dir:{small}", cache=Cache(tmp_path)), split, Options(compile=False))


@pytest.mark.parametrize("file", ["head.npz", "00000000-00000090.npz"])
def test_a_damaged_file_is_made_again(split, small, tmp_path, file):
    subject = Subject(f"local-dir:{small}", cache=Cache(tmp_path))
    before = features_of(subject, split, Options())
    (path,) = tmp_path.glob(f"features/*/{file}")
    path.write_bytes(path.read_bytes()[:-40])
    after = features_of(subject, split, Options())
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.head.bias, before.head.bias)


def test_a_record_of_split_features_is_read_and_must_fit(split, small, tmp_path):
    folder = shutil.copytree(small, tmp_path / "model")
    size = features_of(Subject(f"local-dir:{folder}"), split, Options()).values.shape[1]
    training_record.write(folder, Partition(foreground=size - 8, background=8))
    assert features_of(Subject(f"local-dir:{folder}"), split, Options()).partition.background == 8
    training_record.write(folder, Partition(foreground=size, background=8))
    with pytest.raises(ModelError, match=f"gives {size} features, its partition.json splits {size + 8}"):
        features_of(Subject(f"local-dir:{folder}"), split, Options())
    (folder / training_record.FILE).write_text("{")
    with pytest.raises(ModelError, match="expected a split of features"):
        features_of(Subject(f"local-dir:{folder}"), split, Options())


def test_a_model_without_pooled_features_is_one_line(split, small):
    subject = Subject(f"local-dir:{small}")
    bare = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(1000))
    object.__setattr__(subject, "classifier", replace(subject.classifier, network=bare))
    with pytest.raises(ModelError, match=r"has no pooled features: expected a model of timm"):
        features_of(subject, split, Options())
    subject = Subject(f"local-dir:{small}")
    with torch.no_grad():
        subject.classifier.network.fc.weight[3] = torch.nan
    with pytest.raises(ModelError, match="gives logits that are not finite"):
        features_of(subject, split, Options())


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "mobilenetv2_035", "resnetv2_50x1_bit"])
def test_heads_of_several_kinds_are_found(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(name, num_classes=1000).eval().requires_grad_(False)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    for whole, wanted in ((network, slice(None)), (Columns(network, list(range(999, -1, -1))), slice(None, None, -1))):
        made = pooled(name, whole, transform)
        assert made.weight.shape == (1000, made.outputs)
        image = torch.randn(2, *network.pretrained_cfg["input_size"])
        with torch.inference_mode():
            logits = made(image).numpy() @ made.weight.T + made.bias
            np.testing.assert_allclose(logits, network(image).numpy()[:, wanted], atol=1e-3 * np.abs(logits).max())


def test_a_head_that_is_not_linear_in_the_features_is_none(split, small):
    subject = Subject(f"local-dir:{small}")
    network = subject.classifier.network
    forward = network.forward
    object.__setattr__(network, "forward", lambda images: forward(images).square())
    assert features_of(subject, split, Options()).head is None
