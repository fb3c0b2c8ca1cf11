"""Zero-shot models say what a plain call of transformers on the same prompts says; their texts are computed once."""

import io
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from benchmark import run
from benchmark.cache.cache import Cache
from benchmark.inference.evaluate import Subject
from benchmark.inference.subjects import subjects
from benchmark.models import prompts as prompts_
from benchmark.models import text_embeddings, weights
from benchmark.models.registry import load
from benchmark.models.specs import Entry
from benchmark.schemas import predictions, result
from d3s_dataset.errors import ModelError
from d3s_dataset.taxonomy import BACKGROUNDS, classes
from d3s_dataset.utils.paths import cache_folder

TOWER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
EYE = {**TOWER, "image_size": 32, "patch_size": 8}
KINDS = {
    "clip": (CLIPConfig, CLIPModel, CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32), {}),
    "siglip": (
        SiglipConfig,
        SiglipModel,
        SiglipImageProcessor(size={"height": 32, "width": 32}),
        {"max_position_embeddings": 64},
    ),
}


@pytest.fixture(scope="module", params=["clip", pytest.param("siglip", marks=pytest.mark.long)])
def tiny(request, shared_data, tmp_path_factory):
    """A tiny model with random weights and the real CLIP tokenizer: its kind, folder and itself."""
    config, model, processor, more = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param) / "model"
    tokenizer = CLIPTokenizer.from_pretrained(shared_data / "tokenizer")
    words = {**TOWER, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, **more}
    words |= {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model(config(text_config=words, vision_config=EYE)).eval()
    for part in (model, processor, tokenizer):
        part.save_pretrained(folder)
    return request.param, folder, model


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "text"


def _plain(folder, model, kind, image, prompts):
    """Return transformers' own logits of an image for prompts, (prompts,)."""
    _, _, processor, _ = KINDS[kind]
    tokens = CLIPTokenizer.from_pretrained(folder)(prompts, padding="max_length", max_length=64, return_tensors="pt")
    with torch.no_grad():
        return model(**tokens, **processor(images=image, return_tensors="pt")).logits_per_image[0]


def test_one_template_gives_what_transformers_gives(tiny, capfd):
    kind, folder, model = tiny
    capfd.readouterr()
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    found = load(f"zero-shot:{folder}", kwargs={"templates": "single"})
    some = [0, 134, 517, 638, 639, 999]
    prompts = ["a photo of a tench.", "a photo of a crane.", "a photo of a crane (machine).", "a photo of a maillot.",
               "a photo of a maillot, tank suit.", "a photo of a toilet tissue."]  # fmt: skip
    with torch.no_grad():
        logits = found.network(found.transform(image)[None])[0]
    assert logits.shape == (1000,)
    torch.testing.assert_close(logits[some], _plain(folder, model, kind, image, prompts), rtol=1e-4, atol=1e-4)
    assert found.digest == weights.digest(model)
    assert found.kwargs == {"templates": "single"}
    assert capfd.readouterr().err == ""


def test_class_names_are_embedded_on_the_device_that_was_typed(tiny, monkeypatch):
    """A GPU that is there stays untouched where --devices names the CPU."""
    kind, folder, _ = tiny
    encoder = {"clip": CLIPModel, "siglip": SiglipModel}[kind]
    asked, plain = [], encoder.to

    def to(model, device):
        asked.append(str(device))
        return plain(model, "cpu")

    monkeypatch.setattr(encoder, "to", to)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (subject,) = subjects([Entry(f"zero-shot:{folder}")], devices=["cpu"])
    assert subject.facts.architecture == encoder.__name__
    assert set(asked) == {"cpu"}


def test_the_whole_command(tiny, toy, tmp_path, capsys):
    kind, folder, model = tiny
    on = ["--dataset", str(toy), "--limit", "40", "--precision", "fp32", "--out", str(tmp_path / "out")]
    run.main(["--model", f"zero-shot:{folder}", "--model-kwargs", "templates=single", *on])
    (path,) = (tmp_path / "out").glob("*.json")
    facts = result.read(path).model
    assert facts.digest == weights.digest(model)
    assert "-templates-single--" in path.name
    made = predictions.read(path.with_suffix(".parquet"))
    data = pq.read_table(next((toy / "data").glob("validation-00000-*")), columns=["image"])
    image = Image.open(io.BytesIO(data["image"][39].as_py()["bytes"]))
    prompts = [prompts_.TEMPLATES["single"][0].format(prompts_.names()[label]) for label in made.prediction[39]]
    plain = _plain(folder, model, kind, image, prompts)
    ratios = np.log(made.probability[39] / made.probability[39, 0])
    np.testing.assert_allclose(ratios, (plain - plain[0]).numpy(), atol=1e-4)


def test_the_ensemble_is_the_mean_over_templates(tiny):
    _, folder, model = tiny
    found = load(f"zero-shot:{folder}")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    for label in (0, 517, 999):
        prompts = [each.format(prompts_.names()[label]) for each in prompts_.TEMPLATES["ensemble"]]
        tokens = tokenizer(prompts, padding="max_length", max_length=64, return_tensors="pt")
        with torch.no_grad():
            each = normalize(text_embeddings.features(model.get_text_features(**tokens)), dim=1)
        torch.testing.assert_close(found.network.vectors[label], normalize(each.mean(0), dim=0), rtol=1e-4, atol=1e-5)


def test_texts_are_embedded_once(tiny, cache, monkeypatch):
    _, folder, _ = tiny
    first = load(f"zero-shot:{folder}")
    (kept,) = cache.iterdir()
    before = kept.read_bytes()
    calls = []
    embed = text_embeddings._embed
    monkeypatch.setattr(text_embeddings, "_embed", lambda *given: calls.append(1) or embed(*given))
    assert torch.equal(load(f"zero-shot:{folder}").network.vectors, first.network.vectors)
    assert not calls
    kept.write_bytes(before[:-9])  # damaged: made again
    assert torch.equal(load(f"zero-shot:{folder}").network.vectors, first.network.vectors)
    assert len(calls) == 1
    assert kept.read_bytes() == before
    load(f"zero-shot:{folder}", kwargs={"templates": "single"})
    monkeypatch.setitem(prompts_.TEMPLATES, "single", ("a drawing of a {}.",))
    load(f"zero-shot:{folder}", kwargs={"templates": "single"})
    assert len(list(cache.iterdir())) == 3


def test_answers_are_kept_for_the_prompts_they_were_given(tiny, toy, make, twice, monkeypatch):
    _, folder, _ = tiny
    make.age(folder)
    twice("--model", f"zero-shot:{folder}", "--dataset", str(toy), "--limit", "20")
    before = Subject(f"zero-shot:{folder}", cache=Cache()).recalled
    assert before is not None
    monkeypatch.setitem(prompts_.TEMPLATES, "ensemble", ("a drawing of a {}.",))
    after = Subject(f"zero-shot:{folder}", cache=Cache())
    assert after.recalled is None
    assert after.facts.transform["prompts"] != before.transform["prompts"]


def test_other_weights_or_settings_are_other_texts(tiny, cache, tmp_path):
    _, folder, model = tiny
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    digest, single = weights.digest(model), prompts_.TEMPLATES["single"]
    text_embeddings.embeddings(model, tokenizer, digest, single)
    text_embeddings.embeddings(model, tokenizer, "other", single)
    before = model.config.text_config.layer_norm_eps
    model.config.text_config.layer_norm_eps = 1e-3
    try:
        text_embeddings.embeddings(model, tokenizer, digest, single)
    finally:
        model.config.text_config.layer_norm_eps = before
    assert len(list(cache.iterdir())) == 3


@pytest.mark.long
@pytest.mark.parametrize("tiny", ["clip"], indirect=True)
def test_two_processes_may_share_the_cache(tiny, cache):
    _, folder, _ = tiny
    code = f"""
import hashlib
from transformers import CLIPModel, CLIPTokenizer
from benchmark.models import prompts
from benchmark.models import text_embeddings
model, tokenizer = (kind.from_pretrained({str(folder)!r}) for kind in (CLIPModel, CLIPTokenizer))
found, _ = text_embeddings.embeddings(model.eval(), tokenizer, "digest", prompts.TEMPLATES["single"])
print(hashlib.sha256(found.numpy().tobytes()).hexdigest())
"""
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {each.communicate(timeout=300)[0] for each in running}
    assert [each.returncode for each in running] == [0, 0]
    assert len(said) == 1
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_said(tiny, monkeypatch, tmp_path, capsys):
    _, folder, _ = tiny
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "file"))
    load(f"zero-shot:{folder}", kwargs={"templates": "single"})
    shown = capsys.readouterr().err
    assert "will be computed again next time" in shown
    assert shown.count("\n") == 1


def test_the_cache_folder_is_the_user_s(monkeypatch, tmp_path):
    monkeypatch.delenv("D3S_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "d3s"


def test_names_and_templates():
    assert len({name.lower() for name in prompts_.names()}) == len(classes())
    assert prompts_.names()[0] == "tench"
    backgrounds = {each.name for each in BACKGROUNDS}
    for template in prompts_.TEMPLATES["ensemble"]:
        assert template.count("{}") == 1
        assert not backgrounds & set(template.strip(".").split())
    assert prompts_.TEMPLATES["single"][0] in prompts_.TEMPLATES["ensemble"]


def test_what_is_no_zero_shot_model_is_refused(tmp_path):
    from transformers import ViTConfig, ViTModel

    model = ViTModel(ViTConfig(**EYE))
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is a model of type 'vit': expected one of clip, siglip"):
        load(f"zero-shot:{tmp_path}")
    with pytest.raises(ModelError, match="templates=all: expected ensemble or single"):
        load(f"zero-shot:{tmp_path}", kwargs={"templates": "all"})
    with pytest.raises(ModelError, match="does not take --model-kwargs pad_type: expected templates"):
        load(f"zero-shot:{tmp_path}", kwargs={"pad_type": 1})
