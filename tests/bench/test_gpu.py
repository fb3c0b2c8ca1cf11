"""`make bench` on a GPU: ours against plain calls of diffusers, and how busy the GPU is. See `gpu_generation`."""

import time

import pytest

from tests.support.photos import draw_photos

pytestmark = pytest.mark.bench


def test_ours_beats_plain_calls_and_keeps_the_gpu_busy(tmp_path):
    """Stable Diffusion 1.x architecture, random weights, 512 px, 50 steps at strength 0.9, bf16."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU: torch finds no CUDA device")
    from tests.bench.gpu_generation import Bench, Scale

    found = Bench(Scale(), "cuda", tmp_path, draw_photos(tmp_path / "photos"), time.monotonic() + 600).run()
    row, batch, ours, fast = (
        found.ways[name]
        for name in ("diffusers, one call per row", "diffusers, one call per batch", "ours", "ours, compiled")
    )
    print(f"\nours {row / ours:.2f} x one call per row, compiled {batch / fast:.2f} x batches, busy {found.busy}")
    assert row / min(ours, fast) >= 1.5
    assert batch / fast >= 1.15
    assert found.busy["ours"] >= 0.95
