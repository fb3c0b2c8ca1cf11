"""Execution options from the command line, and the engine that they select."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d3s_dataset.errors import RecipeError
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.cli import cores
from d3s_dataset.utils.extras import late, require
from d3s_dataset.utils.paths import cache_folder
from generation.execution.scheduler import Engine, local_engine
from generation.execution.worker import Spec
from generation.images.pipeline import device_of
from generation.images.rows import NO_MASK, Failed, Maker
from generation.masks.finder import MaskFinder
from generation.masks.store import MaskedSource, MaskStore
from generation.planning.plan import Plan, Row
from generation.recipe.recipe import Recipe

SHARD_ROWS = 1000  # at 512 px and JPEG quality 95 about 200 MB


@dataclass(frozen=True)
class How:
    """Execution options; only `resample` affects the content of the release.

    Attributes:
        shard_rows: rows per shard.
        batch_size: rows per batch; None chooses it automatically.
        workers: CPU processes that compose and encode; None is one per core.
        devices: torch devices of the generator; None is all GPUs of this machine, else the CPU.
        engine: `local`, or `ray`.
        compiled: compile the generator with torch.compile.
        resample: maximum number of new seeds for redrawn images that fail a screen.
        part: (number, of): the part of the shards that this run makes, without finishing the release; None makes all.
        sheets: folder for a contact sheet of each shard.
        verify: compare the checksums of finished shards, not only their sizes; regenerate damaged ones.
    """

    shard_rows: int = SHARD_ROWS
    batch_size: int | None = None
    workers: int | None = None
    devices: tuple[str, ...] | None = None
    engine: str = "local"
    compiled: bool = False
    resample: int = 0
    part: tuple[int, int] | None = None
    sheets: Path | None = None
    verify: bool = False


def check_installed(recipe: Recipe, engine: str) -> None:
    """Raise MissingExtra for a package that a recipe needs and that is not installed."""
    networks = ("torch", "transformers") if recipe.finds_masks else ()
    require("generation", "imagehash", *(("torch", "diffusers", "transformers") if recipe.diffuses else networks))
    if engine == "ray":
        require("ray", "ray")


def open_engine(plan: Plan, how: How) -> Engine:
    """Return the engine that `how` selects, with its models loaded.

    Raises:
        RecipeError: the objects' pixels are to be kept, and the first photo has no mask.
        ModelError: a model cannot be loaded or a device cannot be used.
        MissingExtra: Ray is not installed.
        GenerationError: the cluster cannot be reached.
    """
    recipe = plan.recipe
    labels = sorted({int(label) for split in plan.splits.values() for label in split.labels})
    named = tuple((label, classes()[label].synonym) for label in labels)
    prompts = len(labels) * (len(recipe.backgrounds) + ("control_scale" in recipe.configs()))
    foregrounds, finder = _masked(plan, how)
    maker = Maker(recipe, foregrounds, plan.backgrounds)
    _check_masks(maker, next(iter(plan)), finder)
    spec = Spec(maker, how.batch_size, how.compiled, prompts, named)
    if how.engine == "ray":
        from generation.execution.ray import ray_engine

        engine = ray_engine(spec, next(iter(plan)))
    else:
        engine = local_engine(spec, _devices(recipe.diffuses, how.devices), how.workers or cores())
    if finder is not None:
        engine.prepare = finder
        engine.note({"masks": foregrounds.store.model})
    return engine


def _masked(plan: Plan, how: How) -> tuple[Any, MaskFinder | None]:
    """Return the source of the foregrounds, and what finds their masks, if the recipe has a segmenter."""
    if not plan.recipe.finds_masks:
        return plan.foregrounds, None
    from generation.masks.segmenter import Segmenter

    mask, device = plan.recipe.mask, device_of(late("torch", "generation"), how.devices[0] if how.devices else None)
    segmenter = Segmenter(mask.model, device, mask.revision)
    store = MaskStore(cache_folder() / "masks", segmenter.name)
    return MaskedSource(plan.foregrounds, store), MaskFinder(plan.foregrounds, store, segmenter)


def _check_masks(maker: Maker, first: Row, finder: MaskFinder | None) -> None:
    """Raise RecipeError where the first photo shows that the foregrounds are no cut-outs, before models are loaded."""
    if finder is not None:
        finder([first])
    if maker.recipe.generator.keeps_object:
        found = maker.guide(first)
        if isinstance(found, Failed) and found.reason.endswith(NO_MASK):
            raise RecipeError(f"--foregrounds: {found.reason}")


def _devices(diffuses: bool, wanted: tuple[str, ...] | None) -> list[str | None]:
    if wanted or not diffuses:
        return list(wanted or [None])
    torch = late("torch", "generation")
    return [f"cuda:{i}" for i in range(torch.cuda.device_count())] or [None]
