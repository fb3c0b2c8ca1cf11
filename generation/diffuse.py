"""Guides -> images: image-to-image through diffusers. The only place that knows about [0, 1] and [-1, 1].

Every row has its own CPU generator, seeded with the row's seed, so that its noise is the same alone, in any batch and
on any device. Prompt embeddings are computed once per distinct prompt and kept on the CPU.
"""

import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from d3s_dataset.errors import MissingExtra, ModelError, one_line
from d3s_dataset.hub import cache_only_where_unreachable, unreachable
from generation.recipe import Generator

if TYPE_CHECKING:
    import torch


class Diffuser(Protocol):
    """Redraws guides."""

    name: str

    def __call__(
        self, guides: Sequence[Image.Image], prompts: Sequence[str], seeds: Sequence[int]
    ) -> list[np.ndarray | None]:
        """Return one uint8 (height, width, 3) array per guide; each depends on its own guide, prompt and seed only.

        None stands for an image with values that are not finite.
        """
        ...

    def environment(self) -> dict[str, str]:
        """Return what beside the recipe decides the pixels."""
        ...


class ImageToImage:
    """A diffusers image-to-image pipeline as a `Diffuser`.

    Args:
        settings: model (Hub id or local folder), scheduler, steps, strength, guidance scale, eta, dtype.
        device: a torch device; None is the first GPU if there is one, else the CPU.

    Raises:
        MissingExtra: diffusers or torch is not installed.
        ModelError: the model is no image-to-image pipeline, cannot be had, or the device or scheduler is unknown.
    """

    def __init__(self, settings: Generator, device: str | None = None) -> None:
        self._torch, diffusers = _import()
        self.settings, self.device = settings, _device(self._torch, device)
        self.dtype = _dtype(self._torch, settings.dtype, self.device)
        self._pipe = _pipeline(diffusers, settings, self.dtype)
        try:
            self._pipe.to(self.device)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"--device {self.device} cannot be used: {one_line(error)}") from None
        self._pipe.set_progress_bar_config(disable=True)
        self.name = _recorded_name(settings, self._pipe)
        self._embeddings: dict[str, torch.Tensor] = {}

    def __call__(
        self, guides: Sequence[Image.Image], prompts: Sequence[str], seeds: Sequence[int]
    ) -> list[np.ndarray | None]:
        """Redraw a batch of guides; see `Diffuser`."""
        torch, settings = self._torch, self.settings
        with torch.inference_mode():
            images = self._pipe(
                image=list(guides),
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                num_inference_steps=settings.steps,
                strength=settings.strength,
                guidance_scale=settings.guidance_scale,
                output_type="np",
                **self._prompt_arguments(prompts),
                **({"eta": settings.eta} if "DDIM" in type(self._pipe.scheduler).__name__ else {}),
            ).images
        return [_to_uint8(image) for image in images]

    def _prompt_arguments(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Return the prompts, embedded where the pipeline takes plain embeddings (Stable Diffusion 1 and 2)."""
        if not _takes_plain_embeddings(self._pipe):
            return {"prompt": list(prompts)}
        for prompt in dict.fromkeys(["", *prompts]):
            if prompt not in self._embeddings:
                embedded, _ = self._pipe.encode_prompt(prompt, self.device, 1, False)
                self._embeddings[prompt] = embedded[0].cpu()
        rows = self._torch.stack([self._embeddings[prompt] for prompt in prompts]).to(self.device)
        empty = self._embeddings[""].expand_as(rows).to(self.device)
        return {"prompt_embeds": rows, "negative_prompt_embeds": empty}

    def environment(self) -> dict[str, str]:
        """Return what beside the recipe decides the pixels: library versions, device kind and dtype."""
        import diffusers

        where = {"device": self.device.split(":")[0], "dtype": str(self.dtype).removeprefix("torch.")}
        return {"torch": self._torch.__version__, "diffusers": diffusers.__version__, **where}


def _to_uint8(image: np.ndarray) -> np.ndarray | None:
    return np.round(image * 255).clip(0, 255).astype(np.uint8) if np.isfinite(image).all() else None


def _import() -> tuple[Any, Any]:
    try:
        import diffusers
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(error.name or "diffusers", "generation") from None
    if not sys.stderr.isatty():
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
    return torch, diffusers


def _device(torch: Any, wanted: str | None) -> str:
    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(wanted).type
    except RuntimeError:
        raise ModelError(f"--device: expected cpu, cuda or cuda:N, got {wanted!r}") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"--device {wanted}: torch {torch.__version__} finds no CUDA device here; type --device cpu")
    return wanted


def _dtype(torch: Any, wanted: str, device: str) -> Any:
    if wanted == "auto":
        wanted = "fp16" if device.startswith("cuda") else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]


def _pipeline(diffusers: Any, settings: Generator, dtype: Any) -> Any:
    folder = Path(settings.model)
    if folder.is_dir() and not (folder / "model_index.json").is_file():
        raise ModelError(
            f"--model {folder}: expected the folder of a diffusers pipeline, got one without model_index.json"
        )
    try:
        with warnings.catch_warnings(), cache_only_where_unreachable():
            # diffusers 0.42 passes huggingface_hub an argument that it no longer takes.
            warnings.filterwarnings("ignore", "The `local_dir_use_symlinks` argument")
            pipe = diffusers.AutoPipelineForImage2Image.from_pretrained(
                settings.model, revision=settings.revision, dtype=dtype, use_safetensors=True
            )
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        if not folder.is_dir() and isinstance(error, OSError) and "model_index.json" in str(error):
            text = unreachable(f"the weights of {settings.model}", "--model FOLDER (or none)")
            raise ModelError(f"--model {settings.model}: no such folder, and as a Hub model {text}") from None
        wanted = "expected the Hub id or folder of an image-to-image pipeline, or none"
        raise ModelError(f"--model {settings.model}: {wanted}: {one_line(error)}") from None
    if getattr(pipe, "safety_checker", None) is not None:
        # It blackens images unasked: nothing may change pixels behind the screen's back.
        pipe.safety_checker = None
    if settings.scheduler:
        kind = getattr(diffusers, settings.scheduler, None)
        if kind is None:
            raise ModelError(
                f"generator.scheduler: expected one of diffusers' such as DDIMScheduler, got {settings.scheduler!r}"
            )
        pipe.scheduler = kind.from_config(pipe.scheduler.config)
    return pipe


def _takes_plain_embeddings(pipe: Any) -> bool:
    return hasattr(pipe, "tokenizer") and not hasattr(pipe, "tokenizer_2") and hasattr(pipe, "encode_prompt")


def _recorded_name(settings: Generator, pipe: Any) -> str:
    """Return model@revision: the commit that the Hub gave, or the digest of a local folder; never a path."""
    if Path(settings.model).is_dir():
        return settings.identified().model
    core = getattr(pipe, "unet", None) or pipe.transformer
    commit = re.search(r"snapshots/([0-9a-f]{40})", str(core.config.get("_name_or_path", "")).replace("\\", "/"))
    return f"{settings.model}@{commit[1] if commit else settings.revision or 'main'}"
