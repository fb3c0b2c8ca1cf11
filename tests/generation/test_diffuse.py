"""The real diffusers path, through a small random Stable Diffusion: pictures mean nothing, everything else is real."""

import io
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ModelError
from d3s_dataset.manifest import read
from generation.diffuse import ImageToImage
from generation.plan import Plan
from generation.recipe import load_recipe
from generation.run import generate, open_sources
from tests.conftest import one_line_error
from tests.tiny_sd import build

SIZE = 64

# transformers' tokenizer says that prompts are long for the letters-only vocabulary; diffusers' loader passes on
# numpy and accelerate notices of its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def settings(model):
    fields = {"model": str(model), "steps": 4, "dtype": "fp32"}
    return load_recipe("paper").generator.model_copy(update=fields)


@pytest.fixture(scope="module")
def diffuser(settings):
    return ImageToImage(settings, "cpu")


def plan_of(settings, rows=24):
    """The drawn sample, redrawn by a model and stored without loss."""
    recipe = load_recipe("sample").changed(rows=rows)
    small = recipe.guide.model_copy(update={"size": SIZE})
    png = recipe.image.model_copy(update={"format": "png"})
    recipe = recipe.model_copy(update={"guide": small, "image": png, "generator": settings})
    return Plan(recipe, *open_sources(recipe, None, None))


def batch(n):
    rng = np.random.default_rng(0)
    guides = [Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)) for _ in range(n)]
    return guides, [f"a photo of thing {i % 3}" for i in range(n)], [7 + i for i in range(n)]


def pixels(release):
    return {
        row["key"]: np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))).astype(int)
        for path in sorted(release.glob("data/*.parquet"))
        for row in pq.read_table(path).to_pylist()
    }


def apart(one, two):
    return max(np.abs(np.asarray(a, int) - np.asarray(b, int)).max() for a, b in zip(one, two, strict=True))


def test_an_image_is_the_same_alone_and_in_any_batch(diffuser):
    guides, prompts, seeds = batch(5)
    together = diffuser(guides, prompts, seeds)
    alone = [diffuser([g], [p], [s])[0] for g, p, s in zip(guides, prompts, seeds, strict=True)]
    backwards = diffuser(guides[::-1], prompts[::-1], seeds[::-1])[::-1]
    assert apart(together, alone) <= 1
    assert apart(together, backwards) <= 1


def test_guide_prompt_and_seed_each_change_the_image(diffuser):
    (one, two), (first, second), (seed, other) = batch(2)
    base = diffuser([one], [first], [seed])
    for changed in (([two], [first], [seed]), ([one], [second], [seed]), ([one], [first], [other])):
        assert apart(base, diffuser(*changed)) > 1


def test_ours_is_a_plain_diffusers_call(diffuser, model):
    """Ten lines of diffusers as its documentation has them: text prompts, one generator a row."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline

    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(model, safety_checker=None)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    guides, prompts, seeds = batch(3)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    plain = pipe(prompt=prompts, image=guides, generator=generators, num_inference_steps=4, strength=0.9,
                 guidance_scale=5.0, eta=0.0, output_type="pil").images  # fmt: skip
    assert apart(diffuser(guides, prompts, seeds), plain) <= 1


def test_a_prompt_is_encoded_once(settings, monkeypatch):
    fresh, calls = ImageToImage(settings, "cpu"), []
    original = fresh._pipe.encode_prompt
    monkeypatch.setattr(fresh._pipe, "encode_prompt", lambda *a, **k: calls.append(a[0]) or original(*a, **k))
    for _ in range(2):
        fresh(*batch(5))
    # The pipeline calls encode_prompt itself with ready embeddings and no prompt.
    assert [call for call in calls if call is not None] == ["", *batch(3)[1]]


def test_a_release_through_diffusion_holds_its_claims(settings, model, tmp_path):
    generate(plan_of(settings), tmp_path / "one", workers=1, batch_size=8, shard_rows=10, device="cpu")
    assert check_release(tmp_path / "one") == []
    manifest = read(tmp_path / "one")
    assert manifest.recipe["generator"]["model"].startswith("model@")
    assert str(model) not in (tmp_path / "one" / "manifest.json").read_text()
    assert str(model) not in (tmp_path / "one" / "README.md").read_text()
    assert (manifest.environment["device"], manifest.environment["dtype"]) == ("cpu", "float32")
    row = pq.read_table(next((tmp_path / "one").glob("data/train-*"))).to_pylist()[0]
    assert row["generator"] == manifest.recipe["generator"]["model"]
    assert (row["scheduler"], row["steps"], round(row["strength"], 3), row["guidance_scale"]) == (
        "DDIMScheduler", 4, 0.9, 5.0)  # fmt: skip
    order = {"order": lambda tasks: tasks[::-1]}
    generate(plan_of(settings), tmp_path / "two", workers=2, batch_size=3, shard_rows=10, device="cpu", **order)
    one, two = pixels(tmp_path / "one"), pixels(tmp_path / "two")
    assert one.keys() == two.keys()
    assert apart(one.values(), two.values()) <= 1


def test_real_photos_through_a_model(settings, shared_data, tmp_path):
    recipe = load_recipe("paper").changed(rows=20)
    guide = recipe.guide.model_copy(update={"size": SIZE})
    recipe = recipe.model_copy(update={"guide": guide, "generator": settings})
    sources = open_sources(recipe, str(shared_data / "foregrounds"), str(shared_data / "backgrounds"))
    generate(Plan(recipe, *sources), tmp_path / "d3s", workers=1, device="cpu")
    assert check_release(tmp_path / "d3s") == []
    assert read(tmp_path / "d3s").kind == "d3s"


def test_another_model_is_another_release(settings, model, tmp_path):
    plan = plan_of(settings, 6)
    other = shutil.copytree(model, tmp_path / "model")
    assert plan_of(settings.model_copy(update={"model": str(other)}), 6).digest == plan.digest
    (other / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"other weights")
    assert plan_of(settings.model_copy(update={"model": str(other)}), 6).digest != plan.digest


def test_a_hub_model_is_recorded_with_its_commit(settings, model, tmp_path, monkeypatch):
    """The Hub's own cache layout, offline: the real loading code, no network."""
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--lab--sd"
    shutil.copytree(model, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("diffusers.utils.constants.HF_MODULES_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("diffusers.pipelines.pipeline_utils.HF_HUB_CACHE", str(tmp_path), raising=False)
    assert ImageToImage(settings.model_copy(update={"model": "lab/sd"}), "cpu").name == f"lab/sd@{commit}"


BAD = {
    "no pipeline": ({"model": "tests"}, "expected the folder of a diffusers pipeline"),
    "no such scheduler": ({"scheduler": "FastScheduler"}, "expected one of diffusers' such as DDIMScheduler"),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_generator_is_one_clear_line(settings, change, says):
    with pytest.raises(ModelError, match=says) as caught:
        ImageToImage(settings.model_copy(update=change), "cpu")
    assert "\n" not in str(caught.value)


# No machine has a hundredth GPU: without any the line says so, with some that this one cannot be used.
@pytest.mark.parametrize(
    ("device", "says"),
    [("cuda:99", "finds no CUDA device|cuda:99 cannot be used"), ("gpu", "expected cpu, cuda or cuda:N")],
)
def test_a_bad_device_is_one_clear_line(settings, device, says):
    with pytest.raises(ModelError, match=says) as caught:
        ImageToImage(settings, device)
    assert "\n" not in str(caught.value)


def test_an_unreachable_model_is_one_line(tmp_path, command):
    given = ("--recipe", "sample", "--rows", 6, "--model", "lab/gone", "--out", tmp_path / "d3s")
    line = one_line_error(command("generation.run", *given, HF_ENDPOINT="http://127.0.0.1:9"))
    assert (
        "--model lab/gone: no such folder, and as a Hub model the weights of lab/gone are not on this machine" in line
    )
    assert "cannot be reached: pass --model FOLDER (or none)" in line
    assert not (tmp_path / "d3s" / ".work").exists()
