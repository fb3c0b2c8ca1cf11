"""`make bench`: making images, ours beside plain loops of diffusers and Pillow on the same rows."""

import dataclasses
import io
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from d3s_dataset.utils.cli import cores
from generation.execution.options import How
from generation.execution.scheduler import Batch, local_engine
from generation.execution.worker import Spec
from generation.images.compose import compose
from generation.images.rows import Maker
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from generation.release.shards import write_shard
from generation.run import open_sources
from generation.screening.checks import screen
from tests.bench.compare import compare

pytestmark = [pytest.mark.bench, pytest.mark.filterwarnings("ignore")]
ROUNDS = 5


def plan_of(shared_data, rows, **generator):
    recipe = load_recipe("paper").changed(rows=rows, clip="none")
    settings = recipe.generator.model_copy(update=generator or {"model": "none"})
    controls = recipe.controls.model_copy(update={"configs": ()})
    recipe = recipe.model_copy(update={"generator": settings, "controls": controls})
    if generator:
        recipe = recipe.model_copy(update={"guide": recipe.guide.model_copy(update={"size": 64})})
    return Plan(recipe, *open_sources(recipe, str(shared_data / "foregrounds"), str(shared_data / "backgrounds")))


def guide_of(plan, row):
    size = plan.recipe.guide.size
    scene = plan.backgrounds.open(row.background_source, size)
    return compose(plan.foregrounds.open(row.foreground_source, size), scene, row.box, size).image


def encode(image):
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=95, subsampling=0)
    return buffer.getvalue()


def test_diffusion(shared_data, tiny_model):
    """16 rows, photo to JPEG, through a small random Stable Diffusion at equal dtype, scheduler, steps and guidance."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline
    from diffusers.utils import logging

    logging.set_verbosity_error()  # its tokenizer of single letters cuts every prompt, and says so each time
    plan = plan_of(shared_data, 16, model=str(tiny_model), scheduler="DDIMScheduler", steps=10, dtype="fp32")
    rows, batch = list(plan), 8
    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(tiny_model, safety_checker=None)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    same = {"num_inference_steps": 10, "strength": 0.9, "guidance_scale": 5.0, "eta": 0.0}

    def plain(size):
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            generators = [torch.Generator("cpu").manual_seed(row.seed) for row in part]
            guides = [guide_of(plan, row) for row in part]
            images = pipe(prompt=[row.prompt for row in part], image=guides, generator=generators, **same).images
            for image in images:
                encode(image)

    spec = Spec(Maker(plan.recipe, plan.foregrounds, plan.backgrounds), batch)
    bf16 = plan_of(shared_data, 16, model=str(tiny_model), scheduler="DDIMScheduler", steps=10, dtype="bf16")
    half = dataclasses.replace(spec, maker=Maker(bf16.recipe, bf16.foregrounds, bf16.backgrounds))
    engines = [local_engine(each, ["cpu"], cores()) for each in (spec, half, dataclasses.replace(spec, compiled=True))]

    def ours(engine):
        parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        for _ in engine.make(Batch(part, [None] * len(part), True) for part in parts):
            pass

    for engine in engines:
        ours(engine)  # compiles, starts workers
    medians = compare(
        "16 rows through a small random Stable Diffusion, 64 px, 10 steps",
        ROUNDS,
        **{
            "(a) diffusers, one call a row": lambda: plain(1),
            "(b) diffusers, one call a batch of 8": lambda: plain(batch),
            "(c) ours, batches of 8": lambda: ours(engines[0]),
            "(c) ours in bf16": lambda: ours(engines[1]),
            "(c) ours, compiled": lambda: ours(engines[2]),
        },
    )
    for engine in engines:
        engine.__exit__()
    _, b, c, *_ = medians.values()
    print(f"  (c) over (b): {b / c:.2f} x")
    assert b / c >= 0.97


def primitive_seconds(plan, rows, folder):
    """Return the seconds a row of decode, compose, screen, encode and write, each measured alone in this process."""
    size, clock = plan.recipe.guide.size, time.perf_counter
    spent = dict.fromkeys(("decode", "compose", "screen", "encode", "write"), 0.0)
    encoded = []
    for row in rows:
        t0 = clock()
        photos = plan.foregrounds.open(row.foreground_source, size), plan.backgrounds.open(row.background_source, size)
        t1 = clock()
        guide = compose(*photos, row.box, size).image
        t2 = clock()
        screened = screen(guide)
        t3 = clock()
        content = encode(guide)
        t4 = clock()
        for name, took in zip(spent, (t1 - t0, t2 - t1, t3 - t2, t4 - t3), strict=False):
            spent[name] += took
        fields = {name: value for name, value in row._asdict().items() if name not in ("split", "box")}
        box = dict(zip(("left", "top", "right", "bottom"), row.box, strict=True))
        encoded.append({"image": {"bytes": content, "path": ""}, **fields, "box": box, **screened})
    t0 = clock()
    write_shard(folder / "primitive.parquet", encoded, plan.recipe.background_names())
    spent["write"] = clock() - t0
    return {name: total / len(rows) for name, total in spent.items()}


def core_seconds() -> float:
    """Return the seconds of a core that this process and those it has waited for took."""
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def on_all_cores(pool, plan, rows, folder) -> float:
    """Return the seconds a row of all primitives in as many processes at once as there are cores.

    Cores share memory and caches: what a primitive costs while the others idle, no process on a busy machine has.
    """
    started = [pool.submit(primitive_seconds, plan, rows, folder / f"alone-{core}") for core in range(cores())]
    return statistics.mean(sum(each.result().values()) for each in started)


def test_the_cpu_side(shared_data, tmp_path, ratio):
    """Guides at 512 px: time of two lengths, so that start-up cancels, beside the sum of the primitives' costs.

    By the clock, which other work on the machine slows; and by seconds of a core, which it hardly does. The primitives
    are measured in this process while the other cores idle, and on all cores at once.
    """
    short, long = 400, 1600
    plans = {rows: plan_of(shared_data, rows) for rows in (short, long)}
    rows = list(plans[short])
    found: dict[str, list[float]] = {}
    with ProcessPoolExecutor(cores()) as pool:
        on_all_cores(pool, plans[short], rows, tmp_path)  # photos and code are in memory for all that follows
        primitive_seconds(plans[short], rows, tmp_path)
        for number in range(ROUNDS):
            alone = primitive_seconds(plans[short], rows, tmp_path)
            sums = {"their parts": sum(alone.values()), "their parts on all cores": on_all_cores(
                pool, plans[short], rows, tmp_path)}  # fmt: skip
            wall, worked = {}, {}
            for length, plan in plans.items():
                start, before = time.perf_counter(), core_seconds()
                generate(plan, tmp_path / f"{number}-{length}", How(shard_rows=200))
                wall[length], worked[length] = time.perf_counter() - start, core_seconds() - before
            print(f"\n{long} guides at 512 px:", ", ".join(f"{name} {1000 * each:.1f}" for name, each in alone.items()),
                  "ms alone")  # fmt: skip
            for name, each in sums.items():
                ideal = each * (long - short)
                by = {name: ideal / cores() / (wall[long] - wall[short]),
                      f"{name} by seconds of a core": ideal / (worked[long] - worked[short])}  # fmt: skip
                for what, value in by.items():
                    found.setdefault(what, []).append(value)
                    print(f"  {value:.2f} of the speed of the sum of {what}")
    for what, values in found.items():
        ratio(f"guides at 512 px, speed of the sum of {what}", statistics.median(values))
    assert statistics.median(found["their parts"]) >= 0.8
