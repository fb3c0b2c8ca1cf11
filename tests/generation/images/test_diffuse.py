"""The real diffusers path, through a small random Stable Diffusion: pictures mean nothing, everything else is real."""

import io
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ModelError
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.images.diffusion import ImageToImage
from generation.images.rows import Guide, Maker
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.recipe.sections import Severity
from generation.release.build import generate
from generation.run import open_sources
from tests.conftest import one_line_error

SIZE = 64
CPU = ("cpu",)

# transformers' tokenizer says that prompts are long for the letters-only vocabulary; diffusers' loader passes on
# numpy and accelerate notices of its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def settings(tiny_model):
    fields = {"model": str(tiny_model), "steps": 4, "dtype": "fp32"}
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
    guides = [rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(n)]
    return guides, [f"a photo of thing {i % 3}" for i in range(n)], [7 + i for i in range(n)]


def redraw(diffuser, *given):
    return [each.pixels for each in diffuser(*given)]


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
    together = redraw(diffuser, guides, prompts, seeds)
    alone = [redraw(diffuser, [g], [p], [s])[0] for g, p, s in zip(guides, prompts, seeds, strict=True)]
    backwards = redraw(diffuser, guides[::-1], prompts[::-1], seeds[::-1])[::-1]
    assert apart(together, alone) <= 1
    assert apart(together, backwards) <= 1


def test_guide_prompt_and_seed_each_change_the_image(diffuser):
    (one, two), (first, second), (seed, other) = batch(2)
    base = redraw(diffuser, [one], [first], [seed])
    for changed in (([two], [first], [seed]), ([one], [second], [seed]), ([one], [first], [other])):
        assert apart(base, redraw(diffuser, *changed)) > 1


def test_ours_is_a_plain_diffusers_call(diffuser, tiny_model):
    """Ten lines of diffusers as its documentation has them: text prompts, one generator a row."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline

    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(tiny_model, safety_checker=None)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    guides, prompts, seeds = batch(3)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    images = [Image.fromarray(guide) for guide in guides]
    plain = pipe(prompt=prompts, image=images, generator=generators, num_inference_steps=4, strength=0.9,
                 guidance_scale=5.0, eta=0.0, output_type="pil").images  # fmt: skip
    assert apart(redraw(diffuser, guides, prompts, seeds), plain) <= 1


def encoded(diffuser, monkeypatch):
    """Return a list that will hold what the pipeline is asked to encode."""
    calls, original = [], diffuser._pipe.encode_prompt
    spy = lambda *a, **k: calls.append(k.get("prompt") or []) or original(*a, **k)  # noqa: E731
    monkeypatch.setattr(diffuser._pipe, "encode_prompt", spy)
    return calls


def test_a_prompt_is_encoded_once_and_the_encoder_released_after_the_last(settings, monkeypatch):
    fresh = ImageToImage(settings, "cpu", prompts=3)
    calls = encoded(fresh, monkeypatch)
    first = redraw(fresh, *batch(2))
    assert fresh._pipe.text_encoder is not None
    for _ in range(2):
        all_five = redraw(fresh, *batch(5))
    # The pipeline calls encode_prompt itself with ready embeddings and no prompt.
    assert [each for call in calls for each in call] == ["", *batch(3)[1]]
    assert fresh._pipe.text_encoder is None
    assert apart(first, all_five[:2]) <= 1


@pytest.mark.long
def test_embeddings_that_have_no_room_are_made_again(settings, diffuser, monkeypatch):
    monkeypatch.setattr("generation.images.prompt_embeddings._ROOM", 1)
    fresh = ImageToImage(settings, "cpu", prompts=3)
    calls = encoded(fresh, monkeypatch)
    for _ in range(3):
        last = redraw(fresh, *batch(5))
        redraw(fresh, *batch(1))
    assert calls.count(["a photo of thing 1", "a photo of thing 2"]) == 2
    assert fresh._pipe.text_encoder is not None
    assert apart(last, redraw(diffuser, *batch(5))) <= 1


def test_out_of_memory_halves_the_batch_and_loses_nothing(settings, diffuser):
    import torch

    fresh, sizes = ImageToImage(settings, "cpu", batch_size=8), []

    def small_device(module, inputs, given):
        n = inputs[0].shape[0] // 2  # with and without the prompt
        sizes.append(n)
        if n > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = fresh._pipe.unet.register_forward_pre_hook(small_device, with_kwargs=True)
    images = redraw(fresh, *batch(7))
    hook.remove()
    assert fresh.batch_size == 2
    assert sorted(set(sizes)) == [1, 2, 4, 7]
    assert apart(images, redraw(diffuser, *batch(7))) <= 1


def test_no_room_for_one_image_is_one_clear_line(settings):
    import torch

    def no_device(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    fresh = ImageToImage(settings, "cpu", batch_size=2)
    fresh._pipe.unet.register_forward_pre_hook(no_device)
    with pytest.raises(ModelError, match="is out of memory with one image"):
        fresh(*batch(2))


def test_several_threads_may_call_at_once(settings, diffuser):
    guides, prompts, seeds = batch(6)
    with ThreadPoolExecutor(3) as threads:
        parts = [(guides[i : i + 2], prompts[i : i + 2], seeds[i : i + 2]) for i in (0, 2, 4)]
        made = [each for part in threads.map(lambda part: redraw(diffuser, *part), parts) for each in part]
    assert apart(made, redraw(diffuser, guides, prompts, seeds)) <= 1


@pytest.mark.long
def test_compiled_networks_draw_the_same(settings, diffuser):
    compiled = ImageToImage(settings, "cpu", batch_size=3, compiled=True)
    assert compiled.environment()["compiled"] == "yes"
    # Five in threes: the second call is filled up to the compiled size.
    assert apart(redraw(compiled, *batch(5)), redraw(diffuser, *batch(5))) <= 1


def test_a_release_through_diffusion_holds_its_claims(settings, tiny_model, tmp_path):
    generate(plan_of(settings), tmp_path / "one", How(10, 8, 1, CPU))
    assert check_release(tmp_path / "one") == []
    manifest = read(tmp_path / "one")
    assert manifest.recipe["generator"]["model"].startswith("model@")
    assert str(tiny_model) not in (tmp_path / "one" / "manifest.json").read_text()
    assert str(tiny_model) not in (tmp_path / "one" / "README.md").read_text()
    assert (manifest.environment["device"], manifest.environment["dtype"]) == ("cpu", "float32")
    row = pq.read_table(next((tmp_path / "one").glob("data/train-*"))).to_pylist()[0]
    assert row["generator"] == manifest.recipe["generator"]["model"]
    assert (row["scheduler"], row["steps"], round(row["strength"], 3), row["guidance_scale"]) == (
        "DDIMScheduler", 4, 0.9, 5.0)  # fmt: skip
    generate(plan_of(settings), tmp_path / "two", How(10, 3, 2, CPU), order=lambda tasks: tasks[::-1])
    one, two = pixels(tmp_path / "one"), pixels(tmp_path / "two")
    assert one.keys() == two.keys()
    assert apart(one.values(), two.values()) <= 1


@pytest.mark.long
def test_photos_through_a_model(settings, photo_folders, tmp_path):
    recipe = load_recipe("paper").changed(rows=20, clip="none")
    guide = recipe.guide.model_copy(update={"size": SIZE})
    recipe = recipe.model_copy(update={"guide": guide, "generator": settings})
    sources = open_sources(recipe, str(photo_folders / "foregrounds"), str(photo_folders / "backgrounds"))
    generate(Plan(recipe, *sources), tmp_path / "d3s", How(workers=1, devices=CPU))
    assert check_release(tmp_path / "d3s") == []
    assert read(tmp_path / "d3s").kind == "d3s"


def test_another_model_is_another_release(settings, tiny_model, tmp_path):
    plan = plan_of(settings, 6)
    other = shutil.copytree(tiny_model, tmp_path / "model")
    assert plan_of(settings.model_copy(update={"model": str(other)}), 6).digest == plan.digest
    (other / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"other weights")
    assert plan_of(settings.model_copy(update={"model": str(other)}), 6).digest != plan.digest


def test_a_hub_model_is_recorded_with_its_commit(settings, tiny_model, tmp_path, monkeypatch):
    """The Hub's own cache layout, offline: the real loading code, no network."""
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--lab--sd"
    shutil.copytree(tiny_model, repo / "snapshots" / commit)
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
    [("cuda:99", "finds no CUDA device|cuda:99 cannot be used"), ("gpu", "expected cpu, cuda, cuda:N or a list")],
)
def test_a_bad_device_is_one_clear_line(settings, device, says):
    with pytest.raises(ModelError, match=says) as caught:
        ImageToImage(settings, device)
    assert "\n" not in str(caught.value)


def test_an_unreachable_model_is_one_line(tmp_path, command):
    given = ("--recipe", "sample", "--rows", 6, "--model", "lab/gone", "--out", tmp_path / "d3s")
    line = one_line_error(command("generation.run", *given, HF_ENDPOINT="http://127.0.0.1:9"))
    assert "--model lab/gone: no such folder, and as a Hub model the weights of lab/gone are not cached locally" in line
    assert "cannot be reached: pass --model FOLDER (or none)" in line
    assert not (tmp_path / "d3s" / ".work").exists()


@pytest.mark.long
def test_levels_of_strength_are_those_of_recipes_of_one_strength(settings, tmp_path):
    """A ladder's rows have their level as strength, and the pixels that a recipe of that strength gives alone."""
    planned = plan_of(settings, rows=24)
    recipe = planned.recipe.model_copy(update={"severity": Severity(of="strength", levels=(0.5, 1.0))})
    plan = Plan(recipe, planned.foregrounds, planned.backgrounds)
    generate(plan, tmp_path / "d3s", How(devices=CPU, batch_size=5))
    rows = [row for path in sorted((tmp_path / "d3s").glob("data/*")) for row in pq.read_table(path).to_pylist()]
    assert {row["severity"] for row in rows} == {0.5, 1.0}
    assert all(row["strength"] == row["severity"] for row in rows)
    assert check_release(tmp_path / "d3s") == []
    alone = ImageToImage(settings.model_copy(update={"strength": 0.5}), "cpu")
    own, made = [row for row in plan if row.severity == 0.5][:3], pixels(tmp_path / "d3s")
    guides = Maker(recipe, *(plan.foregrounds, plan.backgrounds)).guides(own)
    given = [each.pixels for each in guides if isinstance(each, Guide)], [row.prompt for row in own]
    drawn = redraw(alone, *given, [row.seed for row in own])
    assert apart(drawn, [made[row.key] for row in own]) <= 1
    assert apart(drawn, [each.pixels for each in alone(*given, [row.seed for row in own], 1.0)]) > 10
