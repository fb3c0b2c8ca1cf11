"""`make bench-gpu`: what one GPU makes of the project, in under eight minutes, with random weights and drawn photos.

    python -m tests.bench.gpu [--price 2.99]

Without torch, diffusers or a CUDA device it states so in one line. The figures are those of the machine it runs on.
"""

import argparse
import importlib.util
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from d3s_dataset.utils.cli import cores, positive
from generation.recipe.recipe import Recipe, load_recipe
from tests.support.photos import draw_photos

if TYPE_CHECKING:
    from tests.bench.gpu_generation import Figures, Scale

MINUTES = 5.0  # after which no further way of making images is begun; what follows takes two
RECIPES, SIZES = ("paper", "fast", "keep-object"), (120_000, 12_000_000)


def seconds_per_image(recipe: Recipe, found: "Figures", overhead: float) -> float:
    """Return the projected seconds of one image of a recipe on the measured networks.

    An image of a recipe with guidance takes one call per step, with and without its prompt; inpainting encodes twice,
    the guide and what is kept of it.
    """
    settings = recipe.generator
    steps = int(settings.steps * settings.strength)
    guided = 1.0 if settings.guidance_scale > 1 else 0.5
    encodes = 2 if settings.keeps_object else 1
    device = (encodes * found.encode + steps * guided * found.unet + found.decode) / found.batch
    return overhead * max(device, found.cpu)


def redrawn_images(recipe: Recipe, rows: int) -> float:
    """Return how many images a release of so many rows redraws, its controls included."""
    share = 1 / (1 + recipe.splits.train_rows_per_validation_row)
    controls = sum(recipe.redraws(config) for config in recipe.configs()) - 1
    return rows * (1 + controls * share)


def table(found: "Figures", scale: "Scale", steps: int) -> Iterator[str]:
    """Yield the figures of making images as lines of Markdown."""
    first = next(iter(found.ways.values()))
    what = f"{scale.side} px, {steps} steps, {scale.dtype}, batches of {found.batch}"
    yield f"| {what} | img/s | x | share of peak | GPU busy |"
    yield "|---|---:|---:|---:|---:|"
    for name, seconds in found.ways.items():
        if seconds is None:
            continue
        times = f"{first / seconds:.2f}" if first else ""
        busy = f"{found.busy[name]:.1%}" if name in found.busy else ""
        yield f"| {name} | {1 / seconds:.2f} | {times} | {found.flops / (seconds * found.peak):.1%} | {busy} |"
    alone = found.alone(steps)
    yield f"| UNet and VAE alone, not compiled | {1 / alone:.2f} | | {found.flops / (alone * found.peak):.1%} | |"
    yield f"| CPU side alone, {cores()} cores | {1 / found.cpu:.2f} | | | |"
    yield ""
    yield f"Peak: {found.peak / 1e12:.3g} TFLOP/s, a product of {scale.matrix} x {scale.matrix} matrices."
    ours = found.ways["ours"]
    if ours:
        ratio = found.floor(steps) / ours
        yield f"Ours, not compiled, runs at {ratio:.2f} of its floor's speed: that of the slower of both alone."
    yield from found.notes


def projection(found: "Figures", steps: int, price: float) -> Iterator[str]:
    """Yield GPU-hours and cost of the recipes as lines of Markdown."""
    overhead = found.best / found.floor(steps)
    yield f"| recipe, controls included | {' | '.join(f'{rows:,} rows' for rows in SIZES)} |"
    yield "|---|" + "---:|" * len(SIZES)
    for name in RECIPES:
        recipe = load_recipe(name)
        hours = [redrawn_images(recipe, rows) * seconds_per_image(recipe, found, overhead) / 3600 for rows in SIZES]
        yield f"| {name} | {' | '.join(f'{each:,.1f} GPU-hours, {each * price:,.0f}' for each in hours)} |"
    yield f"Cost at {price:g} per GPU and hour; screens by CLIP and the safety checker are not in it."


def report(scale: "Scale", device: str, price: float, folder: Path, deadline: float) -> Iterator[str]:
    """Measure everything on a device; yield the report's lines.

    Args:
        scale: sizes.
        device: torch device.
        price: of it for an hour.
        folder: an empty folder.
        deadline: on the clock `time.monotonic`; ways that would begin later are left out.
    """
    from tests.bench.gpu_generation import Bench
    from tests.bench.gpu_networks import evaluation, release_of, training

    photos = draw_photos(folder / "photos")
    bench = Bench(scale, device, folder, photos, deadline)
    found = bench.run()
    yield from table(found, scale, bench.evaluations)
    yield ""
    yield from projection(found, bench.evaluations, price)
    yield ""
    release = release_of(scale, photos, folder / "d3s")
    rates = evaluation(scale, device, release)
    yield f"Evaluation, {scale.network}, {scale.dtype}: " + ", ".join(
        f"{name} {rate:,.0f} img/s" for name, rate in rates.items()
    )
    steps = training(scale, release, folder / "model")
    waits = f", {steps['waits']:.2f} calls per step that wait for the GPU" if "waits" in steps else ""
    yield f"Training, {scale.network}, {scale.dtype}: {steps['images']:,.0f} img/s in the second epoch{waits}"


def missing() -> str | None:
    """Return why nothing can be measured here, in one line; None where it can."""
    lacking = [name for name in ("torch", "diffusers", "transformers", "timm") if not importlib.util.find_spec(name)]
    if lacking:
        return f"bench-gpu: {', '.join(lacking)} not installed: nothing was measured"
    import torch

    return None if torch.cuda.is_available() else "bench-gpu: torch finds no CUDA device here: nothing was measured"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure on the first GPU, and print the report."""
    parser = argparse.ArgumentParser("python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--price", type=positive, default=2.99, help="of the GPU for an hour, in any currency")
    args = parser.parse_args(argv)
    why = missing()
    if why:
        print(why)
        return
    import torch
    from diffusers.utils import logging
    from transformers.utils import logging as others

    from tests.bench.gpu_generation import Scale

    logging.set_verbosity_error()  # its tokenizer of single letters cuts every prompt, and says so each time
    others.set_verbosity_error()

    begin = time.monotonic()
    print(f"# {torch.cuda.get_device_name()}, torch {torch.__version__}, {cores()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for line in report(Scale(), "cuda", args.price, Path(folder), begin + 60 * MINUTES):
            print(line, flush=True)
    print(f"\n{(time.monotonic() - begin) / 60:.1f} minutes")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.simplefilter("ignore")  # notices of dependencies about each other
    main()
