"""Masks of photos from segmenters of transformers with random weights: the real path from photo to release."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import ExifTags, Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ModelError, PhotoError
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.masks.finder import MaskFinder
from generation.masks.segmenter import Segmenter
from generation.masks.store import MaskedSource, MaskStore
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.recipe.sections import Mask
from generation.release.build import generate
from generation.release.estimate import estimate
from generation.run import open_sources
from generation.sources.base import CONFIDENCE
from tests.support.photos import draw_photos
from tests.support.releases import CPU, rows_of
from tests.support.tiny_segmenters import build_background_removal, build_sam, build_semantic, build_universal

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
RED = (200, 30, 30)


def built(build, folder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(folder)


@pytest.mark.parametrize("build", [build_background_removal, build_semantic, build_sam, build_universal])
def test_each_kind_of_segmenter_gives_a_mask_of_the_photos_size(build, tmp_path):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    segment = Segmenter(str(built(build, tmp_path)))
    mask, confidence = segment(photo)
    assert (mask.mode, mask.size) == ("L", (70, 50))
    assert 0 < (np.asarray(mask) >= 128).mean() < 1
    assert 0 < confidence <= 1
    again, _ = segment(photo)
    assert mask.tobytes() == again.tobytes()


def test_a_model_that_does_not_segment_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    with pytest.raises(ModelError, match="it is BertModel, which does not segment") as caught:
        Segmenter(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"mask\.model .*: expected the Hub id or folder of a segmentation model"):
        Segmenter(str(tmp_path / "nowhere"))


class Photos:
    """A source of photos in memory."""

    info = None

    def __init__(self, **photos):
        self.kept = photos

    def photos(self):
        return {0: list(self.kept)}

    def open(self, photo, size):
        return self.kept[photo].copy()


class Row:
    """As much of a row as finding masks needs."""

    def __init__(self, photo):
        self.foreground_source, self.box = photo, (0, 0, 8, 8)


def found(tmp_path, photo, mask, confidence=0.75):
    """Return a source whose photo was segmented to this mask."""
    store, source = MaskStore(tmp_path, "lab/model@1"), Photos(a=photo)
    MaskFinder(source, store, lambda _: (mask, confidence))([Row("a")])
    return MaskedSource(source, store)


def half(size, left):
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, left, size[1]))
    return mask


def test_a_photo_is_cut_out_with_its_mask_and_its_confidence(tmp_path):
    cut = found(tmp_path, Image.new("RGB", (20, 10), RED), half((20, 10), 5)).open("a", 8)
    assert cut.mode == "RGBA"
    assert cut.info[CONFIDENCE] == 0.75
    assert (np.asarray(cut)[..., 3] == 255).sum() == 50


def test_transparency_is_an_exact_mask_that_no_segmenter_replaces(tmp_path):
    photo = Image.new("RGBA", (20, 10), (*RED, 255))
    photo.putpixel((0, 0), (0, 0, 0, 0))
    cut = found(tmp_path, photo, half((20, 10), 5)).open("a", 8)
    assert cut.tobytes() == photo.tobytes()
    assert CONFIDENCE not in cut.info
    assert not list(tmp_path.rglob("*.png"))
    opaque = found(tmp_path, Image.new("RGBA", (20, 10), (*RED, 255)), half((20, 10), 5)).open("a", 8)
    assert (np.asarray(opaque)[..., 3] == 255).sum() == 50


@pytest.mark.parametrize(
    ("left", "says"), [(0, "is empty: no object was found"), (20, "is full: nothing is left around the object")]
)
def test_an_empty_and_a_full_mask_are_one_line(left, says, tmp_path):
    with pytest.raises(PhotoError, match=rf"the mask of photo a by lab/model@1 {says}"):
        found(tmp_path, Image.new("RGB", (20, 10), RED), half((20, 10), left)).open("a", 8)


def test_a_mask_of_another_size_is_one_line_from_the_model_and_from_the_cache(tmp_path):
    photo = Image.new("RGB", (20, 10), RED)
    with pytest.raises(ModelError, match="gave a mask of 10 x 10 for photo a: expected 20 x 10"):
        found(tmp_path, photo, half((10, 10), 5))
    source = found(tmp_path, photo, half((20, 10), 5))
    source.store.put(photo, half((9, 9), 5), 0.5)
    with pytest.raises(PhotoError, match="expected 20 x 10, as the photo, got 9 x 9"):
        source.open("a", 8)
    source.store.path(photo).write_bytes(b"no picture")
    with pytest.raises(PhotoError, match="the cached mask of photo a cannot be read"):
        source.open("a", 8)
    source.store.path(photo).unlink()
    with pytest.raises(PhotoError, match="has no mask of lab/model@1 here: expected D3S_CACHE"):
        source.open("a", 8)


def test_a_mask_is_found_once_per_photo_whatever_its_name(tmp_path):
    calls, store = [], MaskStore(tmp_path, "m")
    source = Photos(
        a=Image.new("RGB", (20, 10), RED), b=Image.new("RGB", (20, 10), RED), c=Image.new("RGB", (10, 20), RED)
    )
    finder = MaskFinder(source, store, lambda photo: calls.append(photo.size) or (half(photo.size, 3), 0.5))
    finder([Row("a"), Row("b"), Row("c"), Row("a")])
    MaskFinder(source, store, finder._segment)([Row("a")])
    assert calls == [(20, 10), (10, 20)]


def turned(photo):
    """Return the bytes of a photo whose pixels lie on their side, with the tag that says so."""
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = 6
    buffer = io.BytesIO()
    photo.transpose(Image.Transpose.ROTATE_90).save(buffer, "png", exif=tags)
    return buffer.getvalue()


def test_a_release_of_photos_with_a_segmenter(tmp_path, monkeypatch):
    """Photos as they come: one lies on its side and has the mask of the upright one; a second run finds them cached."""
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
    photos = draw_photos(tmp_path / "photos", (0, 50), 2)
    first = sorted((photos / "foregrounds").rglob("*.*"))[0]
    with Image.open(first) as image:
        upright = image.convert("RGB")
    first.unlink()
    first.with_suffix(".png").write_bytes(turned(upright))
    model = built(build_background_removal, tmp_path / "model")
    recipe = load_recipe("paper").changed(rows=120, model="none")
    recipe = recipe.model_copy(update={
        "mask": Mask(model=str(model)), "guide": recipe.guide.model_copy(update={"size": 64}),
        "controls": recipe.controls.model_copy(update={"configs": ()}),
    })  # fmt: skip
    plan = Plan(recipe, *open_sources(recipe, str(photos / "foregrounds"), str(photos / "backgrounds")))
    assert estimate(plan, None, How(devices=CPU, workers=1), None).guides.rows == 120
    cached = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "masks").rglob("*.png")}
    assert cached  # of the few rows that were tried
    generate(plan, tmp_path / "d3s", How(devices=CPU, workers=2, batch_size=3))
    assert {path: path.stat().st_mtime_ns for path in cached} == cached
    assert len(list((tmp_path / "cache" / "masks").rglob("*.png"))) == 4
    assert check_release(tmp_path / "d3s") == []
    rows, manifest = rows_of(tmp_path / "d3s").values(), read(tmp_path / "d3s")
    assert len(rows) == 120
    assert all(row["mask"] and 0.4 < row["mask_confidence"] <= 1 for row in rows)
    assert (
        manifest.recipe["mask"]["model"]
        == manifest.environment["masks"]
        == f"segmenter@{manifest.environment['masks'][-12:]}"
    )
    store = MaskStore(tmp_path / "cache" / "masks", manifest.environment["masks"])
    assert store.path(upright).is_file()
    plain = recipe.model_copy(update={"mask": Mask()})
    assert "mask" not in plain.to_json()
    sources = open_sources(plain, str(photos / "foregrounds"), str(photos / "backgrounds"))
    assert Plan(plain, *sources).digest != plan.digest
    assert pq.read_schema(next((tmp_path / "d3s" / "data").glob("*"))).field("mask_confidence").type == "float"
