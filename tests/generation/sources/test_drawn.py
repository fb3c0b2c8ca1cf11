"""The drawn sample: the same bytes every time, tight, varied, and recognised by a network that never saw it."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generation.sources.drawn import BACKGROUNDS, CLASSES, draw_background, draw_foreground
from tests.conftest import ROOT
from tests.support.processes import torch_threads

SIZES = (64, 256)
DIGEST = """
import hashlib
from generation.sources.drawn import BACKGROUNDS, CLASSES, draw_background, draw_foreground
digest = hashlib.sha256()
for index in CLASSES:
    digest.update(draw_foreground(index, 3, 48).tobytes())
for name in BACKGROUNDS:
    digest.update(draw_background(name, 3, 48).tobytes())
print(digest.hexdigest())
"""


def digest_here() -> str:
    digest = hashlib.sha256()
    for index in CLASSES:
        digest.update(draw_foreground(index, 3, 48).tobytes())
    for name in BACKGROUNDS:
        digest.update(draw_background(name, 3, 48).tobytes())
    return digest.hexdigest()


def python(code: str) -> str:
    """Return the output of `code` in a new interpreter, run in the project's root."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def alpha(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel("A"))


def test_there_are_about_twenty_classes_and_all_ten_backgrounds_in_label_order() -> None:
    assert 20 <= len(CLASSES) <= 24
    assert list(CLASSES) == sorted(set(CLASSES))
    assert BACKGROUNDS == ("grass", "road", "forest", "water", "sand", "indoors", "snow", "rain", "night", "cave")


def test_the_same_numbers_give_the_same_bytes_here_and_in_another_process() -> None:
    assert digest_here() == digest_here() == python(DIGEST).strip()


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the global state is what is checked)
    digest_here()
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_importing_brings_in_no_torch_and_draws_nothing() -> None:
    assert python("import sys, generation.sources.drawn; print('torch' in sys.modules)").strip() == "False"


@pytest.mark.parametrize(("index", "size"), list(product(CLASSES, SIZES)))
def test_a_foreground_is_a_tight_cutout(index: int, size: int) -> None:
    for instance in range(3):
        image = draw_foreground(index, instance, size)
        assert (image.mode, image.size) == ("RGBA", (size, size))
        mask = alpha(image)
        assert mask.min() == 0
        assert mask.max() == 255
        left, top, right, bottom = image.getchannel("A").point(lambda value: 255 * (value > 127)).getbbox()
        assert max(right - left, bottom - top) >= 0.9 * size


@pytest.mark.parametrize(("name", "size"), list(product(BACKGROUNDS, SIZES)))
def test_a_background_fills_its_square(name: str, size: int) -> None:
    for template in range(4):
        image = draw_background(name, template, size)
        assert (image.mode, image.size) == ("RGB", (size, size))
        assert np.asarray(image).std() > 8, "a blank background would make objects too easy to see"


@pytest.mark.parametrize("index", CLASSES)
def test_instances_of_a_class_differ_to_the_eye(index: int) -> None:
    drawn = [np.asarray(draw_foreground(index, instance, 64).convert("RGBa"), dtype=float) for instance in range(5)]
    gaps = [np.abs(one - other).mean() for k, one in enumerate(drawn) for other in drawn[:k]]
    assert min(gaps) > 2, "levels of 255, mean over pixels"


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_templates_of_a_background_differ_to_the_eye(name: str) -> None:
    drawn = [np.asarray(draw_background(name, template, 64), dtype=float) for template in range(7)]
    gaps = [np.abs(one - other).mean() for k, one in enumerate(drawn) for other in drawn[:k]]
    assert min(gaps) > 5, "levels of 255, mean over pixels"


def test_an_instance_is_the_same_object_at_every_size() -> None:
    for index in CLASSES:
        masks = [alpha(draw_foreground(index, 1, size).resize((64, 64), Image.Resampling.BOX)) for size in (256, 128)]
        assert np.abs(masks[0].astype(float) - masks[1]).mean() < 12, f"class {index} changes shape with its size"


@pytest.mark.parametrize(
    ("draw", "unknown", "known"),
    [(draw_foreground, 0, CLASSES), (draw_background, "moon", BACKGROUNDS)],
)
def test_an_unknown_name_is_refused_with_the_names_that_exist(
    draw: Callable[..., Image.Image], unknown: object, known: tuple[object, ...]
) -> None:
    with pytest.raises(ValueError, match="no drawing") as refused:
        draw(unknown, 0, 64)
    assert repr(unknown) in str(refused.value)
    assert all(str(name) in str(refused.value) for name in known)


def scene(rng: np.random.Generator, index: int, number: int) -> Image.Image:
    """An object at half to three quarters of the side somewhere on a background, 256 x 256."""
    side = int(rng.integers(128, 193))
    image = draw_background(BACKGROUNDS[(number + index) % 10], int(rng.integers(1000)), 256)
    cutout = draw_foreground(index, number, side)
    image.paste(cutout, tuple(rng.integers(0, 257 - side, 2).tolist()), cutout)
    return image


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread: several threads on busy cores wait for one another and take five times as long."""
    with torch_threads(1):
        yield


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_real_imagenet_network_recognises_the_objects(shared_data: Path) -> None:
    import timm
    import torch

    weights = shared_data / "weights" / "mobilenetv2_100.safetensors"
    model = timm.create_model("mobilenetv2_100", pad_type="same", checkpoint_path=str(weights)).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    rng, wanted, answers = np.random.default_rng(0), np.repeat(CLASSES, 8), []
    for index in CLASSES:
        pictures = torch.stack([transform(scene(rng, index, number)) for number in range(8)])
        with torch.inference_mode():
            answers.append(model(pictures).topk(5).indices.numpy())
    hits = np.concatenate(answers) == wanted[:, None]
    assert hits[:, 0].mean() >= 0.45
    assert hits.any(axis=1).mean() >= 0.70
