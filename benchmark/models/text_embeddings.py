"""Text embeddings of the zero-shot prompts (`prompts`), cached on disk.

Torch half. A kept file is named by all it depends on (weights, config, token ids), so it is never stale, and appears
whole, so any number of processes may share the folder.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from benchmark.models.prompts import prompts
from d3s_dataset.errors import WriteError
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.atomic import replacing
from d3s_dataset.utils.cli import progress, warn
from d3s_dataset.utils.paths import cache_folder

# How each kind of model was trained: SigLIP attends to its padding.
PADDING: dict[str, bool | str] = {"clip": True, "siglip": "max_length"}
_BATCH = 250  # prompts a forward pass


def embeddings(
    model: Any, tokenizer: Any, digest: str, templates: tuple[str, ...], device: torch.device | None = None
) -> tuple[torch.Tensor, str]:
    """Return one unit vector per class: the normalised mean over templates of the prompts' unit embeddings.

    Args:
        model: a CLIP or SigLIP model of transformers.
        tokenizer: its tokenizer.
        digest: SHA-256 of its weights.
        templates: with `{}` in place of the class.
        device: where they are computed; None: a GPU if there is one, else the CPU.

    Returns:
        (1000, d) float32, read from the cache folder if it is there, else computed and kept; and the digest of all that
        they depend on.
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
    key = _key(digest, config.to_json_string(use_diff=False), tokens)
    path = cache_folder() / "text" / f"{key}.safetensors"
    kept = _read(path)
    if kept is not None:
        return kept, key
    answer = normalize(_embed(model, tokens, device).reshape(len(classes()), len(templates), -1).mean(1), dim=1)
    _keep(path, answer)
    return answer, key


def features(output: Any) -> torch.Tensor:
    """Return what `get_text_features` and `get_image_features` give: a tensor in transformers 4, an object in 5."""
    return getattr(output, "pooler_output", output)


@torch.no_grad()
def _embed(model: Any, tokens: dict[str, torch.Tensor], device: torch.device | None) -> torch.Tensor:
    """Return a unit vector a prompt, (prompts, d), on the CPU."""
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
