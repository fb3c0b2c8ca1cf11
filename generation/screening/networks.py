"""Shared parts of the image quality and safety scorers: late imports, placing on a device, recorded names."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.utils.extras import late
from generation.recipe.recipe import Generator

if TYPE_CHECKING:
    pass


def pictures(images: Sequence[np.ndarray]) -> list[Image.Image]:
    """Return uint8 (height, width, 3) arrays as PIL images."""
    # Arrays could be interpreted as channels-first; PIL images cannot.
    return [Image.fromarray(image) for image in images]


def import_networks() -> tuple[Any, Any]:
    """Return torch and transformers, imported now; raises MissingExtra."""
    torch, transformers = (late(each, "generation") for each in ("torch", "transformers"))
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    return torch, transformers


def placed(model: Any, device: str, dtype: Any) -> Any:
    """Return a model on a device, in evaluation mode; raises ModelError where the device cannot be used."""
    try:
        return model.to(device=device, dtype=dtype).eval()
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"--devices {device} cannot be used: {one_line(error)}") from None


def recorded_name(where: str, otherwise: str) -> str:
    """Return model@commit for a folder in the Hub's cache, name@digest for another folder; never a path."""
    snapshot = re.search(r"models--([^/]+)/snapshots/([0-9a-f]{40})", where.replace("\\", "/"))
    if snapshot:
        return f"{snapshot[1].replace('--', '/', 1)}@{snapshot[2]}"
    return Generator(model=where).identified().model if where and Path(where).is_dir() else otherwise
