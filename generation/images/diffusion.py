"""Guides -> images: image-to-image, inpainting and editing by instruction with diffusers.

The only module that handles the ranges [0, 1] and [-1, 1].

Every row has its own CPU generator, seeded with the row's seed, so that its noise is the same alone, in any batch and
on any device. Several threads may call one `ImageToImage`: preparation on the CPU and transfers from the GPU overlap
with denoising.
"""

import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.utils.extras import late
from generation.images.editing import Editor
from generation.images.pipeline import check_within_reach, device_of, dtype_of, load_pipeline, recorded_name
from generation.images.prompt_embeddings import PromptCache
from generation.images.rows import Redrawn
from generation.recipe.recipe import Generator
from generation.screening.safety import SafetyJudge

_START = {"cuda": 32, "cpu": 8}  # initial images per batch; halved when the device is out of memory


class Diffuser(Protocol):
    """Interface of a generator that redraws guides; thread-safe."""

    name: str
    batch_size: int
    device: str
    dtype: Any

    def __call__(
        self, guides: Sequence[np.ndarray], prompts: Sequence[str], seeds: Sequence[int], strength: float | None = None
    ) -> list[Redrawn | None]:
        """Return one image per guide (uint8, (height, width, 3)); each depends on its own guide, prompt and seed only.

        `strength` replaces the recipe's for this batch.
        A guide may have a fourth channel, the object's mask. None marks an image with non-finite values.
        """
        ...

    def patiently(self, judge: Callable[..., list[Any]], *columns: Sequence[Any]) -> list[Any]:
        """Return a scorer's results for a batch, whatever memory it leaves on the device."""
        ...

    def environment(self) -> dict[str, str]:
        """Return the versions and settings outside the recipe that affect the pixels."""
        ...


class ImageToImage:
    """A diffusers image-to-image, inpainting or instruction-editing pipeline as a `Diffuser`.

    Args:
        settings: mode, model (Hub id or local folder), scheduler, steps, strength, guidance scale, eta, dtype.
        device: a torch device; None is the first GPU if there is one, else the CPU.
        batch_size: images per batch; None starts at 32 on a GPU and 8 on a CPU. Halved when out of memory.
        compiled: compile the denoiser and the VAE with torch.compile, for one fixed batch size.
        safety: run the pipeline's own safety checker, if any; it never changes pixels.
        prompts: number of distinct prompts: the text encoder is released after the last; None keeps it.

    Raises:
        MissingExtra: diffusers or torch is not installed.
        ModelError: the model has no pipeline of the mode or is not available, or an unknown device or scheduler.
    """

    def __init__(
        self,
        settings: Generator,
        device: str | None = None,
        *,
        batch_size: int | None = None,
        compiled: bool = False,
        safety: bool = False,
        prompts: int | None = None,
    ) -> None:
        check_within_reach(settings)
        self._torch, diffusers = _import()
        self.settings, self.device = settings, device_of(self._torch, device)
        self.dtype = dtype_of(self._torch, settings.dtype, self.device)
        self.batch_size = batch_size or _START[self._kind]
        self.compiled = compiled
        self._pipe, checker = load_pipeline(diffusers, settings, self.dtype)
        self.name = recorded_name(settings, self._pipe)
        self._safety = SafetyJudge(*checker, self.device, self.dtype) if safety and checker else None
        self._place()
        self._prompts = PromptCache(self._pipe, self.device, guided=settings.guidance_scale > 1, expected=prompts)
        self._editor = Editor(self._pipe, settings) if settings.mode == "edit" else None
        self._turn = threading.Lock()

    @property
    def _kind(self) -> str:
        return self.device.split(":")[0]

    def _place(self) -> None:
        """Move the pipeline to its device, in the fastest memory format."""
        torch, pipe = self._torch, self._pipe
        try:
            pipe.to(self.device)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"--devices {self.device} cannot be used: {one_line(error)}") from None
        core = "unet" if getattr(pipe, "unet", None) is not None else "transformer"
        if self._kind == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32 where a part runs in float32
            if hasattr(pipe, "vae"):
                pipe.vae.to(memory_format=torch.channels_last)
            if core == "unet":
                pipe.unet.to(memory_format=torch.channels_last)
        if self.compiled:
            getattr(pipe, core).compile(dynamic=False)
            pipe.vae.decode = torch.compile(pipe.vae.decode, dynamic=False)

    def __call__(
        self, guides: Sequence[np.ndarray], prompts: Sequence[str], seeds: Sequence[int], strength: float | None = None
    ) -> list[Redrawn | None]:
        """Redraw a batch of guides of any size; see `Diffuser`."""
        made = list[np.ndarray | None]()
        while len(made) < len(guides):
            size, full = self.batch_size, False
            part = slice(len(made), len(made) + size)
            try:
                made += self._redraw(guides[part], prompts[part], seeds[part], size, strength)
            except self._torch.OutOfMemoryError:
                full = True
            if full:  # not in the except block: there the batch is still referenced
                self._halve(size)
        drawn = [each for each in made if each is not None]
        scores = [{}] * len(drawn)
        if self._safety is not None:
            scores = [{"screen_unsafe": flag} for flag in self.patiently(self._safety, drawn)]
        judged = iter(scores)
        return [pixels if pixels is None else Redrawn(pixels, next(judged)) for pixels in made]

    def patiently(self, judge: Callable[..., list[Any]], *columns: Sequence[Any]) -> list[Any]:
        """Return a scorer's results for a batch; when out of memory, row by row while no batch is denoised."""
        with suppress(self._torch.OutOfMemoryError):
            return judge(*columns)
        with self._turn:
            self._torch.cuda.empty_cache()
            return [each for row in zip(*columns, strict=True) for each in judge(*([value] for value in row))]

    def _halve(self, size: int) -> None:
        if size == 1:
            raise ModelError(
                f"--devices {self.device} is out of memory with one image of {self.settings.model}: expected a larger "
                "device, or generator.dtype fp16"
            )
        with self._turn:
            self.batch_size = min(self.batch_size, max(1, size // 2))  # unless another thread has halved it
            if self._kind == "cuda":
                self._torch.cuda.empty_cache()

    def _redraw(
        self,
        guides: Sequence[np.ndarray],
        prompts: Sequence[str],
        seeds: Sequence[int],
        size: int,
        strength: float | None,
    ) -> list[np.ndarray | None]:
        """Redraw at most `size` guides in one call of the pipeline."""
        torch, settings, n = self._torch, self.settings, len(guides)
        # A compiled network has a fixed batch size: pad with repetitions, and drop them afterwards.
        fill = [0] * (size - n) if self.compiled else []
        order = [*range(n), *fill]
        whole = torch.from_numpy(np.stack([guides[i] for i in order]))
        whole = whole.pin_memory() if self._kind == "cuda" else whole
        generators = [torch.Generator("cpu").manual_seed(seeds[i]) for i in order]
        with self._turn, torch.inference_mode():
            texts, base = [prompts[i] for i in order], settings.strength if strength is None else strength
            images = self._drawn(whole[..., :3], self._made(whole), texts, generators, base)
            if images.shape[-2:] != whole.shape[1:3]:
                raise ModelError(
                    f"--model {settings.model} draws {images.shape[-1]} x {images.shape[-2]} pixels: expected a "
                    f"model that draws guide.size, {whole.shape[1]}"
                )
            levels, finite = self._levels(images)
            if settings.keeps_object:
                levels, finite = self._kept(levels, finite, whole.to(self.device), texts, generators)
        kept = zip(levels[:n].cpu().numpy(), finite[:n].cpu().tolist(), strict=True)
        return [each if good else None for each, good in kept]

    def _levels(self, images: Any) -> tuple[Any, Any]:
        """Return images as uint8 (n, height, width, 3), and which of them are finite."""
        levels = (images.nan_to_num() * 255).round().clamp(0, 255).to(self._torch.uint8).permute(0, 2, 3, 1)
        return levels, self._torch.isfinite(images).flatten(1).all(1)

    def _kept(
        self, levels: Any, finite: Any, guides: Any, prompts: list[str], generators: list[Any]
    ) -> tuple[Any, Any]:
        """Return inpainted images with the objects of their guides, the seams harmonised where the recipe says so."""
        from generation.images.kept import blend_band, paste_back, seam_band

        levels = paste_back(levels, guides, self.settings.feather)
        if not self.settings.harmonise:
            return levels, finite
        images = self._drawn(levels, seam_band(guides), prompts, generators, self.settings.harmonise)
        harmonised, whole = self._levels(images)
        return blend_band(levels, harmonised, guides), finite & whole

    def _drawn(self, pixels: Any, made: Any, prompts: list[str], generators: list[Any], strength: float) -> Any:
        """Return what the pipeline makes of pictures, uint8 (n, height, width, 3): (n, 3, height, width) in [0, 1].

        `made` is 1 at the pixels that an inpainting pipeline makes, (n, 1, height, width); else None.
        """
        settings = self.settings
        options = {
            "num_inference_steps": settings.steps,
            "output_type": "pt",
            **self._accepted({"height": pixels.shape[1], "width": pixels.shape[2], "eta": settings.eta}),
        }
        if self._editor is not None:
            images = self._editor(pixels.numpy(), prompts, generators, self._prompts.arguments, options)
            return self._torch.stack(images)
        return self._pipe(
            image=self._image(pixels, generators),
            generator=generators,
            strength=strength,
            guidance_scale=settings.guidance_scale,
            **({} if made is None else {"mask_image": made}),
            **self._prompts.arguments(prompts),
            **options,
        ).images

    def _made(self, guides: Any) -> Any:
        """Return 1 at the pixels that an inpainting pipeline makes, those outside the object's mask; else None."""
        return (guides[..., 3].to(self.device)[:, None] == 0).float() if self.settings.keeps_object else None

    def _accepted(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options that this pipeline accepts: some need an explicit size, some have no eta."""
        takes = inspect.signature(type(self._pipe).__call__).parameters
        return {name: value for name, value in options.items() if name in takes}

    def _image(self, pixels: Any, generators: list[Any]) -> Any:
        """Return the pipeline's input: latents where they can be encoded in one batch, else images in [0, 1].

        With one generator per image diffusers encodes images one by one. Encoding them together and sampling in the
        same order gives the same latents.
        """
        torch, pipe = self._torch, self._pipe
        images = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        if type(pipe).__name__ != "StableDiffusionImg2ImgPipeline":
            return images
        found = pipe.vae.encode((images * 2 - 1).to(self.dtype)).latent_dist
        noise = [torch.randn(found.mean.shape[1:], generator=g, dtype=found.mean.dtype) for g in generators]
        return (found.mean + found.std * torch.stack(noise).to(self.device)) * pipe.vae.config.scaling_factor

    def environment(self) -> dict[str, str]:
        """Return the settings outside the recipe that affect the pixels: versions, device kind, dtype, compilation."""
        import diffusers

        where = {"device": self._kind, "dtype": str(self.dtype).removeprefix("torch.")}
        versions = {"torch": self._torch.__version__, "diffusers": diffusers.__version__}
        return {**versions, **where, **({"compiled": "yes"} if self.compiled else {})}


def _import() -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of one of them about another
        diffusers, torch, transformers = (late(each, "generation") for each in ("diffusers", "torch", "transformers"))
    if not sys.stderr.isatty():
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
    return torch, diffusers
