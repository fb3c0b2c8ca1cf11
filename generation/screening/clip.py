"""CLIP (arXiv 2103.00020) as a scorer of finished images: zero-shot probability of object and background."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from generation.screening.networks import (
    complete,
    import_networks,
    loading,
    located,
    pictures,
    placed,
    recorded_name,
)

if TYPE_CHECKING:
    import torch

FOREGROUND_TEXT = "a photo of a {}"
BACKGROUND_TEXT = "a photo taken {}"

_GREY = 128
_TEXTS = 64  # texts embedded at once


class ClipJudge:
    """Zero-shot CLIP scores (arXiv 2103.00020) of an image's foreground and background labels.

    A probability is a softmax with CLIP's own logit scale over the given texts: `foregrounds` for one and `phrases` for
    the other. It is relative to these texts, and 1 where there is only one: for scores over all of ImageNet, pass all
    1000 classes.

    Args:
        model: Hub id or local folder of a CLIP model with its tokenizer and image processor, weights as safetensors.
        foregrounds: foreground label -> name, `{6: "stingray"}`; becomes "a photo of a stingray".
        phrases: phrase of each background label, `["on grass", ...]`; becomes "a photo taken on grass".
        device: a torch device.
        dtype: type of the weights; None is float32.
        revision: branch, tag or commit of a Hub model; None is its main branch.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: the model is not a CLIP model, lacks weights or is not available, or the device cannot be used.
    """

    def __init__(
        self, model: str, foregrounds: Mapping[int, str], phrases: Sequence[str],
        device: str = "cpu", dtype: "torch.dtype | None" = None, *, revision: str | None = None,
    ) -> None:  # fmt: skip
        self._torch, transformers = import_networks()
        self.device, self.dtype = device, dtype or self._torch.float32
        loaded, self._processor = _load(transformers, model, revision, self.dtype)
        self._model = placed(loaded, device, self.dtype)
        self.name = recorded_name(located(model, revision), f"{model}@{revision or 'main'}")
        self._place = {label: i for i, label in enumerate(foregrounds)}
        self._foregrounds = self._embedded([FOREGROUND_TEXT.format(each) for each in foregrounds.values()])
        self._backgrounds = self._embedded([BACKGROUND_TEXT.format(each) for each in phrases])

    def __call__(
        self,
        images: Sequence[np.ndarray],
        foregrounds: Sequence[int],
        backgrounds: Sequence[int],
        masks: Sequence[np.ndarray | None] | None = None,
        guides: Sequence[np.ndarray | None] | None = None,
    ) -> list[dict[str, float]]:
        """Return the screen columns of a batch of images; each depends on its own image, mask and labels only.

        Args:
            images: uint8 (height, width, 3).
            foregrounds: foreground label of each, one of the constructor's.
            backgrounds: background label of each.
            masks: the object's pixels in each, bool (height, width), or None.
            guides: not used; `FeatureJudge` takes them.

        Returns:
            `screen_clip_foreground` and `screen_clip_background`: probability of the image's own label, in [0, 1]. Of
            an image with a mask also `screen_clip_object`, the former for the object alone, and
            `screen_clip_surroundings`, the latter for the image without it.
        """
        if not images:
            return []
        own = [self._place[label] for label in foregrounds]
        seen = self._seen(images)
        objects, scenes = _chances(seen, self._foregrounds, own), _chances(seen, self._backgrounds, backgrounds)
        found = [
            {"screen_clip_foreground": one, "screen_clip_background": other}
            for one, other in zip(objects, scenes, strict=True)
        ]
        for name, view, texts, labels in (
            ("screen_clip_object", object_alone, self._foregrounds, own),
            ("screen_clip_surroundings", without_object, self._backgrounds, backgrounds),
        ):
            masked = {i: mask for i, mask in enumerate(masks or ()) if mask is not None}
            if masked:
                seen = self._seen([view(images[i], mask) for i, mask in masked.items()])
                for i, chance in zip(masked, _chances(seen, texts, [labels[i] for i in masked]), strict=True):
                    found[i][name] = chance
        return found

    def _seen(self, images: Sequence[np.ndarray]) -> "torch.Tensor":
        """Return (n, width) float32 image embeddings on the CPU, of length `exp(logit_scale)`."""
        pixels = self._processor(images=pictures(images), return_tensors="pt").pixel_values
        with self._torch.inference_mode():
            found = self._model.vision_model(pixel_values=pixels.to(self.device, self.dtype)).pooler_output
            return _directions(self._model.visual_projection(found)) * self._model.logit_scale.float().exp().cpu()

    def _embedded(self, texts: Sequence[str]) -> "torch.Tensor":
        """Return (n, width) float32 text embeddings on the CPU, of length 1."""
        parts = []
        with self._torch.inference_mode():
            for start in range(0, len(texts), _TEXTS):
                some = list(texts[start : start + _TEXTS])
                tokens = self._processor(text=some, padding=True, truncation=True, return_tensors="pt").to(self.device)
                found = self._model.text_model(**tokens).pooler_output
                parts.append(_directions(self._model.text_projection(found)))
        return self._torch.cat(parts)


def object_alone(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the square around the pixels under a mask, on grey; uint8 (side, side, 3)."""
    return squared(without_object(image, ~mask), mask, _GREY)


def squared(values: np.ndarray, mask: np.ndarray, fill: int) -> np.ndarray:
    """Return the part of (height, width, ...) values around the pixels under a mask, filled up to a square."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    part = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(part.shape[:2])
    found = np.full((side, side, *part.shape[2:]), fill, values.dtype)
    top, left = (side - part.shape[0]) // 2, (side - part.shape[1]) // 2
    found[top : top + part.shape[0], left : left + part.shape[1]] = part
    return found


def without_object(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return an image whose pixels under a mask are grey."""
    return np.where(mask[..., None], np.uint8(_GREY), image)


def _chances(seen: "torch.Tensor", texts: "torch.Tensor", labels: Sequence[int]) -> list[float]:
    """Return each image's probability of its own label among the texts."""
    chances = (seen @ texts.T).softmax(dim=1)
    return [float(row[label]) for row, label in zip(chances, labels, strict=True)]


def _directions(embeddings: "torch.Tensor") -> "torch.Tensor":
    embeddings = embeddings.float().cpu()
    return embeddings / embeddings.norm(dim=-1, keepdim=True)


def _load(transformers: Any, model: str, revision: str | None, dtype: Any) -> tuple[Any, Any]:
    """Return a CLIP model and its processor; raises ModelError in one line."""
    given = {"revision": revision} if revision else {}
    with loading("CLIP model", model, "a CLIP model", "safetensors weights, tokenizer and image processor"):
        kind = transformers.AutoConfig.from_pretrained(model, **given).model_type
        if kind != "clip":
            raise ValueError(f"it is a {kind} model")
        options = {"dtype": dtype, "use_safetensors": True, "output_loading_info": True, **given}
        loaded, report = transformers.CLIPModel.from_pretrained(model, **options)
        processor = transformers.CLIPProcessor.from_pretrained(model, **given)
        complete(report)
        if len(processor.tokenizer) <= len(processor.tokenizer.all_special_tokens):
            raise ValueError("its tokenizer has no words")  # transformers creates an empty one
    return loaded, processor
