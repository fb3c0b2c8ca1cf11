"""The real CLIP and safety checker code with small random weights: their opinions mean nothing, the rest is real."""

import json
import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from d3s_dataset.errors import ModelError
from d3s_dataset.taxonomy import BACKGROUNDS, classes
from generation.screening.clip import ClipJudge, object_alone, without_object
from generation.screening.safety import SafetyJudge
from tests.conftest import ROOT
from tests.support.tiny_clip import build_checker, build_clip, pictures, set_thresholds

# Notices of the libraries' own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

LABELS = [0, 1, 6, 134, 207, 517, 999]
FOREGROUNDS = {label: classes()[label].synonym for label in LABELS}
PHRASES = [each.phrase for each in BACKGROUNDS]
COLUMNS = ["screen_clip_foreground", "screen_clip_background"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def model_of_words(tmp_path_factory, shared_data):
    return build_clip(tmp_path_factory.mktemp("clip"), shared_data / "tokenizer")


@pytest.fixture(scope="module")
def judge(model):
    return ClipJudge(str(model), FOREGROUNDS, PHRASES)


def rows(n):
    return pictures(n), [LABELS[i % len(LABELS)] for i in range(n)], [(3 * i) % 10 for i in range(n)]


def table(found):
    assert all(list(each) == COLUMNS for each in found)
    assert all(type(value) is float for each in found for value in each.values())
    return np.array([list(each.values()) for each in found])


def plain(model, images, texts):
    """A plain transformers call, as its documentation has it."""
    import torch
    from PIL import Image
    from transformers import CLIPModel, CLIPProcessor

    processor = CLIPProcessor.from_pretrained(model)
    pictures = [Image.fromarray(image) for image in images]
    inputs = processor(text=texts, images=pictures, return_tensors="pt", padding=True)
    with torch.inference_mode():
        return CLIPModel.from_pretrained(model)(**inputs).logits_per_image.softmax(dim=1).numpy()


@pytest.mark.parametrize("tokenizer", ["model", "model_of_words"])
def test_ours_is_a_plain_transformers_call(tokenizer, request):
    model = request.getfixturevalue(tokenizer)
    judge = ClipJudge(str(model), FOREGROUNDS, PHRASES)
    images, foregrounds, backgrounds = rows(9)
    objects = plain(model, images, [f"a photo of a {FOREGROUNDS[label]}" for label in LABELS])
    scenes = plain(model, images, [f"a photo taken {phrase}" for phrase in PHRASES])
    places = np.arange(9)
    expected = np.stack(
        [objects[places, [LABELS.index(each) for each in foregrounds]], scenes[places, backgrounds]], axis=1
    )
    found = table(judge(images, foregrounds, backgrounds))
    assert found == pytest.approx(expected, abs=1e-5)
    assert found.std(axis=0).min() > 1e-3  # images and labels do make a difference


def test_an_opinion_is_the_same_alone_and_in_any_batch(judge):
    images, foregrounds, backgrounds = rows(7)
    together = table(judge(images, foregrounds, backgrounds))
    singles = zip(images, foregrounds, backgrounds, strict=True)
    alone = np.concatenate([table(judge([image], [label], [scene])) for image, label, scene in singles])
    backwards = table(judge(images[::-1], foregrounds[::-1], backgrounds[::-1]))[::-1]
    assert together == pytest.approx(alone, abs=1e-5)
    assert together == pytest.approx(backwards, abs=1e-5)
    assert judge([], [], []) == []


def test_probabilities_are_among_the_given_texts(model, judge):
    image = pictures(1)
    share = [judge(image, [label], [0])[0]["screen_clip_foreground"] for label in LABELS]
    assert sum(share) == pytest.approx(1, abs=1e-5)
    assert sum(judge(image, [0], [i])[0]["screen_clip_background"] for i in range(10)) == pytest.approx(1, abs=1e-5)
    alone = ClipJudge(str(model), {6: "stingray"}, ["indoors"])
    assert table(alone(image, [6], [0])).tolist() == [[1, 1]]
    with pytest.raises(KeyError, match="7"):
        alone(image, [7], [0])


def test_a_thousand_classes_are_embedded_once(model, monkeypatch):
    everything = ClipJudge(str(model), {each.index: each.synonym for each in classes()}, PHRASES)
    assert everything._foregrounds.shape == (1000, 16)
    monkeypatch.setattr(everything, "_embedded", None)
    assert table(everything(*rows(2))).shape == (2, 2)


def test_a_local_model_is_named_by_what_it_holds(model, judge, tmp_path):
    other = shutil.copytree(model, tmp_path / "clip")
    assert ClipJudge(str(other), FOREGROUNDS, PHRASES).name == judge.name
    weights = load_file(other / "model.safetensors")
    save_file(
        {**weights, "logit_scale": np.array(weights["logit_scale"] + 1)},
        other / "model.safetensors",
        {"format": "pt"},
    )
    changed = ClipJudge(str(other), FOREGROUNDS, PHRASES).name
    assert changed != judge.name
    assert changed.startswith("clip@")
    assert len(changed) == len("clip@") + 12


@pytest.mark.long
def test_a_hub_model_is_recorded_with_its_commit(model, judge, tmp_path, monkeypatch):
    """The Hub's own cache layout, offline: the real loading code, no network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--lab--clip"
    shutil.copytree(model, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    code = (
        "from generation.screening.clip import ClipJudge, object_alone, without_object\n"
        "for revision in (None, 'main'):\n"
        "    print(ClipJudge('lab/clip', {0: 'tench'}, ['indoors'], revision=revision).name)"
    )
    result = python(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert result.stdout.splitlines() == [f"lab/clip@{commit}"] * 2, result.stderr


def python(code, **env):
    line = [sys.executable, "-c", code]
    return subprocess.run(line, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=300)


def broken(model, folder, what):
    """A copy of the model that cannot be used."""
    shutil.copytree(model, folder)
    if what == "another kind":
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    elif what == "no weights":
        (folder / "model.safetensors").unlink()
    elif what == "a weight less":
        weights = load_file(folder / "model.safetensors")
        del weights["visual_projection.weight"]
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
    elif what == "damaged weights":
        (folder / "model.safetensors").write_bytes(b"other weights")
    elif what == "no tokenizer":
        for path in folder.glob("*token*"):
            path.unlink()
    return folder


BAD = {
    "no model": "expected the Hub id or folder of a CLIP model",
    "another kind": "it is a bert model",
    "no weights": "model.safetensors",
    "a weight less": "its weights lack visual_projection.weight",
    "damaged weights": "expected the Hub id or folder of a CLIP model",
    "no tokenizer": "its tokenizer has no words",
}


@pytest.mark.parametrize(("what", "says"), BAD.items(), ids=BAD.keys())
def test_a_folder_that_is_no_clip_model_is_one_clear_line(what, says, model, tmp_path):
    if what == "no model":
        (folder := tmp_path / "empty").mkdir()
    else:
        folder = broken(model, tmp_path / "broken", what)
    with pytest.raises(ModelError, match=says) as caught:
        ClipJudge(str(folder), FOREGROUNDS, PHRASES)
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_an_unreachable_model_is_one_line():
    code = (
        "from d3s_dataset.errors import ModelError\n"
        "from generation.screening.clip import ClipJudge, object_alone, without_object\n"
        "try: ClipJudge('lab/gone', {0: 'tench'}, ['indoors'])\n"
        "except ModelError as error: print(error)"
    )
    result = python(code, HF_ENDPOINT="http://127.0.0.1:9")
    (line,) = result.stdout.splitlines()
    assert "CLIP model lab/gone: no such folder, and as a Hub model the weights of lab/gone are not" in line
    assert "not cached locally" in line
    assert "cannot be reached: pass the folder of a CLIP model" in line
    assert result.stderr == ""


def test_a_bad_device_is_one_clear_line(model):
    for make in (
        lambda: ClipJudge(str(model), FOREGROUNDS, PHRASES, "cuda:99"),
        lambda: SafetyJudge(*build_checker(), "cuda:99"),
    ):
        with pytest.raises(ModelError, match="--devices cuda:99 cannot be used") as caught:
            make()
        assert "\n" not in str(caught.value)


def closest(checker, extractor, images):
    """Return the greatest cosine of each image with a concept, computed by hand."""
    import torch

    with torch.inference_mode():
        pixels = extractor(images=images, return_tensors="pt").pixel_values
        seen = checker.visual_projection(checker.vision_model(pixels).pooler_output)
        return torch.cosine_similarity(seen[:, None], checker.concept_embeds[None], dim=-1).max(dim=1).values.numpy()


@pytest.mark.parametrize("flagged", ["none", "all", "one of two"])
def test_the_safety_checker_flags_and_changes_nothing(flagged, caplog):
    checker, extractor = build_checker()
    images = pictures(2)
    near = closest(checker, extractor, images)
    assert abs(near[0] - near[1]) > 0.01
    set_thresholds(checker, {"none": 2.0, "all": -2.0, "one of two": float(near.mean())}[flagged])
    expected = {"none": [False, False], "all": [True, True], "one of two": [bool(each > near.mean()) for each in near]}
    judge, before = SafetyJudge(checker, extractor), [image.copy() for image in images]
    logger = logging.getLogger(type(checker).__module__)
    logger.addHandler(caplog.handler)
    try:
        assert judge(images) == expected[flagged]
        assert [judge([image])[0] for image in images] == expected[flagged]
    finally:
        logger.removeHandler(caplog.handler)
    assert all((image == old).all() for image, old in zip(images, before, strict=True))
    assert caplog.text == ""
    assert not logger.disabled
    assert judge([]) == []


def test_a_safety_checker_is_named_without_a_path(tmp_path):
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    checker, extractor = build_checker()
    assert SafetyJudge(checker, extractor).name == "StableDiffusionSafetyChecker"
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--lab--sd" / "snapshots" / commit / "safety_checker"
    for folder, name in ((tmp_path / "safety_checker", "safety_checker@"), (cached, f"lab/sd@{commit}")):
        checker.save_pretrained(folder)
        loaded = StableDiffusionSafetyChecker.from_pretrained(folder)
        assert SafetyJudge(loaded, extractor).name.startswith(name)
        assert str(tmp_path) not in SafetyJudge(loaded, extractor).name


def test_an_object_and_its_surroundings_are_judged_apart(judge):
    """What is outside the mask does not count for the object, and what is under it does not for the rest."""
    images, foregrounds, backgrounds = rows(4)
    images = [image[:48, :48] for image in images]
    mask = np.zeros((48, 48), bool)
    mask[10:30, 20:34] = True
    found = judge(images, foregrounds, backgrounds, [mask, None, mask, mask])
    assert list(found[1]) == COLUMNS
    assert list(found[0]) == [*COLUMNS, "screen_clip_object", "screen_clip_surroundings"]
    for i in (0, 2):
        one = found[i]
        changed = np.where(mask[..., None], images[i], 255 - images[i])
        (other,) = judge([changed], [foregrounds[i]], [backgrounds[i]], [mask])
        assert other["screen_clip_object"] == pytest.approx(one["screen_clip_object"], abs=1e-6)
        assert other["screen_clip_surroundings"] != pytest.approx(one["screen_clip_surroundings"], abs=1e-6)
        changed = np.where(mask[..., None], 255 - images[i], images[i])
        (other,) = judge([changed], [foregrounds[i]], [backgrounds[i]], [mask])
        assert other["screen_clip_surroundings"] == pytest.approx(one["screen_clip_surroundings"], abs=1e-6)
    alone = judge([object_alone(images[0], mask)], foregrounds[:1], backgrounds[:1])
    assert found[0]["screen_clip_object"] == pytest.approx(alone[0]["screen_clip_foreground"], abs=1e-6)
    without = judge([without_object(images[0], mask)], foregrounds[:1], backgrounds[:1])
    assert found[0]["screen_clip_surroundings"] == pytest.approx(without[0]["screen_clip_background"], abs=1e-6)
    assert object_alone(images[0], mask).shape == (20, 20, 3)
