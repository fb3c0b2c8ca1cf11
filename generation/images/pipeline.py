"""Model name -> diffusers pipeline, device and dtype; every failure is a one-line error."""

import inspect
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.hub.offline import cache_only_where_unreachable, reachable, unreachable
from generation.images.editing import edits
from generation.recipe.recipe import Generator

_KINDS = {  # of a recipe's generator.mode: diffusers' class, and its name
    "redraw": ("AutoPipelineForImage2Image", "an image-to-image"),
    "inpaint": ("AutoPipelineForInpainting", "an inpainting"),
    "edit": ("DiffusionPipeline", "an instruction-editing"),
}


def check_within_reach(settings: Generator) -> None:
    """Raise ModelError where a model is neither a folder nor cached nor on a Hub that responds; imports take longer."""
    if Path(settings.model).is_dir():
        return
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with suppress(HFValidationError):  # no name of a model: `load_pipeline` says so
        cached = try_to_load_from_cache(settings.model, "model_index.json", revision=settings.revision)
        if not isinstance(cached, str) and not reachable():
            text = unreachable(f"the weights of {settings.model}", "--model FOLDER (or none)")
            raise ModelError(f"--model {settings.model}: no such folder, and as a Hub model {text}")


def load_pipeline(diffusers: Any, settings: Generator, dtype: Any) -> tuple[Any, tuple[Any, Any] | None]:
    """Return a pipeline of the mode without its safety checker, and that checker with its feature extractor.

    Left in, the checker would blacken images: nothing may change pixels before they are screened.

    Raises:
        ModelError: the model has no pipeline of that mode or is not available, or the scheduler is unknown.
    """
    pipe = _from_pretrained(diffusers, settings, dtype)
    _check_call(type(pipe), settings)
    pipe.set_progress_bar_config(disable=True)
    checker = getattr(pipe, "safety_checker", None)
    if checker is not None:
        pipe.safety_checker = None
    if settings.scheduler:
        kind = _scheduler(diffusers, settings.scheduler)
        fits = [type(pipe.scheduler), *pipe.scheduler.compatibles]
        if kind not in fits:
            names = ", ".join(sorted(each.__name__ for each in fits))
            raise ModelError(
                f"generator.scheduler {settings.scheduler} does not fit --model {settings.model}: expected {names}, or "
                "a recipe without the key"
            )
        pipe.scheduler = kind.from_config(pipe.scheduler.config)
    return pipe, None if checker is None else (checker, pipe.feature_extractor)


def _from_pretrained(diffusers: Any, settings: Generator, dtype: Any) -> Any:
    folder, (kind, what) = Path(settings.model), _KINDS[settings.mode]
    if folder.is_dir() and not (folder / "model_index.json").is_file():
        raise ModelError(
            f"--model {folder}: expected the folder of a diffusers pipeline, got one without model_index.json"
        )
    try:
        with warnings.catch_warnings(), cache_only_where_unreachable():
            # diffusers 0.42 passes huggingface_hub an argument that it no longer takes.
            warnings.filterwarnings("ignore", "The `local_dir_use_symlinks` argument")
            # Deprecation notices among its dependencies, which a user cannot act on.
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            loader = getattr(diffusers, kind)
            if settings.mode != "redraw":  # before gigabytes of weights are loaded
                loader = _own_pipeline(diffusers, settings) or loader
            return loader.from_pretrained(settings.model, revision=settings.revision, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        wanted = f"expected the Hub id or folder of {what} pipeline, or none"
        raise ModelError(f"--model {settings.model}: {wanted}: {one_line(error)}") from None


def _own_pipeline(diffusers: Any, settings: Generator) -> Any:
    """Return the pipeline that a model was saved as, or None where another one with its parts may fit an inpaint.

    Not every inpainting pipeline is in diffusers' table of them (FLUX.1 Fill is not).
    """
    config = diffusers.DiffusionPipeline.load_config(settings.model, revision=settings.revision)
    own = getattr(diffusers, str(config["_class_name"]))
    if settings.mode == "inpaint" and not _abilities(own)["inpaint"]:
        return None
    _check_call(own, settings)
    return own


def _abilities(pipeline: type) -> dict[str, bool]:
    """Return for each mode whether a pipeline's call takes what it needs; the pipeline's name says nothing of that."""
    takes = inspect.signature(pipeline.__call__).parameters.keys()
    return {
        "redraw": {"image", "strength"} <= takes and "mask_image" not in takes,
        "inpaint": {"image", "mask_image", "strength"} <= takes,
        "edit": edits(pipeline),
    }


def _check_call(pipeline: type, settings: Generator) -> None:
    """Raise ModelError where a pipeline's call cannot do what the mode asks for."""
    able = _abilities(pipeline)
    if not able[settings.mode]:
        others = [mode for mode, fits in able.items() if fits]
        hint = f"; generator.mode {others[0]!r} fits it" if others else ""
        raise ModelError(
            f"--model {settings.model}: expected {_KINDS[settings.mode][1]} pipeline for generator.mode "
            f"{settings.mode!r}, got {pipeline.__name__}{hint}"
        )


def _scheduler(diffusers: Any, name: str) -> Any:
    kind = getattr(diffusers, name, None)
    if kind is None:
        raise ModelError(f"generator.scheduler: expected one of diffusers' such as DDIMScheduler, got {name!r}")
    return kind


def recorded_name(settings: Generator, pipe: Any) -> str:
    """Return model@revision: the Hub commit, or the digest of a local folder; never a path."""
    if Path(settings.model).is_dir():
        return settings.identified().model
    core = getattr(pipe, "unet", None) or pipe.transformer
    commit = re.search(r"snapshots/([0-9a-f]{40})", str(core.config.get("_name_or_path", "")).replace("\\", "/"))
    return f"{settings.model}@{commit[1] if commit else settings.revision or 'main'}"


def device_of(torch: Any, wanted: str | None) -> str:
    """Return the name of a torch device; None is the first GPU if there is one, else the CPU.

    Raises:
        ModelError: no device of that name, or no GPU here.
    """
    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(wanted).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise ModelError(f"--devices: expected cpu, cuda, cuda:N or a list of them, got {wanted!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"--devices {wanted}: torch {torch.__version__} finds no CUDA device here; type --devices cpu")
    return wanted


def dtype_of(torch: Any, wanted: str, device: str) -> Any:
    """Return the torch dtype of a recipe's `generator.dtype`; `auto` is fp16 on a GPU and fp32 on a CPU."""
    if wanted == "auto":
        wanted = "fp16" if device.startswith("cuda") else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]
