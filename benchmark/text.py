"""What a zero-shot model is told about the classes: prompts and their embeddings, kept on disk.

Torch half. A kept file is named by all it depends on (weights, config, token ids), so it is never stale, and appears
whole, so any number of processes may share the folder.
"""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from d3s_dataset.atomic import replacing
from d3s_dataset.command import progress, warn
from d3s_dataset.errors import WriteError
from d3s_dataset.taxonomy import classes

# Written for D3S: near and far, whole and hidden, photo-like; none names one of the ten backgrounds.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "ensemble": (
        "a photo of a {}.",
        "a close-up photo of a {}.",
        "a photo of a small {} seen from a distance.",
        "a photo in which a {} is partly hidden.",
        "a photo of a {} in an unusual place.",
        "a computer-made picture of a {}.",
    ),
    "single": ("a photo of a {}.",),
}
# How each kind of model was trained: SigLIP attends to its padding.
PADDING: dict[str, bool | str] = {"clip": True, "siglip": "max_length"}
_BATCH = 250  # prompts a forward pass


def prompts(templates: tuple[str, ...]) -> list[str]:
    """Return every class in every template, class by class, in lower case as these models were trained."""
    return [template.format(name).lower() for name in names() for template in templates]


def names() -> list[str]:
    """Return what each class is called: its first synonym, or its whole name where two classes share that."""
    shared = Counter(each.synonym.lower() for each in classes())
    return [each.name if shared[each.synonym.lower()] > 1 else each.synonym for each in classes()]


def embeddings(model: Any, tokenizer: Any, digest: str, templates: tuple[str, ...]) -> torch.Tensor:
    """Return a unit vector a class: the normalised mean over templates of the prompts' unit embeddings.

    Args:
        model: a CLIP or SigLIP model of transformers.
        tokenizer: its tokenizer.
        digest: SHA-256 of its weights.
        templates: with `{}` where the class stands.

    Returns:
        (1000, d) float32, read from the cache folder if it is there, else computed and kept.
    """
    config = model.config.text_config
    tokens = dict(
        tokenizer(
            prompts(templates),
            padding=PADDING[model.config.model_type],
            truncation=True,
            max_length=config.max_position_embeddings,
            return_tensors="pt",
        )
    )
    path = cache_folder() / "text" / f"{_key(digest, config.to_json_string(use_diff=False), tokens)}.safetensors"
    kept = _read(path)
    if kept is not None:
        return kept
    answer = normalize(_embed(model, tokens).reshape(len(classes()), len(templates), -1).mean(1), dim=1)
    _keep(path, answer)
    return answer


def cache_folder() -> Path:
    """Return the folder for what can be computed again: `D3S_CACHE`, else `d3s` in the user's cache folder (XDG)."""
    if own := os.environ.get("D3S_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "d3s"


def features(output: Any) -> torch.Tensor:
    """Return what `get_text_features` and `get_image_features` give: a tensor in transformers 4, an object in 5."""
    return getattr(output, "pooler_output", output)


@torch.no_grad()
def _embed(model: Any, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return a unit vector a prompt, (prompts, d), on the CPU."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    count = len(tokens["input_ids"])
    parts = []
    for start in progress(range(0, count, _BATCH), label="class names", unit="batch"):
        part = {name: each[start : start + _BATCH].to(device) for name, each in tokens.items()}
        parts.append(normalize(features(model.get_text_features(**part)).float(), dim=1).cpu())
    model.to("cpu")
    return torch.cat(parts)


def _key(digest: str, config: str, tokens: dict[str, torch.Tensor]) -> str:
    answer = hashlib.sha256(f"{digest}\n{config}\n".encode())
    for name, each in sorted(tokens.items()):
        answer.update(f"{name} {tuple(each.shape)}\n".encode())
        answer.update(each.contiguous().numpy().data)
    return answer.hexdigest()


def _read(path: Path) -> torch.Tensor | None:
    try:
        return load_file(path)["text"]
    except (OSError, SafetensorError, KeyError):  # not there, or damaged: it is made again
        return None


def _keep(path: Path, answer: torch.Tensor) -> None:
    try:
        with replacing(path) as temporary:
            save_file({"text": answer.contiguous()}, temporary)
    except (WriteError, SafetensorError) as error:
        warn(f"{error}; the embeddings of the class names will be computed again next time")
