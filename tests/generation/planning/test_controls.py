"""Control configs: matched to the images by key, and what they say they are, pixel by pixel."""

import numpy as np
import pytest

from d3s_dataset.check import check_release
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.planning.controls import derive
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from tests.support.releases import CONTROLS, CPU, decoded, redrawn_plan, rows_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
GREY = 128


@pytest.fixture(scope="module")
def plan(tiny_model):
    return redrawn_plan(tiny_model, 36, CONTROLS)


@pytest.fixture(scope="module")
def release(plan, tmp_path_factory):
    out = tmp_path_factory.mktemp("controls") / "d3s"
    generate(plan, out, How(20, workers=1, devices=CPU))
    return out


def test_each_validation_image_has_its_row_in_every_control(release, plan):
    assert check_release(release) == []
    images = {key for key, row in rows_of(release).items() if key in validation(plan)}
    assert read(release).configs() == ["default", *sorted(CONTROLS)]
    for config in CONTROLS:
        rows = rows_of(release, config)
        assert rows.keys() == images
        for key, row in rows.items():
            image = rows_of(release)[key] if key == next(iter(rows)) else None
            for same in ("foreground", "background", "foreground_source", "seed") if image else ():
                assert row[same] == image[same]
            assert (row["generator"] is None) == config.endswith("guides")


def validation(plan):
    return {row.key: row for row in plan if row.split == "validation"}


def test_the_grey_guide_is_the_pasted_photo_on_grey(release):
    on_grey, pasted = rows_of(release, "control_scale_guides"), rows_of(release, "guides")
    for key, row in on_grey.items():
        box, pixels = row["box"], decoded(row)
        outside = np.ones(pixels.shape[:2], bool)
        outside[box["top"] : box["bottom"], box["left"] : box["right"]] = False
        assert (pixels[outside] == GREY).all()
        assert box == pasted[key]["box"]
        assert (decoded(pasted[key])[outside] != GREY).mean() > 0.5
        assert row["background_source"] is None
        assert pasted[key]["background_source"] is not None


def test_prompts_say_the_background_only_where_it_is_meant(release, plan):
    phrases = [spec.phrase for spec in plan.recipe.backgrounds]
    for key, row in rows_of(release, "control_scale").items():
        full = rows_of(release, "control_original")[key]["prompt"]
        assert full == validation(plan)[key].prompt
        assert full.endswith(", " + phrases[row["background"]])
        assert row["prompt"] == full.removesuffix(", " + phrases[row["background"]])


def test_the_original_fills_the_image(release):
    for row in rows_of(release, "control_original_guides").values():
        assert list(row["box"].values()) == [0, 0, 64, 64]


def test_redrawn_configs_are_redrawn_from_their_own_guides(release):
    """With the same seed and noise, what differs between controls is their guide and prompt."""
    for config in ("control_scale", "control_original"):
        for key, row in rows_of(release, config).items():
            assert np.abs(decoded(row) - decoded(rows_of(release, f"{config}_guides")[key])).max() > 8


def test_without_a_generator_only_the_guides_of_the_controls_are_left():
    recipe = load_recipe("paper")
    assert recipe.configs() == ["default", *recipe.controls.configs]
    assert recipe.changed(model="none").configs() == ["default", "control_scale_guides", "control_original_guides"]


def test_photos_whole_and_on_grey(guides_release, photo_folders):
    """The whole photo is the photo, cropped and resized; on grey it is that at 0.4 of the side."""
    from PIL import Image

    from generation.images.compose import square

    whole, on_grey = (rows_of(guides_release, name) for name in ("control_original_guides", "control_scale_guides"))
    for key, row in list(whole.items())[:5]:
        photo = Image.open(photo_folders / "foregrounds" / row["foreground_source"]).convert("RGB")
        assert np.abs(decoded(row) - np.asarray(square(photo, 512), int)).mean() < 3  # JPEG
        box = on_grey[key]["box"]
        inside = decoded(on_grey[key])[box["top"] : box["bottom"], box["left"] : box["right"]]
        assert np.abs(inside - np.asarray(square(photo, 204), int)).mean() < 4


def test_deriving_a_row_is_pure(plan):
    row = next(iter(plan))
    assert derive(row, "default", plan.recipe) is row
    assert derive(row, "control_scale", plan.recipe) == derive(row, "control_scale_guides", plan.recipe)
