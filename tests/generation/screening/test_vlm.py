"""A vision-language model's opinion: the next token's yes against no, the same in any batch, and deciding nothing."""

import json
import shutil

import numpy as np
import pytest

from d3s_dataset.check import check_release
from d3s_dataset.errors import ModelError
from d3s_dataset.manifest import read
from d3s_dataset.taxonomy import classes
from generation.execution.options import How
from generation.release.build import generate
from generation.screening.vlm import QUESTIONS, VlmJudge
from tests.support.releases import CPU, decoded, redrawn_plan, rows_of
from tests.support.tiny_clip import pictures
from tests.support.tiny_vlm import build_idefics, build_llava, build_qwen

FOREGROUNDS = {6: "stingray", 2: "great white shark"}
PHRASES = ["on grass", "in the forest", "at night"]
COLUMNS = list(QUESTIONS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_llava(tmp_path_factory.mktemp("vlm"))


@pytest.fixture(scope="module")
def judge(model):
    return VlmJudge(str(model), FOREGROUNDS, PHRASES)


def rows(n):
    """Images and labels; names of one word and of three, so that a batch is padded."""
    return [each[:48] for each in pictures(n)], [(6, 2)[i % 2] for i in range(n)], [i % 3 for i in range(n)]


def table(found):
    return np.array([[each[name] for name in COLUMNS] for each in found])


def plain(model, image, question):
    """P(yes) among yes and no with transformers alone, one image at a time, over the whole vocabulary."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(model)
    network = AutoModelForImageTextToText.from_pretrained(model).eval()
    text = f"user : <image> {question} assistant :"
    inputs = processor(text=[text], images=[Image.fromarray(image)], return_tensors="pt")
    with torch.inference_mode():
        chances = network(**inputs).logits[0, -1].softmax(0)
    yes, no = (
        sum(chances[processor.tokenizer.convert_tokens_to_ids(each)] for each in words)
        for words in (("yes", "Yes"), ("no", "No"))
    )
    return float(yes / (yes + no))


def test_an_opinion_is_the_next_token_of_a_plain_call(model, judge):
    images, foregrounds, backgrounds = rows(3)
    found = table(judge(images, foregrounds, backgrounds))
    for image, label, scene, (own, other) in zip(images, foregrounds, backgrounds, found, strict=True):
        about = f"Does this image show a {FOREGROUNDS[label]}? Answer with one word, yes or no."
        assert own == pytest.approx(plain(model, image, about), abs=1e-5)
        about = f"Was this image taken {PHRASES[scene]}? Answer with one word, yes or no."
        assert other == pytest.approx(plain(model, image, about), abs=1e-5)


@pytest.mark.parametrize("build", [build_llava, build_qwen, build_idefics])
def test_an_opinion_is_the_same_alone_and_in_any_batch(build, tmp_path):
    judge = VlmJudge(str(build(tmp_path)), FOREGROUNDS, PHRASES)
    images, foregrounds, backgrounds = rows(9)
    together = table(judge(images, foregrounds, backgrounds))
    singles = zip(images, foregrounds, backgrounds, strict=True)
    alone = np.concatenate([table(judge([image], [label], [scene])) for image, label, scene in singles])
    assert together == pytest.approx(alone, abs=1e-5)
    assert (together > 0).all()
    assert (together < 1).all()
    assert together[::2].std(axis=0).min() > 1e-3  # of one class: the image makes a difference
    same = table(judge([images[0]] * 3, [6, 2, 6], [0, 1, 2]))
    assert np.ptp(same, axis=0).min() > 1e-3  # of one image: the labels make a difference
    assert judge([], [], []) == []


def test_values_that_are_not_finite_are_null(model, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(model, tmp_path / "vlm")
    weights = load_file(broken / "model.safetensors")
    name = next(each for each in weights if each.endswith("lm_head.weight"))
    save_file({**weights, name: weights[name] * float("nan")}, broken / "model.safetensors", {"format": "pt"})
    assert VlmJudge(str(broken), FOREGROUNDS, PHRASES)(*rows(1)) == [dict.fromkeys(COLUMNS)]


def bad(what, model, folder):
    """A folder that cannot answer."""
    if what == "no model":
        folder.mkdir()
        return folder
    if what == "no word":
        return build_llava(folder, words=("yes", "user", "assistant"))
    shutil.copytree(model, folder)
    if what == "another kind":
        (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    elif what == "no chat template":
        (folder / "chat_template.jinja").unlink()
    elif what == "no image":
        (folder / "chat_template.jinja").write_text("{{ messages[0]['content'][1]['text'] }}")
    elif what == "no weights":
        (folder / "model.safetensors").unlink()
    return folder


BAD = {
    "no model": "expected the Hub id or folder of a vision-language model",
    "another kind": "it is a bert model, which does not answer questions on images",
    "no chat template": "its processor has no chat template",
    "no image": "Found total 0 <image> tokens and 1 images",
    "no word": "its tokenizer has no token for 'no'",
    "no weights": "model.safetensors",
}


@pytest.mark.parametrize(("what", "says"), BAD.items(), ids=BAD.keys())
def test_a_model_that_cannot_answer_is_one_clear_line(what, says, model, tmp_path):
    with pytest.raises(ModelError, match=says) as caught:
        VlmJudge(str(bad(what, model, tmp_path / "bad")), FOREGROUNDS, PHRASES)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("screen.vlm ")


def test_a_whole_run_records_the_opinion_and_nothing_depends_on_it(model, tiny_model, tmp_path):
    plan = redrawn_plan(tiny_model, 6, ("guides",), vlm=str(model))
    generate(plan, tmp_path / "d3s", How(4, workers=1, devices=CPU))
    assert check_release(tmp_path / "d3s") == []
    names = {each.index: each.synonym for each in classes()}
    judge = VlmJudge(str(model), names, [each.phrase for each in plan.recipe.backgrounds])
    rows = rows_of(tmp_path / "d3s")
    for row in rows.values():
        (expected,) = judge([decoded(row).astype(np.uint8)], [row["foreground"]], [row["background"]])
        assert {name: row[name] for name in COLUMNS} == pytest.approx(expected, abs=1e-5)
        assert (row["verified"], "vlm" in row["screen_failed"]) == (None, False)
    assert {row[name] for row in rows_of(tmp_path / "d3s", "guides").values() for name in COLUMNS} == {None}
    manifest, card = read(tmp_path / "d3s"), (tmp_path / "d3s" / "README.md").read_text()
    assert manifest.recipe["screen"]["vlm"] == manifest.environment["vlm"] == judge.name
    assert f"Without a limit: the vision-language model `{judge.name}`." in card
    assert str(tmp_path) not in card + (tmp_path / "d3s" / "manifest.json").read_text()


def test_a_recipe_without_one_keeps_its_digest(tiny_model):
    assert "vlm" not in redrawn_plan(tiny_model, 6).recipe.to_json()["screen"]
