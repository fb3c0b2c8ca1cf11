"""Models come with trained weights or a one-line error, never with random ones."""

import json
import os
import re
import subprocess
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

from benchmark.models import weights
from benchmark.models.classifier import Classifier
from benchmark.models.registry import check, load
from d3s_dataset.errors import CheckpointError, ModelError


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[str, torch.nn.Module]:
    """A small timm model as a local-dir folder, and itself."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_resnet", num_classes=1000)
    save_for_hf(network, str(folder), safe_serialization=True)
    return f"local-dir:{folder}", network


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convnext_bse", "unknown model 'convnext_bse'; did you mean convnext_base"),
        ("resnet50.a1_in1", "resnet50 has no weights tagged 'a1_in1'; did you mean resnet50.a1_in1k"),
        ("zzzzzz", r"unknown model 'zzzzzz'; timm\.list_models"),
        ("timm/resnet18", "unknown model 'timm/resnet18'"),
        ("gs:bucket", "unknown model 'gs:bucket': expected a timm name, hf-hub:ORG/NAME, .* or MODULE:FUNCTION"),
        ("zero_shot:a/b", "unknown model 'zero_shot:a/b'; did you mean zero-shot"),
        ("zero-shot:", "nothing stands after the colon; expected a timm name"),
        ("local-dir:nowhere", "no model at local-dir:nowhere"),
        ("zero-shot:no/such/folder", "no model at zero-shot:no/such/folder: expected a folder that is there, or a Hub"),
        ("transformers:.", "no model at transformers:.: expected a folder with config.json"),
        ("zero-shot:openai/clip-vit-base-patch32", None),
        ("coatnet_0_224", "no trained weights for 'coatnet_0_224': expected --checkpoint FILE"),
        ("resnet50.fb_ssl_yfcc100m_ft_in1k", None),
        ("convnext_base.fb_in22k", r"tells 21841 classes apart, and 1 of the 1000 .* first n04399382 \(teddy\)"),
        ("convnext_nano.in12k", "tells 11821 classes apart, and 7 of the 1000"),
        ("focalnet_large_fl3.ms_in22k", None),
        ("vit_base_patch16_224.dino", "has no head: expected the 1000"),
    ],
)
def test_names_are_checked_without_a_network(name, expected):
    if expected is None:
        check(name, pretrained=True)
        return
    with pytest.raises(ModelError, match=expected) as caught:
        check(name, pretrained=True)
    assert "\n" not in str(caught.value)


def test_local_dir_has_the_saved_weights(saved):
    name, network = saved
    found = load(name)
    assert isinstance(found, Classifier)
    assert found.digest == weights.digest(network)
    assert (found.architecture, found.network.training) == ("test_resnet", False)


def test_a_checkpoint_is_the_same_model(saved, tmp_path):
    name, network = saved
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pth")
    for file in ("w.safetensors", "w.pth"):
        found = load("test_resnet", tmp_path / file)
        assert found.digest == load(name).digest
        assert found.tag is None


def test_the_transform_is_timm_s_own(saved):
    config = timm.data.resolve_model_data_config(saved[1])
    assert load(saved[0]).preprocessing["input_size"] == config["input_size"]
    assert str(load(saved[0]).transform) == str(timm.data.create_transform(**config, is_training=False))


def test_weights_that_do_not_fit_are_refused(saved, tmp_path):
    save_file(saved[1].state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="another architecture than resnet18: "):
        load("resnet18", tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load("resnet18", tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"another architecture .* 10x"):
        load("test_resnet", tmp_path / "w.safetensors", {"num_classes": 10})
    with pytest.raises(ModelError, match="does not take these --model-kwargs"):
        load("test_resnet", tmp_path / "w.safetensors", {"no_such_option": 1})


def test_a_head_is_never_left_random(saved, tmp_path):
    """A head that does not fit is dropped by timm, which goes on with random weights: not here."""
    with pytest.raises(ModelError, match="num_classes cannot be set"):
        load(saved[0], kwargs={"num_classes": 1000})
    folder = tmp_path / "ten"
    save_for_hf(timm.create_model("test_resnet", num_classes=10), str(folder), safe_serialization=True)
    with pytest.raises(ModelError, match="tells 10 classes apart"):
        load(f"local-dir:{folder}")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_args": {"num_classes": 1000}}))
    with pytest.raises(CheckpointError, match="weights of 10 classes for a network of 1000"):
        load(f"local-dir:{folder}")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load(f"local-dir:{folder}")


@pytest.mark.long
def test_weights_out_of_reach_are_said_within_ten_seconds(tmp_path):
    names = ["convnext_base", "hf-hub:timm/resnet18.a1_in1k", "zero-shot:openai/clip-vit-base-patch32"]
    names.append("transformers:google/vit-base-patch16-224")
    code = f"""
import time, benchmark.models.registry as models, d3s_dataset.utils.cli as command
import benchmark.models.timm_models, benchmark.models.zero_shot  # torch and its kin, before the clock runs
for name in {names}:
    began = time.monotonic()
    try:
        command.run_command(lambda argv: models.load(name))
    except SystemExit as ended:
        print(ended.code, time.monotonic() - began)
"""
    # The Hub's address is read at the first import, so in a process of its own.
    variables = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    said = ended.stderr.splitlines()
    assert len(said) == len(names), ended.stderr
    for name, line, figures in zip(names, said, ended.stdout.splitlines(), strict=True):
        assert re.match(f"error: the (weights|files) of {name} are not cached locally and http", line)
        assert "pass --checkpoint FILE" in line or "pass a folder that has them" in line
        code, seconds = figures.split()
        assert (code, float(seconds) < 10) == ("1", True)


@pytest.mark.parametrize("own", ["pretrained", "checkpoint_path"])
def test_where_weights_come_from_is_no_model_argument(own):
    with pytest.raises(ModelError, match=f"--model-kwargs {own}"):
        load("resnet10t", kwargs={own: False})
