"""Stable Diffusion XL, its turbo form and Stable Diffusion 3: ours gives what a plain call of diffusers gives."""

import warnings

import numpy as np
import pytest
import torch

from generation.images.diffusion import ImageToImage
from generation.recipe.recipe import load_recipe
from tests.support.tiny_others import build_3, build_xl

SIZE = 64
# As in test_diffuse.py: notices of dependencies about each other.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
KINDS = {  # how it is built, its scheduler's arguments
    "xl": (build_xl, {"scheduler": "EulerDiscreteScheduler", "guidance_scale": 5.0}),
    "xl turbo": (build_xl, {"scheduler": "EulerAncestralDiscreteScheduler", "guidance_scale": 0.0, "strength": 0.5}),
    "3": (build_3, {"scheduler": None, "guidance_scale": 5.0}),
}


@pytest.fixture(scope="module", params=KINDS)
def settings(request, tmp_path_factory):
    build, chosen = KINDS[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        folder = build(tmp_path_factory.mktemp("other"))
    fields = {"model": str(folder), "steps": 4, "dtype": "fp32", **chosen}
    return load_recipe("paper").generator.model_copy(update=fields)


def test_ours_gives_what_a_plain_call_of_diffusers_gives(settings):
    import diffusers

    rng = np.random.default_rng(0)
    guides = [rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(3)]
    prompts, seeds = (
        ["a photo of a cat, on grass", "a photo of a dog, in snow", "a photo of a cat, on grass"],
        [7, 8, 9],
    )
    ours = ImageToImage(settings, "cpu", prompts=2)
    together = [each.pixels for each in ours(guides, prompts, seeds)]
    alone = [ours([g], [p], [s])[0].pixels for g, p, s in zip(guides, prompts, seeds, strict=True)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = diffusers.AutoPipelineForImage2Image.from_pretrained(settings.model)
    pipe.set_progress_bar_config(disable=True)
    if settings.scheduler:
        pipe.scheduler = getattr(diffusers, settings.scheduler).from_config(pipe.scheduler.config)
    for i, (guide, prompt, seed) in enumerate(zip(guides, prompts, seeds, strict=True)):
        plain = pipe(
            prompt, image=torch.from_numpy(guide).permute(2, 0, 1)[None].float() / 255, strength=settings.strength,
            num_inference_steps=settings.steps, guidance_scale=settings.guidance_scale, output_type="np",
            generator=torch.Generator("cpu").manual_seed(seed),
            **({"height": SIZE, "width": SIZE} if type(pipe).__name__.startswith("StableDiffusion3") else {}),
        ).images[0]  # fmt: skip
        plain = (plain * 255).round().astype(int)
        assert np.ptp(plain) > 20
        assert np.abs(together[i].astype(int) - plain).max() <= 1
        assert np.abs(together[i].astype(int) - alone[i].astype(int)).max() <= 1
    assert np.abs(together[0].astype(int) - together[2]).max() > 1
