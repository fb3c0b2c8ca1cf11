"""Augmentation stays inside the image, follows its generator alone, and may change nothing but place and colour."""

import pytest
import torch

from benchmark.training import augment


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_views_have_the_size_and_range_and_follow_the_seed():
    images = torch.randint(0, 256, (5, 3, 40, 40), dtype=torch.uint8, generator=_generator())
    before = torch.random.get_rng_state()
    views = augment.augment(images, 24, _generator(1))
    assert (views.shape, views.dtype) == ((5, 3, 24, 24), torch.float32)
    assert 0 <= views.min() <= views.max() <= 1
    assert torch.equal(views, augment.augment(images, 24, _generator(1)))
    assert not torch.equal(views, augment.augment(images, 24, _generator(2)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_crops_lie_inside_the_image_and_flip_half_of_them():
    crops = augment._crops(4000, _generator())
    reach = crops[:, :, :2].abs().sum(2) + crops[:, :, 2].abs()
    assert reach.max() <= 1 + 1e-6
    assert (crops[:, 0, 0] < 0).float().mean() == pytest.approx(0.5, abs=0.05)
    area = crops[:, 0, 0].abs() * crops[:, 1, 1]
    assert area.min() >= augment.SCALE[0] * 0.74  # a side cut at the image's edge
    assert area.max() <= 1


def test_without_crop_and_colour_the_view_is_the_image_or_its_mirror(monkeypatch):
    monkeypatch.setattr(augment, "SCALE", (1.0, 1.0))
    monkeypatch.setattr(augment, "_RATIO", (1.0, 1.0))
    monkeypatch.setattr(augment, "_COLOUR", 0.0)
    images = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8, generator=_generator())
    views = augment.augment(images, 16, _generator())
    plain = images.float() / 255
    same = (views - plain).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (views - plain.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert (same ^ mirrored).all()
    assert 0 < same.sum() < 20
