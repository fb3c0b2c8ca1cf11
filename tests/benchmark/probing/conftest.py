"""Features whose answer is known, and a small grid for the network probe: its full one takes minutes."""

import numpy as np
import pytest

from benchmark.cache.blocks import Finished
from benchmark.inference.features import Features
from benchmark.probing.probes import mlp
from benchmark.schemas import result


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(mlp, "GRID", ((64, 1e-2),))


@pytest.fixture
def table(provenance):
    """Return a maker of features: each of some classes' photos on each photo of some backgrounds, and a noise."""

    def make(
        classes: int = 12, photos: int = 3, backgrounds: int = 4, templates: int = 3, size: int = 24, seed: int = 0
    ):
        rng = np.random.default_rng(seed)
        foreground_photos, background_photos = np.meshgrid(
            np.arange(classes * photos), np.arange(backgrounds * templates), indexing="ij"
        )
        foreground_photos, background_photos = foreground_photos.ravel(), background_photos.ravel()
        facts = provenance()
        run = result.Run(precision="fp32", agreement=None, compiled=False, batch_size=1, devices=["cpu"])
        return Features(
            values=rng.normal(size=(len(foreground_photos), size)).astype(np.float32),
            key=np.array([f"{i:04d}" for i in range(len(foreground_photos))], dtype=object),
            foreground=foreground_photos // photos * 5,
            background=background_photos // templates,
            foreground_source=foreground_photos,
            background_source=background_photos,
            head=None,
            partition=None,
            model=result.Model.model_validate(facts["model"]),
            dataset=result.Dataset.model_validate(facts["dataset"]),
            made=Finished(run=run, environment={}, seconds=1.0),
        )

    return make
