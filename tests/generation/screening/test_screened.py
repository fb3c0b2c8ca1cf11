"""Networks that look at images, in a whole run: a pipeline with its own safety checker, and CLIP."""

import json
import shutil

import numpy as np
import pytest

from d3s_dataset.check import check_release
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.release.build import generate
from tests.support.releases import CPU, decoded, redrawn_plan, rows_of
from tests.support.tiny_clip import build_checker, build_clip, set_thresholds

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def suspicious_model(tiny_model, tmp_path_factory):
    """The small Stable Diffusion with a safety checker of its own, which flags whatever it is shown."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("suspicious") / "model")
    checker, extractor = build_checker()
    set_thresholds(checker, -2)
    checker.save_pretrained(folder / "safety_checker")
    extractor.save_pretrained(folder / "feature_extractor")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "requires_safety_checker": True}
    index |= {"feature_extractor": ["transformers", type(extractor).__name__]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_a_whole_run_with_a_safety_checker_and_clip(suspicious_model, tiny_model, tmp_path):
    clip = build_clip(tmp_path / "clip")
    plan = redrawn_plan(suspicious_model, 12, ("control_scale", "guides"), clip=str(clip))
    generate(plan, tmp_path / "d3s", How(6, workers=1, devices=CPU))
    generate(redrawn_plan(tiny_model, 12), tmp_path / "plain", How(6, workers=1, devices=CPU))
    assert check_release(tmp_path / "d3s") == []
    rows, plain = rows_of(tmp_path / "d3s"), list(rows_of(tmp_path / "plain").values())
    for row, other in zip(rows.values(), plain, strict=True):
        assert row["screen_unsafe"] is True
        assert "unsafe" in row["screen_failed"]
        assert 0 <= row["screen_clip_foreground"] <= 1
        assert 0 <= row["screen_clip_background"] <= 1
        assert 0 < row["screen_clip_object"] < 1  # the drawn sample has masks
        assert 0 < row["screen_clip_surroundings"] < 1
        # What the checker would have blackened is whole: another model digest draws other rows, but none is black.
        assert decoded(row).std() > 1
        assert other["screen_unsafe"] is None
        assert other["screen_clip_foreground"] is None
    assert all(row["screen_unsafe"] for row in rows_of(tmp_path / "d3s", "control_scale").values())
    assert not any(row["screen_unsafe"] for row in rows_of(tmp_path / "d3s", "guides").values())
    manifest, card = read(tmp_path / "d3s"), (tmp_path / "d3s" / "README.md").read_text()
    assert (
        manifest.recipe["screen"]["clip"]
        == manifest.environment["clip"]
        == f"clip@{manifest.environment['clip'][-12:]}"
    )
    assert str(tmp_path) not in card + (tmp_path / "d3s" / "manifest.json").read_text()
    assert "the pipeline's own safety checker; CLIP `clip@" in card


def test_clip_looks_at_the_image_that_is_stored(tiny_model, tmp_path):
    """The columns are those of the judge, asked about the decoded image (stored without loss) by itself."""
    from d3s_dataset.taxonomy import classes
    from generation.screening.clip import ClipJudge

    clip = build_clip(tmp_path / "clip")
    plan = redrawn_plan(tiny_model, 6, clip=str(clip))
    generate(plan, tmp_path / "d3s", How(workers=1, devices=CPU))
    labels = sorted({int(label) for split in plan.splits.values() for label in split.labels})
    phrases = [spec.phrase for spec in plan.recipe.backgrounds]
    judge = ClipJudge(str(clip), {label: classes()[label].synonym for label in labels}, phrases)
    for row in rows_of(tmp_path / "d3s").values():
        (said,) = judge([decoded(row).astype(np.uint8)], [row["foreground"]], [row["background"]])
        assert row["screen_clip_foreground"] == pytest.approx(said["screen_clip_foreground"], abs=1e-5)
        assert row["screen_clip_background"] == pytest.approx(said["screen_clip_background"], abs=1e-5)
