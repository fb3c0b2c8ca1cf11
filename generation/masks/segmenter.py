"""A segmenter of transformers, as a function: RGB photo -> mask of its object, and the confidence in it.

A photo of ImageNet shows its object near the centre. So a promptable model (SAM) is asked for the object at the centre,
and of models that divide a photo the part that covers most of its central ninth is taken.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PIL import Image

from generation.screening.networks import complete, import_networks, loading, located, placed, recorded_name

if TYPE_CHECKING:
    import torch

Found = tuple["torch.Tensor", float]  # (height, width) in [0, 1], and the confidence


class Segmenter:
    """A segmentation model of transformers; of the photos' side it needs no class names.

    Three kinds are taken by what the model's class is for: mask generation (SAM and its successors), semantic
    segmentation, with one output channel for background removal, and universal segmentation (Mask2Former and others).
    Code from a model's repository is never run.

    Args:
        model: Hub id or folder, weights as safetensors.
        device: a torch device.
        revision: branch, tag or commit of a Hub model; None is its main branch.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: no model of these kinds, weights missing or not available, or the device cannot be used.
    """

    def __init__(self, model: str, device: str = "cpu", revision: str | None = None) -> None:
        self._torch, transformers = import_networks()
        loaded, self._processor, self._find = _load(transformers, model, revision)
        self._model, self.device = placed(loaded, device, self._torch.float32), device
        self.name = recorded_name(located(model, revision), f"{model}@{revision or 'main'}")

    def __call__(self, photo: Image.Image) -> tuple[Image.Image, float]:
        """Return the mask of an RGB photo's object, greyscale, white inside, and the confidence in it, 0 to 1."""
        with self._torch.inference_mode():
            mask, confidence = self._find(self._model, self._processor, photo, self.device)
        levels = (mask.float().clamp(0, 1) * 255).round().to(self._torch.uint8).cpu().numpy()
        return Image.fromarray(levels), min(1.0, max(0.0, confidence))


def _at_centre(model: Any, processor: Any, photo: Image.Image, device: str) -> Found:
    """Prompt with the centre; of the masks offered the one with the highest predicted overlap (IoU)."""
    point = [[[[photo.width / 2, photo.height / 2]]]]
    inputs = processor(images=photo, input_points=point, return_tensors="pt").to(device)
    found = model(**inputs)
    sizes = {"original_sizes": inputs["original_sizes"], "reshaped_input_sizes": inputs.get("reshaped_input_sizes")}
    reader = processor.image_processor
    takes = inspect.signature(reader.post_process_masks).parameters
    masks = reader.post_process_masks(
        found.pred_masks.cpu(), **{name: value.cpu() for name, value in sizes.items() if name in takes}
    )
    scores = found.iou_scores.flatten()
    best = int(scores.argmax())
    return masks[0].flatten(0, -3)[best], float(scores[best])


def _labelled(model: Any, processor: Any, photo: Image.Image, device: str) -> Found:
    """Divide by classes; a single output channel is the object's probability itself."""
    from torch.nn import functional

    inputs = processor(images=photo, return_tensors="pt").to(device)
    logits = functional.interpolate(
        model(**inputs).logits, size=(photo.height, photo.width), mode="bilinear", align_corners=False
    )
    if logits.shape[1] == 1:
        chances = logits[0, 0].sigmoid()
        inside = chances >= 0.5
        return chances, float(chances[inside].mean()) if inside.any() else 0.0
    chances = logits[0].softmax(0)
    labels = chances.argmax(0)
    own = _middle(labels).mode().values
    return (labels == own).float(), float(chances[own][labels == own].mean())


def _divided(model: Any, processor: Any, photo: Image.Image, device: str) -> Found:
    """Divide into segments with scores; where no segment is found at the centre the mask is empty."""
    inputs = processor(images=photo, return_tensors="pt").to(device)
    found = processor.post_process_panoptic_segmentation(model(**inputs), target_sizes=[(photo.height, photo.width)])[0]
    segments, scores = found["segmentation"], {each["id"]: each["score"] for each in found["segments_info"]}
    counts = {number: int((_middle(segments) == number).sum()) for number in scores}
    own = max(counts, key=counts.__getitem__, default=None)
    if own is None or not counts[own]:
        return segments.float() * 0, 0.0
    return (segments == own).float(), float(scores[own])


def _middle(image: Any) -> Any:
    """Return the pixels of the central ninth, flat; of tiny photos at least one."""
    height, width = image.shape
    return image[height // 3 : 1 + 2 * height // 3, width // 3 : 1 + 2 * width // 3].flatten()


_KINDS: dict[str, Callable[[Any, Any, Image.Image, str], Found]] = {  # transformers' auto class -> how it is asked
    "AutoModelForMaskGeneration": _at_centre,
    "AutoModelForSemanticSegmentation": _labelled,
    "AutoModelForUniversalSegmentation": _divided,
}


def _load(transformers: Any, model: str, revision: str | None) -> tuple[Any, Any, Any]:
    """Return a model, its processor and how it is asked; raises ModelError in one line."""
    given: dict[str, Any] = {"trust_remote_code": False, **({"revision": revision} if revision else {})}
    with loading("mask.model", model, "a segmentation model of transformers", "safetensors weights"):
        kind = _kind(transformers, transformers.AutoConfig.from_pretrained(model, **given))
        loaded, report = getattr(transformers, kind).from_pretrained(
            model, use_safetensors=True, output_loading_info=True, **given
        )
        reader = "AutoProcessor" if kind == "AutoModelForMaskGeneration" else "AutoImageProcessor"
        processor = getattr(transformers, reader).from_pretrained(model, **given)
        complete(report)
    return loaded, processor, _KINDS[kind]


def _kind(transformers: Any, config: Any) -> str:
    """Return the auto class that a model's own class belongs to."""
    own = (config.architectures or [""])[0]
    for kind in _KINDS:
        known = getattr(transformers, kind)._model_mapping
        if type(config) in known and known[type(config)].__name__ == own:
            return kind
    raise ValueError(f"it is {own or f'a {config.model_type} model'}, which does not segment")
