"""Helpers for generation tests: small plans, and comparison of two releases."""

import filecmp
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.run import open_sources

CPU = ("cpu",)
SIZE = 64
CONTROLS = ("guides", "control_scale", "control_scale_guides", "control_original", "control_original_guides")


def small_plan(rows: int = 120) -> Plan:
    """The drawn sample at 64 px."""
    recipe = load_recipe("sample").changed(rows=rows)
    recipe = recipe.model_copy(update={"guide": recipe.guide.model_copy(update={"size": SIZE})})
    return Plan(recipe, *open_sources(recipe, None, None))


def redrawn_plan(model: Path, rows: int = 12, controls: tuple[str, ...] = (), **screen: Any) -> Plan:
    """The drawn sample, redrawn by a model in four steps and stored without loss."""
    recipe = load_recipe("sample").changed(rows=rows)
    fields = {"model": str(model), "scheduler": "DDIMScheduler", "steps": 4, "dtype": "fp32"}
    changes = {
        "guide": {"size": SIZE},
        "image": {"format": "png"},
        "generator": fields,
        "screen": screen,
        "controls": {"configs": controls},
    }
    parts = {name: getattr(recipe, name).model_copy(update=change) for name, change in changes.items()}
    recipe = recipe.model_copy(update=parts)
    return Plan(recipe, *open_sources(recipe, None, None))


def mode_plan(mode: str, model: Path, rows: int = 12, controls: tuple[str, ...] = (), **more: Any) -> Plan:
    """The drawn sample as the recipe of a mode (`paper`, `keep-object`, `edit`) makes it: few steps, without loss."""
    name = {"redraw": "paper", "inpaint": "keep-object", "edit": "edit"}[mode]
    own, recipe = load_recipe(name), load_recipe("sample").changed(rows=rows)
    parts = {
        "prompt": own.prompt,
        "generator": own.generator.model_copy(update={"model": str(model), "dtype": "fp32", "steps": 4}),
        "guide": recipe.guide.model_copy(update={"size": SIZE}),
        "image": recipe.image.model_copy(update={"format": "png"}),
        "controls": recipe.controls.model_copy(update={"configs": controls}),
    }
    recipe = recipe.model_copy(update={**parts, **more})
    return Plan(recipe, *open_sources(recipe, None, None))


def same_bytes(one: Path, two: Path) -> bool:
    """Return whether two releases are the same files with the same bytes."""
    files = [sorted(path.relative_to(each) for path in each.rglob("*") if path.is_file()) for each in (one, two)]
    return files[0] == files[1] and all(filecmp.cmp(one / path, two / path, shallow=False) for path in files[0])


def rows_of(release: Path, config: str = "default") -> dict[str, dict[str, Any]]:
    """All rows of a config by key."""
    folder = release / ("data" if config == "default" else config)
    return {row["key"]: row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()}


def decoded(row: dict[str, Any]) -> np.ndarray:
    """The pixels of a row's image."""
    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))).astype(int)


def apart(one: Path, two: Path) -> int:
    """The greatest difference of a pixel between two releases of the same rows, in levels of 256."""
    first, second = rows_of(one), rows_of(two)
    assert first.keys() == second.keys()
    return max(np.abs(decoded(first[key]) - decoded(second[key])).max() for key in first)
