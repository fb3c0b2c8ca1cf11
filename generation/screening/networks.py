"""Shared parts of the image quality and safety scorers: late imports, placing on a device, recorded names."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.hub.offline import cache_only_where_unreachable, unreachable
from d3s_dataset.utils.extras import late
from generation.recipe.recipe import Generator


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


@contextmanager
def loading(name: str, model: str, kind: str, needed: str) -> Iterator[None]:
    """Raise what goes wrong when a model is loaded in one line, from the cache where the Hub cannot be reached.

    Args:
        name: what the line begins with, such as the recipe's key.
        model: Hub id or local folder.
        kind: what it is, such as "a CLIP model".
        needed: what it has to come with.

    Raises:
        ModelError: the body failed as transformers does on a model that is not there, not whole or another.
    """
    from safetensors import SafetensorError

    local = Path(model).is_dir()
    try:
        with nullcontext() if local else cache_only_where_unreachable():
            yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        if not local and isinstance(error, OSError) and "couldn't connect" in str(error).lower():
            text = unreachable(f"the weights of {model}", f"the folder of {kind}")
            raise ModelError(f"{name} {model}: no such folder, and as a Hub model {text}") from None
        wanted = f"expected the Hub id or folder of {kind} with {needed}"
        raise ModelError(f"{name} {model}: {wanted}: {one_line(error)}") from None


def complete(report: dict[str, Any]) -> None:
    """Raise ValueError where a loading report of transformers has missing weights."""
    if report["missing_keys"]:
        raise ValueError(f"its weights lack {sorted(report['missing_keys'])[0]}")


def located(model: str, revision: str | None = None) -> str:
    """Return the local folder or file that a model was loaded from, or nothing."""
    from huggingface_hub import try_to_load_from_cache

    return model if Path(model).is_dir() else str(try_to_load_from_cache(model, "config.json", revision=revision) or "")


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
