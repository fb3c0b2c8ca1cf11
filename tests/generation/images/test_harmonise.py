"""The seam made once more at a low strength: what of an image changes by it, and what does not."""

import numpy as np
import pytest
import torch
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import RecipeError
from d3s_dataset.utils.fidelity import seam
from generation.execution.options import How
from generation.images.diffusion import ImageToImage
from generation.images.kept import BAND, blend_band, share_of_guide
from generation.recipe.recipe import load_recipe, parse_recipe
from generation.release.build import generate
from tests.generation.images.test_inpaint import apart, batch, pixels, plan_of, rows_of, settings_of
from tests.support.tiny_flux import build_flux
from tests.support.tiny_others import build_xl

# As in test_diffuse.py: notices of dependencies about each other.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
STRENGTH = 0.5
OTHERS = {"xl": build_xl, "flux": build_flux}


def weights(guide):
    """The weight of the harmonised image at each pixel: falling from the mask's edge outwards, 0 inside."""
    mask = guide[..., 3] == 255
    share = share_of_guide(torch.from_numpy(mask)[None].float(), BAND)[0].numpy()
    return np.where(mask, 0, share)[..., None]


@pytest.mark.parametrize("kind", ["sd", *(pytest.param(each, marks=pytest.mark.long) for each in OTHERS)])
def test_a_band_around_the_object_is_a_second_call_of_diffusers_and_all_else_stays(kind, tiny_model, tmp_path):
    import diffusers

    model = tiny_model
    if kind in OTHERS:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = OTHERS[kind](tmp_path)
    plain = settings_of(model, scheduler=None)
    settings = plain.model_copy(update={"harmonise": STRENGTH})
    guides, prompts, seeds = batch(3)
    ours = ImageToImage(settings, "cpu", prompts=2)
    made = [each.pixels for each in ours(guides, prompts, seeds)]
    alone = [ours([g], [p], [s])[0].pixels for g, p, s in zip(guides, prompts, seeds, strict=True)]
    before = [each.pixels for each in ImageToImage(plain, "cpu", prompts=2)(guides, prompts, seeds)]
    pipe = diffusers.AutoPipelineForInpainting.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    for image, single, old, guide, prompt, seed in zip(made, alone, before, guides, prompts, seeds, strict=True):
        weight, kept, generator = weights(guide), guide[..., 3] == 255, torch.Generator("cpu").manual_seed(seed)
        options = {"height": 64, "width": 64, "num_inference_steps": plain.steps, "generator": generator,
                   "guidance_scale": plain.guidance_scale, "output_type": "np"}  # fmt: skip
        first, band = (255 * each.astype(np.uint8) for each in (~kept, weight[..., 0] > 0))
        pipe(prompt, image=Image.fromarray(guide[..., :3]), mask_image=Image.fromarray(first),
             strength=plain.strength, **options)  # fmt: skip
        again = pipe(prompt, image=Image.fromarray(old), mask_image=Image.fromarray(band), strength=STRENGTH,
                     **options).images[0]  # fmt: skip
        assert (image[kept] == guide[..., :3][kept]).all()
        assert (image[weight[..., 0] == 0] == old[weight[..., 0] == 0]).all()
        assert apart(image, weight * (again * 255) + (1 - weight) * old) <= 2
        assert apart(image, old) > 8
        assert apart(image, single) <= 1


def test_the_band_is_blended_by_distance():
    guides = torch.from_numpy(np.stack(batch(2)[0]))
    old, new = (torch.full((2, 64, 64, 3), level, dtype=torch.uint8) for level in (40, 240))
    found = blend_band(old, new, guides)
    for image, guide in zip(found.numpy(), guides.numpy(), strict=True):
        weight = np.broadcast_to(weights(guide), image.shape)
        assert np.abs(image - (40 + 200 * weight)).max() <= 0.5
        assert image.max() == round(40 + 200 * (1 - 1 / (BAND + 1)))


def test_a_release_with_harmonised_seams_keeps_its_objects(tiny_model, tmp_path):
    out = tmp_path / "d3s"
    generate(plan_of(settings_of(tiny_model, harmonise=STRENGTH), 6, "png"), out, How(6, 4, 1, ("cpu",)))
    assert check_release(out) == []
    rows, guides = rows_of(out), rows_of(out, "guides")
    assert guides
    for key, guide in guides.items():
        mask = pixels(guide["mask"]) > 0
        assert (pixels(rows[key]["image"])[mask] == pixels(guide["image"])[mask]).all()
    assert {(row["fidelity_ssim"], row["fidelity_colour"]) for row in rows.values()} == {(1.0, 0.0)}
    for row in rows.values():  # of the image that is stored, after the pass
        found = seam(pixels(row["image"]).astype(np.uint8), pixels(row["mask"]) > 0)
        assert row["fidelity_seam"] == pytest.approx(found, abs=1e-3)
    assert "at strength 0.5 within 16 pixels of the object" in (out / "README.md").read_text()


TEXT = """
name = "mine"
kind = "d3s"
description = "mine"
rows = 10
seed = 1
[generator]
model = "lab/model"
"""
BAD = {
    'mode = "redraw"\nharmonise = 0.2': "generator.harmonise is for generator.mode 'inpaint': expected 0",
    'mode = "inpaint"\nsteps = 4\nharmonise = 0.2': "generator.steps x generator.harmonise is less than one step",
    'mode = "inpaint"\nharmonise = 0.6': "generator.harmonise: Input should be less than or equal to 0.5, got 0.6",
}


@pytest.mark.parametrize(("lines", "says"), BAD.items(), ids=["another mode", "no step", "not low"])
def test_a_harmonise_that_cannot_be_is_one_line(lines, says):
    with pytest.raises(RecipeError, match=says) as caught:
        parse_recipe(TEXT + lines, "mine.toml")
    assert "\n" not in str(caught.value)


def test_recipes_without_it_keep_their_digest():
    assert "harmonise" not in load_recipe("keep-object").to_json()["generator"]
    recorded = parse_recipe(TEXT + 'mode = "inpaint"\nharmonise = 0.2', "mine.toml").to_json()["generator"]
    assert recorded["harmonise"] == 0.2
