"""Images whose object is kept: inpainting pipelines of diffusers with random weights, exact pixels, whole releases."""

import io
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ModelError, RecipeError
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.images.diffusion import ImageToImage
from generation.images.kept import paste_back, share_of_guide
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from generation.run import open_sources
from tests.d3s_dataset.test_check import rewrite
from tests.support.tiny_flux import build_fill, build_flux
from tests.support.tiny_others import build_xl

SIZE, FEATHER = 64, 3
# As in test_diffuse.py: notices of dependencies about each other.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def settings_of(model, **more):
    fields = {"model": str(model), "steps": 3, "dtype": "fp32", "feather": FEATHER, **more}
    return load_recipe("keep-object").generator.model_copy(update=fields)


@pytest.fixture(scope="module")
def settings(tiny_model):
    return settings_of(tiny_model)


def batch(n):
    """Return guides with discs as masks, prompts and seeds."""
    rng, (rows, columns) = np.random.default_rng(0), np.mgrid[:SIZE, :SIZE]
    guides = []
    for i in range(n):
        mask = (rows - 20 - i) ** 2 + (columns - 30) ** 2 < (6 + 2 * i) ** 2
        guides.append(np.dstack([rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8), 255 * mask.astype(np.uint8)]))
    return guides, [f"a photo of thing {i % 2}" for i in range(n)], [7 + i for i in range(n)]


def apart(one, two):
    return np.abs(np.asarray(one, int) - np.asarray(two, int)).max()


@given(st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_the_guides_weight_falls_with_the_distance_from_the_mask(feather, seed):
    mask = np.random.default_rng(seed).random((12, 12)) < 0.05
    share = share_of_guide(torch.from_numpy(mask)[None].float(), feather)[0].numpy()
    places = np.argwhere(mask)
    for row, column in np.ndindex(12, 12):
        far = np.abs(places - (row, column)).max(1).min() if len(places) else feather + 1
        assert share[row, column] == pytest.approx(max(0.0, 1 - far / (feather + 1)), abs=1e-6)


def test_pasting_back_is_exact_inside_and_leaves_what_is_far():
    guides = torch.from_numpy(np.stack(batch(3)[0]))
    images = torch.full((3, SIZE, SIZE, 3), 77, dtype=torch.uint8)
    pasted, masks = paste_back(images, guides, FEATHER), guides[..., 3] == 255
    assert (pasted[masks] == guides[..., :3][masks]).all()
    far = share_of_guide(masks.float(), FEATHER) == 0
    assert (pasted[far] == 77).all()
    assert (paste_back(images, guides, 0)[~masks] == 77).all()


# How a pipeline is built, its scheduler, and whether diffusers has another pipeline of its parts for inpainting.
OTHERS = {
    "xl": (build_xl, "EulerDiscreteScheduler", True),
    "flux": (build_flux, None, True),
    "flux fill": (build_fill, None, False),
}


@pytest.mark.parametrize("kind", ["sd", *OTHERS])
def test_the_object_is_exact_and_the_rest_is_a_plain_call_of_diffusers(kind, settings, tmp_path):
    import diffusers

    auto = True
    if kind in OTHERS:
        build, scheduler, auto = OTHERS[kind]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            settings = settings_of(build(tmp_path), scheduler=scheduler)
    guides, prompts, seeds = batch(3)
    ours = ImageToImage(settings, "cpu", prompts=2)
    together = ours(guides, prompts, seeds)
    alone = [ours([g], [p], [s])[0] for g, p, s in zip(guides, prompts, seeds, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = diffusers.AutoPipelineForInpainting if auto else diffusers.DiffusionPipeline
        pipe = loader.from_pretrained(settings.model)
    pipe.set_progress_bar_config(disable=True)
    if settings.scheduler:
        pipe.scheduler = getattr(diffusers, settings.scheduler).from_config(pipe.scheduler.config)
    for made, single, guide, prompt, seed in zip(together, alone, guides, prompts, seeds, strict=True):
        kept = guide[..., 3] == 255
        plain = pipe(
            prompt, image=Image.fromarray(guide[..., :3]), mask_image=Image.fromarray(255 * (~kept).astype(np.uint8)),
            height=SIZE, width=SIZE, strength=settings.strength, num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale, output_type="np",
            generator=torch.Generator("cpu").manual_seed(seed),
        ).images[0]  # fmt: skip
        plain = (plain * 255).round().astype(int)
        far = share_of_guide(torch.from_numpy(kept)[None].float(), FEATHER)[0].numpy() == 0
        assert (made.pixels[kept] == guide[..., :3][kept]).all()
        assert apart(made.pixels[far], plain[far]) <= 1
        assert apart(plain[kept], guide[..., :3][kept]) > 8  # the pipeline itself does not keep them
        assert apart(made.pixels, single.pixels) <= 1


def plan_of(settings, rows, image="jpeg"):
    recipe = load_recipe("sample").changed(rows=rows)
    parts = {
        "guide": recipe.guide.model_copy(update={"size": SIZE}),
        "image": recipe.image.model_copy(update={"format": image}),
        "controls": load_recipe("keep-object").controls.model_copy(update={"configs": ("guides",)}),
    }
    recipe = recipe.model_copy(update={**parts, "generator": settings})
    return Plan(recipe, *open_sources(recipe, None, None))


def rows_of(release, config="data"):
    return {row["key"]: row for path in sorted(release.glob(f"{config}/*.parquet"))
            for row in pq.read_table(path).to_pylist()}  # fmt: skip


def pixels(stored):
    return np.asarray(Image.open(io.BytesIO(stored["bytes"]))).astype(int)


@pytest.fixture(scope="module")
def release(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("kept") / "d3s"
    generate(plan_of(settings, 12, "png"), out, How(6, 4, 1, ("cpu",)))
    return out


def test_a_release_keeps_its_objects_whatever_batches_and_workers(settings, release, tmp_path):
    assert check_release(release) == []
    assert "the pixels under `mask` are those of the guide" in (release / "README.md").read_text()
    guides, made = rows_of(release, "guides"), rows_of(release)
    assert {(row["fidelity_ssim"], row["fidelity_colour"]) for row in made.values()} == {(1.0, 0.0)}
    assert len(guides) == 2
    for key, row in made.items():
        mask = pixels(row["mask"]) > 0
        assert 0 < mask.sum() < mask.size
        if key in guides:
            assert (pixels(row["image"])[mask] == pixels(guides[key]["image"])[mask]).all()
            assert (pixels(guides[key]["mask"]) == pixels(row["mask"])).all()
            assert apart(pixels(row["image"]), pixels(guides[key]["image"])) > 8
    generate(plan_of(settings, 12, "png"), tmp_path / "two", How(6, 3, 2, ("cpu",)), order=lambda tasks: tasks[::-1])
    again = rows_of(tmp_path / "two")
    assert made.keys() == again.keys()
    assert max(apart(pixels(made[key]["image"]), pixels(again[key]["image"])) for key in made) <= 1
    assert [made[key]["mask"] for key in made] == [again[key]["mask"] for key in made]


def test_check_finds_an_object_that_was_not_kept(settings, tmp_path):
    """In JPEG: whole blocks under the mask are decoded to the same pixels, and one other pixel shows."""
    out = tmp_path / "d3s"
    generate(plan_of(settings, 6), out, How(6, 6, 1, ("cpu",)))
    assert check_release(out) == []
    guides = rows_of(out, "guides")

    def change(rows):
        row = next(row for row in rows if row["key"] in guides)
        mask = pixels(row["mask"]) > 0
        blocks = mask.reshape(SIZE // 8, 8, SIZE // 8, 8).all(axis=(1, 3))
        top, left = 8 * np.argwhere(blocks)[0]
        image = pixels(row["image"]).astype(np.uint8)
        image[top : top + 8, left : left + 8] = 255 - image[top : top + 8, left : left + 8]
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "jpeg", quality=95, subsampling=0)
        row["image"] = {"bytes": buffer.getvalue(), "path": row["image"]["path"]}

    rewrite(out, change, "validation")
    problems = check_release(out)
    assert any("pixels of its object differ from its guide's" in problem for problem in problems)
    assert any("fidelity_colour is 0, its image and guide have" in problem for problem in problems)


def test_a_redraw_is_recorded_as_before_and_inpainting_with_its_mode(release):
    assert {"mode", "feather"}.isdisjoint(load_recipe("paper").to_json()["generator"])
    assert read(release).recipe["generator"]["mode"] == "inpaint"


def test_photos_without_a_mask_are_one_line_before_models_are_loaded(tmp_path, photo_folders):
    settings = settings_of(tmp_path / "no-model")
    recipe = load_recipe("keep-object").changed(rows=20, clip="none").model_copy(update={"generator": settings})
    sources = open_sources(recipe, str(photo_folders / "foregrounds"), str(photo_folders / "backgrounds"))
    with pytest.raises(RecipeError, match=r"has no mask: generator\.mode inpaint expects cut-outs"):
        generate(Plan(recipe, *sources), tmp_path / "d3s", How(workers=1, devices=("cpu",)))


def test_a_model_that_cannot_inpaint_is_one_line(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "AudioLDMPipeline", "_diffusers_version": "0.30.0"}')
    with pytest.raises(ModelError, match="expected the Hub id or folder of an inpainting pipeline") as caught:
        ImageToImage(settings_of(tmp_path), "cpu")
    assert "\n" not in str(caught.value)


def test_a_model_that_only_inpaints_cannot_redraw(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxFillPipeline", "_diffusers_version": "0.42.0"}')
    with pytest.raises(ModelError, match="expected the Hub id or folder of an image-to-image pipeline"):
        ImageToImage(settings_of(tmp_path, mode="redraw"), "cpu")
