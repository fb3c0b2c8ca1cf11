"""The background photo's weight: grey alone at 0, the photo at 1, the mean of both between; the object untouched."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from generation.images.compose import GREY, compose, faded


@pytest.fixture(scope="module")
def rows(ladder_release):
    return [row for path in sorted(ladder_release.glob("data/*")) for row in pq.read_table(path).to_pylist()]


def test_a_ladder_fades_its_background_and_keeps_its_object(rows):
    ladders = {}
    for row in rows:
        image = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))).astype(int)
        ladders.setdefault(row["ladder"], {})[row["severity"]] = image, row["box"]
    assert {len(each) for each in ladders.values()} == {3}
    for each in ladders.values():
        (grey, box), (half, _), (photo, _) = (each[level] for level in (0.0, 0.5, 1.0))
        outside = np.ones((64, 64), dtype=bool)
        outside[box["top"] : box["bottom"], box["left"] : box["right"]] = False
        assert (grey[outside] == GREY).all()
        assert np.abs(half[outside] - (grey[outside] + photo[outside]) / 2).max(initial=0) <= 1
        assert (grey[~outside] == photo[~outside]).all()
        assert (half[~outside] == photo[~outside]).all()
        assert (photo != grey).any() == (box["right"] - box["left"] < 64)


def test_rows_of_one_pair_are_no_duplicates_of_each_other(rows):
    """What differs little was planned to; at level 0 a photo's backgrounds are the same grey, and are duplicates."""
    photos = {row["key"]: (row["foreground_source"], row["background_source"]) for row in rows}
    twins = [row for row in rows if row["screen_duplicate_of"]]
    assert {0.0} <= {row["severity"] for row in twins}
    assert all(photos[row["key"]] != photos[row["screen_duplicate_of"]] for row in twins)


def test_a_photo_of_full_weight_is_the_photo_itself():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8))
    assert faded(photo, 1.0).tobytes() == photo.tobytes()
    assert (np.asarray(faded(photo, 0.0)) == GREY).all()
    thing = Image.new("RGB", (8, 8), (255, 0, 0))
    one, other = (compose(thing, faded(photo, weight), (4, 4, 12, 12), 40).image for weight in (0.3, 1.0))
    assert one.crop((4, 4, 12, 12)).tobytes() == other.crop((4, 4, 12, 12)).tobytes()
