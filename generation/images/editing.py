"""Models that edit an image by instruction, as diffusers has them: what a call accepts, found by its signature.

Pipelines differ in how they take images. Some take one per prompt (FLUX Kontext, InstructPix2Pix). Some take a list of
references that all prompts of a call share (FLUX.2): here each prompt gets its own, so that batches stay batches. Some
read the image together with the prompt (Qwen-Image-Edit), so that embeddings cannot be cached: those, and pipelines of
which nothing is known, are called once per row.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.errors import ModelError
from generation.recipe.recipe import Generator

# Arguments of pipelines that take an image and a prompt for another purpose: image-to-image, inpainting, video, ...
_OTHERS = (
    "strength", "mask_image", "num_frames", "video", "control_image", "controlnet_conditioning_scale",
    "adapter_conditioning_scale", "noise_level", "layers",
)  # fmt: skip


def edits(pipeline: type) -> bool:
    """Return whether a pipeline's call takes an image and an instruction: no strength, no mask, no video."""
    takes = _takes(pipeline, "__call__")
    return {"image", "prompt"} <= set(takes) and not set(_OTHERS) & set(takes)


class Editor:
    """A pipeline that edits by instruction, called with one guide per prompt.

    Args:
        pipe: a diffusers pipeline for which `edits` holds.
        settings: the recipe's generator; its guidance scale is the argument of this pipeline that weighs the prompt.

    Raises:
        ModelError: a guidance scale that this model ignores.
    """

    def __init__(self, pipe: Any, settings: Generator) -> None:
        self._pipe = pipe
        self._guidance = _guidance(pipe, settings)
        kind = type(pipe)
        alone = "image" in _takes(kind, "encode_prompt")
        references = {"images", "batch_size", "generator"} <= set(_takes(kind, "prepare_image_latents"))
        first = (_takes(kind, "prepare_latents")[:1], _takes(kind, "prepare_image_latents")[:1])
        self.batches = not alone and (references or ["image"] in first)
        if self.batches and references:
            _give_each_prompt_its_own(pipe)

    def __call__(
        self,
        guides: np.ndarray,
        prompts: Sequence[str],
        generators: Sequence[Any],
        embedded: Callable[[Sequence[str]], dict[str, Any]],
        options: dict[str, Any],
    ) -> list[Any]:
        """Return one image per guide, float tensors (3, height, width) in [0, 1].

        Args:
            guides: (n, height, width, 3) uint8.
            prompts: instruction of each.
            generators: torch generator of each.
            embedded: returns the pipeline's arguments for a batch of prompts.
            options: further arguments of every call.
        """
        pictures = [Image.fromarray(guide) for guide in guides]
        size = len(pictures) if self.batches else 1
        made = list[Any]()
        for start in range(0, len(pictures), size):
            part = slice(start, start + size)
            given = pictures[part] if self.batches else pictures[start]
            images = self._pipe(
                image=given, generator=list(generators[part]), **self._guidance, **embedded(prompts[part]),
                **self._fitting(guides), **options,
            ).images  # fmt: skip
            made += images
        if len(made) != len(pictures):
            raise ModelError(
                f"{type(self._pipe).__name__} drew {len(made)} images of {len(pictures)} guides: expected one of each"
            )
        return made

    def _fitting(self, guides: np.ndarray) -> dict[str, Any]:
        """Return what keeps a pipeline that prefers sizes of its own at the guides' size."""
        own = {"max_area": guides.shape[1] * guides.shape[2], "_auto_resize": False}
        return {name: value for name, value in own.items() if name in _takes(type(self._pipe), "__call__")}


def true_guidance(pipe: Any) -> bool:
    """Return whether a pipeline guides by a second, negative prompt in an argument of its own (Qwen-Image-Edit)."""
    embeds = bool(pipe.components.get("transformer") and pipe.transformer.config.get("guidance_embeds"))
    return "true_cfg_scale" in _takes(type(pipe), "__call__") and not embeds


def _guidance(pipe: Any, settings: Generator) -> dict[str, Any]:
    """Return the arguments by which a pipeline weighs the prompt."""
    scale, takes = settings.guidance_scale, _takes(type(pipe), "__call__")
    ignored = pipe.config.get("is_distilled") or not {"true_cfg_scale", "guidance_scale"} & set(takes)
    if ignored and scale > 1:
        raise ModelError(
            f"generator.guidance_scale {scale:g} has no effect on the distilled model {settings.model}: expected 1"
        )
    if true_guidance(pipe):
        return {"true_cfg_scale": scale, **({"negative_prompt": " "} if scale > 1 else {})}
    return {"guidance_scale": scale} if "guidance_scale" in takes else {}


def _give_each_prompt_its_own(pipe: Any) -> None:
    """Let a pipeline whose calls share their reference images use the i-th of them for the i-th prompt."""
    import torch

    shared = pipe.prepare_image_latents

    def own(images: Sequence[Any], batch_size: int, generator: Sequence[Any], **where: Any) -> tuple[Any, ...]:
        rows = [
            shared(images=[image], batch_size=1, generator=each, **where)
            for image, each in zip(images, generator, strict=True)
        ]
        return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))

    pipe.prepare_image_latents = own


def _takes(kind: type, method: str) -> list[str]:
    """Return the names of a method's arguments after the first; none where there is no such method."""
    found = getattr(kind, method, None)
    return list(inspect.signature(found).parameters)[1:] if found else []
