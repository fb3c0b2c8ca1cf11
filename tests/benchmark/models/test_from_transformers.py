"""Image classifiers of transformers say what a plain call of transformers says, in ImageNet's order."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification, ViTImageProcessor

from benchmark.models import weights
from benchmark.models.registry import load
from d3s_dataset.errors import ModelError
from d3s_dataset.taxonomy import classes

NAMES = [each.name for each in classes()]


def build(folder, labels):
    """Write a tiny ViT with random weights whose outputs are called `labels`; return it."""
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32,
                       patch_size=8, id2label=dict(enumerate(labels)),
                       label2id={label: i for i, label in enumerate(labels)})  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ViTForImageClassification(config).eval()
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.4] * 3).save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit") / "shuffled"
    order = np.random.default_rng(0).permutation(1000)
    return folder, build(folder, [NAMES[k] for k in order]), order


def test_answers_are_those_of_transformers_by_name(shuffled, capfd):
    folder, model, order = shuffled
    capfd.readouterr()
    found = load(f"transformers:{folder}")
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    plain = AutoImageProcessor.from_pretrained(folder)(images=Image.fromarray(pixels), return_tensors="pt")
    images = found.transform(Image.fromarray(pixels))[None]
    assert images.dtype == torch.float32
    assert torch.equal(images, plain["pixel_values"])
    with torch.no_grad():
        torch.testing.assert_close(found.network(images)[0, order], model(**plain).logits[0])
    assert found.digest == weights.digest(model)
    assert (found.architecture, found.tag, found.network.training) == ("ViTForImageClassification", None, False)
    assert json.loads(json.dumps(found.preprocessing))["image_mean"] == [0.4] * 3
    assert capfd.readouterr().err == ""


def test_tensorflow_s_head_is_cut_where_it_is_named(tmp_path):
    """As MobileNets of transformers have it: 1001 outputs, `background` first."""
    model = build(tmp_path / "vit", ["background", *NAMES])
    found = load(f"transformers:{tmp_path / 'vit'}", kwargs={"head": "tf1001"})
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found.network(images), model(pixel_values=images).logits[:, 1:])
    with pytest.raises(ModelError, match=r"1001 classes apart: .*--model-kwargs head=tf1001"):
        load(f"transformers:{tmp_path / 'vit'}")


def test_answers_are_kept(shuffled, toy, make, twice):
    make.age(shuffled[0])
    twice("--model", f"transformers:{shuffled[0]}", "--dataset", str(toy), "--limit", "20")


def test_what_does_not_fit_is_one_line(shuffled, tmp_path, capfd):
    folder, _, _ = shuffled

    def fails(name, expected, **kwargs):
        capfd.readouterr()
        with pytest.raises(ModelError, match=expected) as caught:
            load(f"transformers:{name}", kwargs=kwargs)
        assert "\n" not in str(caught.value)
        assert capfd.readouterr().err == ""

    fails(folder, "does not take --model-kwargs pad_type: expected head", pad_type="same")
    with pytest.raises(ModelError, match="comes with its own weights: expected no --checkpoint"):
        load(f"transformers:{folder}", tmp_path / "w.pth")
    build(tmp_path / "ten", NAMES[:10])
    fails(tmp_path / "ten", "tells 10 classes apart: expected the 1000")
    build(tmp_path / "unnamed", [f"LABEL_{i}" for i in range(1000)])
    fails(tmp_path / "unnamed", "1000 of the 1000 of ImageNet-1k cannot be told")

    broken = shutil.copytree(folder, tmp_path / "broken")
    state = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in state.items() if "classifier" not in k}, broken / "model.safetensors")
    fails(broken, "lacks weights of a ViTForImageClassification: classifier.bias, classifier.weight")
    (broken / "model.safetensors").write_bytes(b"no weights")
    fails(broken, "cannot be loaded")
    (broken / "model.safetensors").unlink()
    fails(broken, "cannot be loaded")
    shutil.copy(folder / "model.safetensors", broken)
    (broken / "preprocessor_config.json").unlink()
    fails(broken, "cannot be loaded: Can't load image processor")
    (broken / "config.json").write_text("{}")
    fails(broken, "cannot be loaded: Unrecognized model")
