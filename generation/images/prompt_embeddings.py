"""Prompt embeddings, each computed once and cached on the CPU; the text encoder is released after the last."""

import inspect
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from generation.images.editing import true_guidance

_ROOM = 4 << 30  # bytes of cached embeddings: all 10,000 prompts of Stable Diffusion 1 take half of it


class PromptCache:
    """Cache of prompt embeddings for one pipeline.

    Pipelines whose `encode_prompt` returns (prompt, negative), such as Stable Diffusion 1 and 2, (prompt, negative,
    pooled, negative pooled), such as SDXL and Stable Diffusion 3, (prompt, pooled, token ids), such as FLUX.1, or
    (prompt, token ids), such as FLUX.2, are given embeddings; any other gets its prompts as text, among them those that
    read the image with the prompt.

    Args:
        pipe: a diffusers pipeline.
        device: its torch device.
        guided: whether the empty prompt is needed as well (guidance scale above 1).
        expected: number of distinct prompts after which the text encoder is released; None keeps it.
    """

    def __init__(self, pipe: Any, device: str, *, guided: bool, expected: int | None) -> None:
        self._pipe, self._device, self._guided, self._expected = pipe, device, guided, expected
        self._kept: OrderedDict[str, tuple[Any, ...]] = OrderedDict()
        self._negative: tuple[Any, ...] = ()
        self._bytes = 0
        self._names = _argument_names(pipe, guided)
        # FLUX encodes one kind of prompt per call; the others return each prompt's embedding next to its negative.
        self._paired = bool(self._names) and "do_classifier_free_guidance" in _takes(pipe.encode_prompt)
        if self._names and not self._paired:
            call = _takes(pipe.__call__)
            self._guided = guided and "negative_prompt_embeds" in call and "true_cfg_scale" not in call

    def arguments(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Return the pipeline's arguments for a batch of prompts."""
        if not self._names:
            return {"prompt": list(prompts)}
        import torch

        self._encode([each for each in dict.fromkeys(prompts) if each not in self._kept])
        rows = [torch.stack(parts).to(self._device) for parts in zip(*map(self._get, prompts), strict=True)]
        self._forget(keep=set(prompts))
        given = dict(zip(self._names, rows, strict=True))
        for name, part, row in zip(self._names, self._negative, rows, strict=False):
            given[f"negative_{name}"] = part.expand_as(row)
        return given

    def _get(self, prompt: str) -> tuple[Any, ...]:
        self._kept.move_to_end(prompt)
        return self._kept[prompt]

    def _encode(self, missing: list[str]) -> None:
        if not missing:
            return
        if self._guided and not self._negative:
            # The pipeline defines the embedding of "no prompt": SDXL may use zeros.
            empty = self._call([""], True)
            self._negative = empty[1::2] if self._paired else empty[: len(self._names)]
        found = self._call(missing, False)
        parts = [part.cpu() for part in (found[::2] if self._paired else found[: len(self._names)])]
        for i, prompt in enumerate(missing):
            self._kept[prompt] = tuple(part[i].clone() for part in parts)
            self._bytes += sum(part.nbytes for part in self._kept[prompt])
        self._release()

    def _call(self, prompts: list[str], guided: bool) -> tuple[Any, ...]:
        """Return what the pipeline's `encode_prompt` does (class docstring), with one row per prompt."""
        takes = _takes(self._pipe.encode_prompt)
        more: dict[str, Any] = {name: prompts for name in ("prompt_2", "prompt_3") if name in takes}
        if self._paired:
            more["do_classifier_free_guidance"] = guided
        return self._pipe.encode_prompt(prompt=prompts, device=self._device, num_images_per_prompt=1, **more)

    def _release(self) -> None:
        """Release the text encoders once every prompt is cached for good."""
        if self._expected is None or len(self._kept) < self._expected or self._bytes > _ROOM:
            return
        for name in ("text_encoder", "text_encoder_2", "text_encoder_3"):
            if getattr(self._pipe, name, None) is not None:
                setattr(self._pipe, name, None)

    def _forget(self, keep: set[str]) -> None:
        while self._bytes > _ROOM:
            oldest = next((prompt for prompt in self._kept if prompt not in keep), None)
            if oldest is None:
                return
            self._bytes -= sum(part.nbytes for part in self._kept.pop(oldest))


def _argument_names(pipe: Any, guided: bool) -> tuple[str, ...]:
    if not hasattr(pipe, "encode_prompt") or not hasattr(pipe, "tokenizer"):
        return ()
    kind, takes = type(pipe).__name__, _takes(pipe.__call__)
    if kind.startswith("Flux") and "prompt_embeds" in takes:
        if guided and true_guidance(pipe):
            return ()  # its negative prompt is text
        return ("prompt_embeds", "pooled_prompt_embeds") if "pooled_prompt_embeds" in takes else ("prompt_embeds",)
    if kind.startswith(("StableDiffusionXL", "StableDiffusion3")):
        return ("prompt_embeds", "pooled_prompt_embeds")
    return ("prompt_embeds",) if kind.startswith("StableDiffusion") else ()


def _takes(function: Any) -> Any:
    return inspect.signature(function).parameters
