"""FLUX.2 klein, FLUX Kontext, InstructPix2Pix and Qwen-Image-Edit with random weights: editing by instruction."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ModelError
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.images.diffusion import ImageToImage
from generation.images.editing import edits
from generation.recipe.recipe import load_recipe
from generation.release.build import generate, make_again
from tests.support.releases import CPU, SIZE, apart, mode_plan, rows_of
from tests.support.tiny_flux import build_klein, build_kontext, build_pix2pix, build_qwen

# As in test_diffuse.py: notices of dependencies about each other.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
KINDS = {  # how it is built, the guidance scale, what else a plain call needs for the guide's size, whether it batches
    "klein": (build_klein, 1.0, {}, True),
    "klein base": (lambda folder: build_klein(folder, distilled=False), 4.0, {}, True),
    "kontext": (build_kontext, 2.5, {"max_area": SIZE * SIZE, "_auto_resize": False}, True),
    "pix2pix": (build_pix2pix, 7.5, None, True),
    "qwen": (build_qwen, 4.0, {}, False),
}
ROWS = [("put the cat on grass", 7), ("put the dog in snow", 8), ("put the cat on grass", 9)]


def settings_of(model, **more):
    fields = {"model": str(model), "steps": 3, "dtype": "fp32", **more}
    return load_recipe("edit").generator.model_copy(update=fields)


def built(kind, folder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return KINDS[kind][0](folder)


def far(one, two):
    return np.abs(np.asarray(one, int) - np.asarray(two, int)).max()


@pytest.mark.parametrize(
    "kind",
    ["klein", "kontext", "pix2pix", *(pytest.param(each, marks=pytest.mark.long) for each in ("klein base", "qwen"))],
)
def test_ours_gives_what_a_plain_call_of_diffusers_gives(kind, tmp_path):
    import diffusers

    _, scale, size, batches = KINDS[kind]
    settings = settings_of(built(kind, tmp_path), guidance_scale=scale, steps=2)
    rng, ours = np.random.default_rng(0), ImageToImage(settings, "cpu", prompts=2)
    guides = [rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in ROWS]
    together = [each.pixels for each in ours(guides, *zip(*ROWS, strict=True))]
    assert ours._editor.batches == batches
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = diffusers.DiffusionPipeline.from_pretrained(settings.model)
    pipe.set_progress_bar_config(disable=True)
    size = {} if size is None else {"height": SIZE, "width": SIZE, **size}
    guidance = {"true_cfg_scale": scale, "negative_prompt": " "} if kind == "qwen" else {"guidance_scale": scale}
    for guide, (prompt, seed), made in zip(guides, ROWS, together, strict=True):
        plain = pipe(
            image=Image.fromarray(guide), prompt=prompt, num_inference_steps=2, output_type="np", **guidance, **size,
            generator=torch.Generator("cpu").manual_seed(seed),
        ).images[0]  # fmt: skip
        assert np.ptp(plain) > 0.1
        assert far(made, (plain * 255).round()) <= 1
        if batches:
            assert far(made, ours([guide], [prompt], [seed])[0].pixels) <= 1
    assert min(far(together[0], together[1]), far(together[0], together[2])) > 1


def test_a_prompt_is_encoded_once_and_the_encoder_released(tmp_path, monkeypatch):
    ours = ImageToImage(settings_of(built("klein", tmp_path), steps=1), "cpu", prompts=2)
    calls, original = [], ours._pipe.encode_prompt
    spy = lambda *a, **k: calls.extend(k.get("prompt") or []) or original(*a, **k)  # noqa: E731
    monkeypatch.setattr(ours._pipe, "encode_prompt", spy)
    guides = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in (40, 90, 200)]
    for _ in range(2):
        ours(guides, *zip(*ROWS, strict=True))
    assert calls == ["put the cat on grass", "put the dog in snow"]
    assert ours._pipe.text_encoder is None


@pytest.fixture(scope="module")
def klein(tmp_path_factory):
    return built("klein", tmp_path_factory.mktemp("klein"))


@pytest.fixture(scope="module")
def release(klein, tmp_path_factory):
    out = tmp_path_factory.mktemp("edited") / "d3s"
    generate(mode_plan("edit", klein, 12, ("guides", "control_scale")), out, How(6, 4, 1, CPU))
    return out


@pytest.mark.long
def test_a_release_by_instruction_holds_its_claims_whatever_batches_and_workers(klein, release, tmp_path):
    assert check_release(release) == []
    rows, recipe = rows_of(release), read(release).recipe
    assert all(row["prompt"].startswith("Turn this collage into one natural photo: keep the ") for row in rows.values())
    assert {row["strength"] for row in rows.values()} == {None}
    assert all(row["mask"] and row["mask_confidence"] is None for row in rows.values())
    assert max(row["fidelity_ssim"] for row in rows.values()) < 0.9  # random weights keep nothing
    assert all(row["fidelity_colour"] > 1 and row["fidelity_seam"] > 0 for row in rows.values())
    assert {row["fidelity_ssim"] for row in rows_of(release, "guides").values()} == {None}
    controls = rows_of(release, "control_scale")
    assert not any(each["prompt"] == rows[key]["prompt"] for key, each in controls.items())
    assert {"strength", "eta", "feather"}.isdisjoint(recipe["generator"])
    assert "template" not in recipe["prompt"]
    card = (release / "README.md").read_text()
    assert "the model was instructed to keep it, which guarantees nothing" in card
    assert "4 steps, guidance scale 1.0" in card
    two = tmp_path / "two"
    plan = mode_plan("edit", klein, 12, ("guides", "control_scale"))
    generate(plan, two, How(6, 3, 2, CPU), order=lambda tasks: tasks[::-1])
    assert apart(release, two) <= 1
    key = next(iter(rows))
    make_again(plan, two, How(6, 1, 1, CPU), None, key)
    assert apart(release, two) <= 1


FIT = ("Flux2Klein", "Flux2", "FluxKontext", "QwenImageEdit", "QwenImageEditPlus", "StableDiffusionInstructPix2Pix")
OTHER = ("StableDiffusionImg2Img", "StableDiffusionInpaint", "StableDiffusionControlNet", "I2VGenXL", "Flux")


def test_pipelines_are_recognised_by_what_their_calls_take():
    import diffusers

    for names, fit in ((FIT, True), (OTHER, False)):
        assert {name: edits(getattr(diffusers, f"{name}Pipeline")) for name in names} == dict.fromkeys(names, fit)


def test_a_model_of_another_mode_is_one_line_that_names_the_mode(klein, tiny_model):
    with pytest.raises(ModelError, match=r"expected an image-to-image pipeline .*generator\.mode 'edit' fits it"):
        ImageToImage(load_recipe("paper").generator.model_copy(update={"model": str(klein)}), "cpu")
    with pytest.raises(ModelError, match=r"expected an instruction-editing pipeline .*'redraw' fits it") as caught:
        ImageToImage(settings_of(tiny_model), "cpu")
    assert "\n" not in str(caught.value)


def test_guidance_that_a_distilled_model_ignores_is_one_line(klein):
    with pytest.raises(ModelError, match=r"guidance_scale 4 has no effect on the distilled model .*: expected 1"):
        ImageToImage(settings_of(klein, guidance_scale=4.0), "cpu")
