import subprocess
import sys
from itertools import pairwise

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance

from generation.images.compose import square
from generation.recipe.sections import Screen
from generation.screening.checks import failed_screens, perceptual_hash, screen
from tests.conftest import ROOT


@settings(deadline=None)  # the first hash imports scipy
@given(arrays(np.uint8, (7, 5, 3)))
def test_contrast_and_clipping_agree_with_numpy(pixels):
    luminance = np.asarray(Image.fromarray(pixels).convert("L"), float)
    found = screen(Image.fromarray(pixels))
    assert found["screen_contrast"] == pytest.approx(luminance.std(), abs=1e-9)
    assert found["screen_clipped"] == pytest.approx(np.isin(pixels, [0, 255]).mean())
    exact = pixels.astype(float) @ [0.299, 0.587, 0.114]
    assert found["screen_contrast"] == pytest.approx(exact.std(), abs=1)  # luminance is rounded to 8 bits


@pytest.mark.parametrize(
    ("level", "clipped", "hashed"), [(77, 0.0, "8" + "0" * 15), (0, 1.0, "0" * 16), (255, 1.0, "8" + "0" * 15)]
)
def test_blank_and_burnt_out_images_stand_out(level, clipped, hashed):
    blank = Image.new("RGB", (512, 512), (level,) * 3)
    assert screen(blank) == {"screen_contrast": 0.0, "screen_clipped": clipped, "screen_hash": hashed}
    assert failed_screens(screen(blank), Screen())[:1] == ["contrast"]


@settings(deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**32))
def test_the_hash_of_any_size_is_imagehashs_of_the_reduced_luminance(width, height, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    image = Image.fromarray(pixels)
    reduced = image.reduce(2) if min(width, height) >= 128 else image
    assert perceptual_hash(image) == str(imagehash.phash(reduced))


def bits_apart(one, two):
    return (int(perceptual_hash(one.convert("L")), 16) ^ int(perceptual_hash(two.convert("L")), 16)).bit_count()


def photos(shared_data):
    paths = sorted((shared_data / "foregrounds").rglob("*.JPEG")) + sorted((shared_data / "backgrounds").rglob("*.jpg"))
    return [square(Image.open(path).convert("RGB"), 512) for path in paths]


def test_real_photos_pass_and_hash_as_they_look(shared_data):
    images = photos(shared_data)
    assert len(images) >= 200
    assert [failed_screens(screen(image), Screen()) for image in images] == [[]] * len(images)
    whole = [int(str(imagehash.phash(image)), 16) for image in images[:60]]
    ours = [int(perceptual_hash(image.convert("L")), 16) for image in images[:60]]
    assert np.mean([(one ^ two).bit_count() for one, two in zip(whole, ours, strict=True)]) < 0.5
    brighter = [ImageEnhance.Brightness(image).enhance(1.1) for image in images[:60]]
    assert np.median([bits_apart(one, two) for one, two in zip(images, brighter, strict=False)]) <= 2
    assert min(bits_apart(one, two) for one, two in pairwise(images[:60])) > 8


def test_importing_it_brings_no_scipy():
    code = "import sys, generation.screening.checks; print('scipy' in sys.modules, 'imagehash' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.split() == ["False", "False"], result.stderr


GOOD = {
    "screen_contrast": 50.0, "screen_clipped": 0.01, "screen_hash": "8" * 16, "screen_unsafe": False,
    "screen_clip_foreground": 0.9, "screen_clip_background": 0.9, "screen_duplicate_of": None,
}  # fmt: skip
STRICT = Screen(min_clip_foreground=0.1, min_clip_background=0.2)
FAILS = {
    "nothing": ({}, STRICT, []),
    "nothing is known": (dict.fromkeys(GOOD), STRICT, []),
    "at the limits": ({"screen_contrast": 8.0, "screen_clipped": 0.5, "screen_clip_foreground": 0.1}, STRICT, []),
    "blank": ({"screen_contrast": 7.9}, STRICT, ["contrast"]),
    "burnt out": ({"screen_clipped": 0.51}, STRICT, ["clipped"]),
    "unsafe": ({"screen_unsafe": True}, STRICT, ["unsafe"]),
    "unsafe, allowed": ({"screen_unsafe": True}, Screen(safety=False), []),
    "no such object": ({"screen_clip_foreground": 0.09}, STRICT, ["clip_foreground"]),
    "elsewhere": ({"screen_clip_background": 0.19}, STRICT, ["clip_background"]),
    "CLIP is off": ({"screen_clip_foreground": 0.0, "screen_clip_background": 0.0}, Screen(), []),
    "a twin": ({"screen_duplicate_of": "0" * 20}, STRICT, ["duplicate"]),
    "not finite": (
        {name: float("nan") for name, value in GOOD.items() if isinstance(value, float)},
        STRICT,
        ["contrast", "clipped", "clip_foreground", "clip_background"],
    ),
    "two at once": ({"screen_contrast": 0.0, "screen_unsafe": True}, STRICT, ["contrast", "unsafe"]),
}  # fmt: skip


@pytest.mark.parametrize(("change", "limits", "names"), FAILS.values(), ids=FAILS.keys())
def test_a_record_fails_the_screens_that_it_should(change, limits, names):
    record = GOOD | change
    before = dict(record)
    assert failed_screens(record, limits) == names
    assert record == before


def test_a_missing_column_is_unknown():
    assert failed_screens({}, STRICT) == []
