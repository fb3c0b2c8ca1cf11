"""Models on made-up images: one of two configs, right and wrong as a test plants it."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.metrics.compute import result_of
from benchmark.reports.sections import Measured
from benchmark.schemas.predictions import BEST, Predictions
from d3s_dataset.taxonomy import background_names

PHOTOS, BACKGROUNDS = 60, 10
RAPESEED = 984


def table(right: np.ndarray, answer: np.ndarray, grey: bool) -> Predictions:
    """Return 60 photos of 12 classes on ten backgrounds: (600,) right, and the wrong answer elsewhere."""
    n = PHOTOS * BACKGROUNDS
    photo, background = np.arange(n) // BACKGROUNDS, np.arange(n) % BACKGROUNDS
    foreground = photo % 12 * 80
    prediction = np.tile(910 + np.arange(BEST), (n, 1))
    prediction[:, 0] = np.where(right, foreground, answer)
    places = np.array([f"place-{b}-{p % 30}" for p, b in zip(photo, background, strict=True)], dtype=object)
    return Predictions(
        key=np.array([f"{i:020x}" for i in range(n)], dtype=object),
        foreground=foreground.astype(np.int64),
        background=background.astype(np.int64),
        foreground_source=np.array([f"photo-{each:02d}" for each in photo], dtype=object),
        background_source=np.array([None] * n, dtype=object) if grey else places,
        prediction=prediction.astype(np.int32),
        probability=np.tile(np.array([0.5, 0.2, 0.1, 0.1, 0.05], dtype=np.float32), (n, 1)),
        loss=np.ones(n, dtype=np.float32),
        squares=np.full(n, 0.3),
    )


@pytest.fixture(scope="session")
def planted(provenance: Callable[..., dict]) -> Callable[..., Measured]:
    """Return a model on a config: right on the first `share` of images, or where `right` says."""

    def make(label: str = "toy", share: float = 0.5, config: str = "default", kind: str = "guides", **more) -> Measured:
        n = PHOTOS * BACKGROUNDS
        right = more.pop("right", np.arange(n) < round(share * n))
        grey = config.startswith("control")
        answer = np.full(n, 901)
        on_grass = (np.arange(n) % BACKGROUNDS == background_names().index("grass")) & ~right
        if not grey and more.pop("rapeseed", False):
            answer[on_grass] = RAPESEED
        more.pop("rapeseed", None)
        facts = provenance(name=label, config=config, kind=kind, n=n, **more)
        facts["model"]["name"], facts["dataset"]["name"] = label, "d3s"
        made = replace(table(right, answer, grey), provenance=facts)
        return Measured(label, result_of(made, "here"), made)

    return make


@pytest.fixture(scope="session")
def scene(planted: Callable[..., Measured]) -> SimpleNamespace:
    """Two models with their controls; `one` loses half of its photos to grass alone, `two` nothing anywhere."""
    n = PHOTOS * BACKGROUNDS
    grass = np.arange(n) % BACKGROUNDS == background_names().index("grass")
    grey = np.arange(n) // BACKGROUNDS < 48
    here = grey & ~(grass & (np.arange(n) // BACKGROUNDS >= 18))
    about = [planted("one", right=here, rapeseed=True), planted("two", 0.5)]
    controls = [
        planted("one", right=grey, config="control_scale_guides"), planted("two", 0.5, config="control_scale_guides")
    ]  # fmt: skip
    return SimpleNamespace(about=about, controls=controls)
