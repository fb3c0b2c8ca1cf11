"""Patch features of a vision network (DINOv2, arXiv 2304.07193, and its like) as similarity of an object to its guide.

Like the other columns `fidelity_*`, it sees the pixels under the mask alone, on grey.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from generation.screening.clip import object_alone, squared
from generation.screening.networks import complete, import_networks, loading, located, pictures, placed, recorded_name

if TYPE_CHECKING:
    import torch

_KIND = "a vision model (DINOv2, ViT, ConvNeXt)", "safetensors weights and image processor"
_AT_ONCE = 16  # pairs of an image and its guide


class FeatureJudge:
    """Similarity of image and guide in the features of a vision model of transformers, under the object's mask.

    Args:
        model: Hub id or local folder, weights as safetensors, with its image processor: a model whose last hidden state
            is a grid, as patches after other tokens or as a map.
        device: a torch device.
        dtype: type of the weights; None is float32.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: no such model, weights missing or not available, no grid of features, or an unusable device.
    """

    def __init__(self, model: str, device: str = "cpu", dtype: "torch.dtype | None" = None) -> None:
        self._torch, transformers = import_networks()
        self.device, self.dtype = device, dtype or self._torch.float32
        with loading("screen.features", model, *_KIND):
            loaded, self._processor, self._side = _load(transformers, model, self.dtype)
        self._model = placed(loaded, device, self.dtype)
        self._patch = getattr(loaded.config, "patch_size", None)
        self.name = recorded_name(located(model), f"{model}@main")
        with loading("screen.features", model, *_KIND):
            self._features([np.zeros((self._side, self._side, 3), np.uint8)])  # one that has no grid fails now

    def __call__(
        self,
        images: Sequence[np.ndarray],
        foregrounds: Sequence[int],
        backgrounds: Sequence[int],
        masks: Sequence[np.ndarray | None] | None = None,
        guides: Sequence[np.ndarray | None] | None = None,
    ) -> list[dict[str, float | None]]:
        """Return the column of a batch of images; each depends on its own image, mask and guide only.

        Args:
            images: uint8 (height, width, 3).
            foregrounds: not used; the other scorers take labels.
            backgrounds: not used.
            masks: the object's pixels in each, bool (height, width), or None.
            guides: what each was made from, of its shape, or None.

        Returns:
            `fidelity_features` of an image with mask and guide: the mean cosine similarity of the two at each place of
            the grid, weighted by the object's share of it, -1 to 1; None where the model's values are not finite.
        """
        found: list[dict[str, float | None]] = [{} for _ in images]
        none = [None] * len(images)
        pairs = [
            (i, mask, guide)
            for i, (mask, guide) in enumerate(zip(masks or none, guides or none, strict=True))
            if mask is not None and guide is not None
        ]
        for start in range(0, len(pairs), _AT_ONCE):
            some = pairs[start : start + _AT_ONCE]
            views = [object_alone(each, mask) for i, mask, guide in some for each in (images[i], guide)]
            grid = self._features(views)
            alike = self._torch.nn.functional.cosine_similarity(grid[::2], grid[1::2], dim=1).numpy()
            for (i, mask, _), similar in zip(some, alike, strict=True):
                value = float(np.average(similar, weights=_shares(mask, similar.shape)))
                found[i]["fidelity_features"] = value if np.isfinite(value) else None
        return found

    def _features(self, images: Sequence[np.ndarray]) -> "torch.Tensor":
        """Return (n, width, rows, columns) float32 features of square images on the CPU."""
        # Resized here: the processor would crop, and then the mask's place in the grid would be another.
        sized = [each.resize((self._side, self._side), Image.Resampling.BICUBIC) for each in pictures(images)]
        given = {"do_resize": False, "do_center_crop": False, "return_tensors": "pt"}
        pixels = self._processor(images=sized, **given).pixel_values
        with self._torch.inference_mode():
            hidden = self._model(pixel_values=pixels.to(self.device, self.dtype)).last_hidden_state.float().cpu()
        return hidden if hidden.ndim == 4 else _grid(hidden, self._side // (self._patch or self._side))


def _grid(tokens: "torch.Tensor", side: int) -> "torch.Tensor":
    """Return (n, width, side, side) from (n, tokens, width), whose last tokens are the patches."""
    if side < 2 or tokens.shape[1] < side * side:
        raise ValueError(f"its {tokens.shape[1]} features of an image are no grid")
    return tokens[:, -side * side :].mT.unflatten(2, (side, side))


def _shares(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the object's share of each place of a grid over its own square."""
    alone = Image.fromarray(squared(mask, mask, fill=0).astype(np.uint8) * 255)
    return np.asarray(alone.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float64)


def _load(transformers: Any, model: str, dtype: Any) -> tuple[Any, Any, int]:
    """Return a vision model, its image processor, and the side of its images in pixels."""
    given: dict[str, Any] = {"trust_remote_code": False}
    loaded, report = transformers.AutoModel.from_pretrained(
        model, dtype=dtype, use_safetensors=True, output_loading_info=True, **given
    )
    if loaded.main_input_name != "pixel_values" or hasattr(loaded, "text_model"):
        raise ValueError(f"it is a {loaded.config.model_type} model, which does not take images alone")
    complete({"missing_keys": [each for each in report["missing_keys"] if "pooler" not in each]})  # not asked
    processor = transformers.AutoImageProcessor.from_pretrained(model, **given)
    size = processor.crop_size if getattr(processor, "do_center_crop", None) else processor.size
    return loaded, processor, int(size.get("height") or size["shortest_edge"])
