"""Similarity of object and guide in a vision network's features: 1 where it was kept, the same in any batch, null."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ModelError
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.release.build import generate
from generation.screening.clip import object_alone
from generation.screening.features import FeatureJudge
from tests.support.releases import CPU, decoded, redrawn_plan, rows_of
from tests.support.tiny_clip import build_clip, pictures
from tests.support.tiny_vision import build_convnext, build_dino, build_vit

COLUMN = "fidelity_features"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_dino(tmp_path_factory.mktemp("dino"))


def opened(model):
    return FeatureJudge(str(model))


def rows(n):
    """Images, their guides and masks: a rectangle at another place in each."""
    both = [each[:48, :48] for each in pictures(2 * n)]
    masks = [np.zeros((48, 48), bool) for _ in range(n)]
    for i, mask in enumerate(masks):
        mask[2 + i : 40, 5 : 30 + 2 * i] = True
    return both[:n], both[n:], masks


def values(found):
    return np.array([each[COLUMN] for each in found])


def scored(judge, images, guides, masks):
    return values(judge(images, [0] * len(images), [0] * len(images), masks, guides))


@pytest.mark.parametrize("build", [build_dino, build_vit, build_convnext])
def test_a_kept_object_has_similarity_one_whatever_is_behind_it_and_any_batch_gives_the_same(build, tmp_path):
    judge = opened(build(tmp_path))
    images, guides, masks = rows(5)
    together = scored(judge, images, guides, masks)
    alone = [scored(judge, [i], [g], [m])[0] for i, g, m in zip(images, guides, masks, strict=True)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert together.max() < 0.999
    kept = [np.where(mask[..., None], guide, image) for image, guide, mask in zip(images, guides, masks, strict=True)]
    assert scored(judge, kept, guides, masks) == pytest.approx(1, abs=1e-5)
    halfway = [(guide // 2 + image // 2).astype(np.uint8) for image, guide in zip(images, guides, strict=True)]
    assert (scored(judge, halfway, guides, masks) > together).all()
    assert judge(images[:2], [0, 0], [0, 0], [masks[0], None], [None, guides[1]]) == [{}, {}]
    assert judge([], [], []) == []


def test_the_similarity_is_that_of_the_patches_under_the_mask(model):
    import torch
    from transformers import AutoImageProcessor, AutoModel

    (image,), (guide,), _ = rows(1)
    mask = np.zeros((48, 48), bool)
    mask[5:37, 10:26] = True  # in a square of 4 x 4 patches its margins are a column of them on either side
    processor, network = AutoImageProcessor.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    tokens = []
    for each in (image, guide):
        view = Image.fromarray(object_alone(each, mask))
        with torch.inference_mode():
            found = network(**processor(view, do_resize=False, do_center_crop=False, return_tensors="pt"))
        tokens.append(found.last_hidden_state[0, 1:].numpy())  # after the class token: 4 x 4 patches
    one, other = tokens
    alike = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    expected = alike.reshape(4, 4)[:, 1:3].mean()
    assert scored(opened(model), [image], [guide], [mask])[0] == pytest.approx(expected, abs=1e-5)
    assert abs(expected - alike.mean()) > 1e-3  # the grey margins would make a difference


def test_values_that_are_not_finite_are_null(model, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(model, tmp_path / "dino")
    weights = load_file(broken / "model.safetensors")
    nan = {name: value * float("nan") if name == "layernorm.weight" else value for name, value in weights.items()}
    save_file(nan, broken / "model.safetensors", {"format": "pt"})
    images, guides, masks = rows(1)
    assert opened(broken)(images, [0], [0], masks, guides) == [{COLUMN: None}]


def bad(what, model, folder):
    if what == "no model":
        folder.mkdir()
        return folder
    if what == "another kind":
        return build_clip(folder)
    shutil.copytree(model, folder)
    if what == "no weights":
        (folder / "model.safetensors").unlink()
    elif what == "no processor":
        (folder / "preprocessor_config.json").unlink()
    elif what == "no grid":
        size = json.loads((folder / "preprocessor_config.json").read_text())
        (folder / "preprocessor_config.json").write_text(json.dumps({**size, "crop_size": {"height": 8, "width": 8}}))
    return folder


BAD = {
    "no model": "expected the Hub id or folder of a vision model",
    "another kind": "it is a clip model, which does not take images alone",
    "no weights": "model.safetensors",
    "no processor": "Can't load image processor",
    "no grid": "its 2 features of an image are no grid",
}


@pytest.mark.parametrize(("what", "says"), BAD.items(), ids=BAD.keys())
def test_a_model_without_a_grid_of_features_is_one_clear_line(what, says, model, tmp_path):
    with pytest.raises(ModelError, match=says) as caught:
        opened(bad(what, model, tmp_path / "bad"))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("screen.features ")


def test_a_whole_run_records_the_similarity_of_rows_with_a_mask(model, tiny_model, tmp_path):
    plan = redrawn_plan(tiny_model, 6, ("guides",), features=str(model))
    generate(plan, tmp_path / "d3s", How(4, workers=1, devices=CPU))
    assert check_release(tmp_path / "d3s") == []
    guides, judge = rows_of(tmp_path / "d3s", "guides"), opened(model)
    assert {row[COLUMN] for row in guides.values()} == {None}
    rows = rows_of(tmp_path / "d3s")
    assert guides.keys() <= rows.keys()
    for key, guide in guides.items():
        seen = [[decoded(each).astype(np.uint8)] for each in (rows[key], guide)]
        mask = np.asarray(Image.open(io.BytesIO(rows[key]["mask"]["bytes"])))
        assert scored(judge, *seen, [mask]) == pytest.approx(rows[key][COLUMN], abs=1e-5)
    assert all(-1 <= row[COLUMN] < 0.9999 for row in rows.values())
    manifest, card = read(tmp_path / "d3s"), (tmp_path / "d3s" / "README.md").read_text()
    assert f"features of `{manifest.environment['features']}`" in card
    assert "features" not in redrawn_plan(tiny_model, 6).recipe.to_json()["screen"]  # keeps its digest
