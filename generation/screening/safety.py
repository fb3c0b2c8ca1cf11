"""The safety checker of a Stable Diffusion pipeline, as a scorer of finished images that never changes a pixel."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from generation.screening.networks import import_networks, pictures, placed, recorded_name

if TYPE_CHECKING:
    import torch


class SafetyJudge:
    """Safety checker of a Stable Diffusion pipeline, used for its flag only.

    Args:
        checker: the pipeline's `StableDiffusionSafetyChecker`.
        feature_extractor: the pipeline's feature extractor for the checker's input.
        device: a torch device.
        dtype: type of the checker's weights; None is float32.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: the device cannot be used.
    """

    def __init__(
        self, checker: Any, feature_extractor: Any, device: str = "cpu", dtype: "torch.dtype | None" = None
    ) -> None:
        self._torch, _ = import_networks()
        self.device, self.dtype = device, dtype or self._torch.float32
        self._extract, self._checker = feature_extractor, placed(checker, device, self.dtype)
        self.name = recorded_name(str(checker.config._name_or_path), type(checker).__name__)

    def __call__(self, images: Sequence[np.ndarray]) -> list[bool]:
        """Return for each uint8 (height, width, 3) image whether the checker would have blackened it."""
        if not images:
            return []
        pixels = self._extract(images=pictures(images), return_tensors="pt").pixel_values
        to_blacken = np.zeros((len(images), 1, 1, 1))
        with self._torch.inference_mode(), _silent(type(self._checker).__module__):
            _, flagged = self._checker(clip_input=pixels.to(self.device, self.dtype), images=to_blacken)
        return [bool(each) for each in flagged]


@contextmanager
def _silent(module: str) -> Iterator[None]:
    """Disable a module's logger: the checker logs that it blackened an image, which it did not here."""
    logger = logging.getLogger(module)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
