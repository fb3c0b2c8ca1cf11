"""Making images on one device: plain loops of diffusers, ours, compiled, attention kernels; the parts, and the floor.

Everything runs on any device and at any size, so that the tests run it small on a CPU. Torch half.
"""

import importlib.util
import io
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.utils.cli import cores, note
from generation.execution.scheduler import Batch, Engine, local_engine
from generation.execution.worker import Spec
from generation.images.rows import Maker
from generation.planning.plan import Plan
from tests.support.stand_in import StandInSpec, plan_of
from tests.support.tiny_sd import SD1, TINY, build

ATTENTION = {
    "flash attention": SDPBackend.FLASH_ATTENTION,
    "memory-efficient attention": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN attention": SDPBackend.CUDNN_ATTENTION,
    "plain attention": SDPBackend.MATH,
}


@dataclass(frozen=True)
class Scale:
    """Sizes of the networks, side of the images in pixels, steps, images per batch, and seconds spent on each way."""

    sizes: dict[str, dict[str, Any]] = field(default_factory=lambda: SD1)
    side: int = 512
    steps: int = 50
    batch: int = 16
    seconds: float = 10.0
    batch_seconds: float = 4.0  # of the plain loop's speed: a slow card gets a smaller batch
    matrix: int = 8192  # side of the matrices whose product says what the peak is
    network: str = "resnet50"  # evaluated and trained
    images: int = 1024  # of the release for that
    dtype: str = "bf16"


SMALL = Scale(TINY, 64, 4, 2, 0.1, 4.0, 256, "test_resnet", 96, "fp32")  # bf16 takes seconds per image on some CPUs


@dataclass
class Figures:
    """Measured figures; seconds are per image unless another is named.

    Attributes:
        ways: name -> seconds per image; None where it cannot run here, with the reason in `notes`.
        notes: lines about ways.
        batch: images per batch.
        unet: seconds of one call for a batch with and without its prompt; `encode`, `decode` of a batch by the VAE.
        cpu: seconds of composing and encoding, by all cores.
        flops: of one image, all its steps.
        peak: FLOP per second of a large product of matrices.
        busy: name of a way of ours -> share of the time in which the GPU was busy; empty without a GPU.
    """

    ways: dict[str, float | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    batch: int = 0
    unet: float = 0.0
    encode: float = 0.0
    decode: float = 0.0
    cpu: float = 0.0
    flops: float = 0.0
    peak: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> float:
        """Seconds per image of the fastest way of ours."""
        return min(each for name, each in self.ways.items() if each and name.startswith("ours"))

    def alone(self, steps: int) -> float:
        """Return the seconds per image of the networks alone."""
        return (self.encode + steps * self.unet + self.decode) / self.batch

    def floor(self, steps: int) -> float:
        """Return the least seconds per image: of the networks alone, or of the CPU side alone."""
        return max(self.alone(steps), self.cpu)


class Bench:
    """The ways of one device, measured in turn until `deadline` (`time.monotonic`)."""

    def __init__(self, scale: Scale, device: str, folder: Path, photos: Path, deadline: float) -> None:
        self.scale, self.device, self.folder, self.deadline = scale, device, folder, deadline
        model = build(folder / "sd", sizes=scale.sizes)
        fields = {"model": str(model), "scheduler": "DDIMScheduler", "steps": scale.steps, "dtype": scale.dtype}
        self.plan: Plan = plan_of(max(8 * scale.batch, 64), scale.side, photos, **fields)
        self.rows = list(self.plan)
        self.maker = Maker(self.plan.recipe, self.plan.foregrounds, self.plan.backgrounds)
        self.found = Figures(batch=scale.batch)
        self.dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[scale.dtype]

    def run(self) -> Figures:
        """Measure everything there is time for."""
        self._plain()
        with self._engine() as engine:
            self._ours("ours", engine)
            self._parts(engine.lanes[0].diffuser._pipe)
            self._attention(engine)
        self.found.cpu = self._cpu_side()
        for name, regions in (("ours, regions compiled", True), ("ours, compiled", False)):
            if not self._late(name):
                self._optional(name, lambda name=name, regions=regions: self._compiled(name, regions))
        return self.found

    def _compiled(self, name: str, regions: bool) -> None:
        with self._engine(compiled=not regions) as engine:
            if regions:
                engine.lanes[0].diffuser._pipe.unet.compile_repeated_blocks(dynamic=False)
            self._ours(name, engine)

    def _ours(self, name: str, engine: Engine) -> None:
        """Measure an engine, and how busy it keeps the GPU."""
        self.found.ways[name] = self._rate(engine)
        share = self._busy(lambda: self._few(engine))
        self.found.busy |= {} if share is None else {name: share}

    def _late(self, name: str) -> bool:
        if time.monotonic() < self.deadline:
            return False
        self.found.notes.append(f"{name}: left out for want of time")
        return True

    def _optional(self, name: str, measure: Callable[[], None]) -> None:
        """Measure what not every device and build of torch has, a kernel or a compiler; else a line says why not.

        A failure of plain calls or of ours without either is one of the bench, and ends it.
        """
        note(f"bench-gpu: {name}")
        try:
            measure()
        except (RuntimeError, ModelError) as error:
            self.found.ways[name] = None
            self.found.notes.append(f"{name}: cannot run here: {one_line(error)[:120]}")

    def _attend(self, name: str, engine: Engine) -> None:
        def measure() -> None:
            self.found.ways[name] = self._rate(engine)

        self._optional(name, measure)

    def _engine(self, **more: Any) -> Engine:
        return local_engine(Spec(self.maker, self.found.batch, **more), [self.device], cores())

    def _batches(self, goes_on: Callable[[], bool]) -> Iterator[Batch]:
        rows = itertools.cycle(self.rows)
        while goes_on():
            part = list(itertools.islice(rows, self.found.batch))
            yield Batch(part, [None] * len(part), True)

    def _rate(self, engine: Engine) -> float:
        """Return the seconds per image of rows through an engine, from the end of the first batch on."""
        ends = list[float]()

        def goes_on() -> bool:
            return len(ends) < 2 or ends[-1] - ends[0] < self.scale.seconds

        for _ in engine.make(self._batches(goes_on)):
            ends.append(time.monotonic())
        return (ends[-1] - ends[0]) / ((len(ends) - 1) * self.found.batch)

    def _few(self, engine: Engine) -> None:
        """Make three batches."""
        left = iter(range(3))
        for _ in engine.make(self._batches(lambda: next(left, None) is not None)):
            pass

    def _plain(self) -> None:
        """Measure diffusers' own pipeline, one call per row and one call per batch, and choose the batch size."""
        from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline

        settings = self.plan.recipe.generator
        pipe = StableDiffusionImg2ImgPipeline.from_pretrained(settings.model, dtype=self.dtype, safety_checker=None).to(
            self.device
        )
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
        pipe.set_progress_bar_config(disable=True)

        def call(size: int) -> None:
            part = self.rows[:size]
            guides = [self.maker.guide(row).image for row in part]
            generators = [torch.Generator("cpu").manual_seed(row.seed) for row in part]
            images = pipe(prompt=[row.prompt for row in part], image=guides, generator=generators, eta=0.0,
                          num_inference_steps=settings.steps, strength=settings.strength,
                          guidance_scale=settings.guidance_scale).images  # fmt: skip
            for image in images:
                image.save(io.BytesIO(), "jpeg", quality=95, subsampling=0)

        alone = self.found.ways["diffusers, one call per row"] = self._seconds(lambda: call(1))
        while self.found.batch > 2 and self.found.batch * alone > 4 * self.scale.batch_seconds:
            self.found.batch //= 2  # a batch is up to four times as fast
        together = self._seconds(lambda: call(self.found.batch))
        self.found.ways["diffusers, one call per batch"] = together / self.found.batch

    def _attention(self, engine: Engine) -> None:
        for name, kernel in ATTENTION.items():
            if not self._late(f"ours, {name}"):
                with sdpa_kernel(kernel):
                    self._attend(f"ours, {name}", engine)
        if importlib.util.find_spec("xformers") and not self._late("ours, xformers"):
            engine.lanes[0].diffuser._pipe.enable_xformers_memory_efficient_attention()
            self._attend("ours, xformers", engine)
            engine.lanes[0].diffuser._pipe.disable_xformers_memory_efficient_attention()

    def _parts(self, pipe: Any) -> None:
        """Measure each network alone on a whole batch, count its operations, and measure the peak."""
        unet, vae, n, found = pipe.unet, pipe.vae, self.found.batch, self.found
        side = self.scale.side // pipe.vae_scale_factor
        more = {"device": self.device, "dtype": self.dtype}
        latents = torch.randn(2 * n, unet.config.in_channels, side, side, **more)
        prompts = torch.randn(2 * n, 77, unet.config.cross_attention_dim, **more)
        images = torch.randn(n, 3, self.scale.side, self.scale.side, **more)
        step = torch.tensor(500, device=self.device)
        calls = {
            "unet": lambda count: unet(latents[: 2 * count], step, prompts[: 2 * count], return_dict=False),
            "encode": lambda count: vae.encode(images[:count]),
            "decode": lambda count: vae.decode(latents[:count], return_dict=False),
        }
        with torch.inference_mode():
            for name, call in calls.items():
                setattr(found, name, self._seconds(lambda call=call: call(n)))
                with FlopCounterMode(display=False) as counter:
                    call(1)
                found.flops += counter.get_total_flops() * (self.evaluations if name == "unet" else 1)
            matrix = torch.randn(self.scale.matrix, self.scale.matrix, **more)
            found.peak = 2 * self.scale.matrix**3 / self._seconds(lambda: matrix @ matrix)

    @property
    def evaluations(self) -> int:
        """Steps of one image: the share `strength` of all."""
        settings = self.plan.recipe.generator
        return int(settings.steps * settings.strength)

    def _cpu_side(self) -> float:
        note("bench-gpu: CPU side alone")
        log = self.folder / "log"
        log.mkdir()
        spec = StandInSpec(self.maker, self.found.batch, log=log)
        with local_engine(spec, [self.device], cores()) as engine:
            return self._rate(engine)

    def _busy(self, run: Callable[[], object]) -> float | None:
        """Return the share of the time in which the GPU ran a kernel or a copy, from its first to its last."""
        if not self.device.startswith("cuda"):
            return None
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            run()
            torch.cuda.synchronize()
        spans = [(each.time_range.start, each.time_range.end) for each in profiler.events()
                 if str(each.device_type).endswith("CUDA")]  # fmt: skip
        return covered(spans)

    def _seconds(self, call: Callable[[], object]) -> float:
        """Return the mean seconds of a call after a first one, over the scale's time and at least two."""
        return mean_seconds(call, self.scale.seconds / 2, self.device)


def mean_seconds(call: Callable[[], object], least: float, device: str) -> float:
    """Return the mean seconds of a call after a first one, over at least two calls and so many seconds."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    call()
    wait()
    start, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - start < least:
        call()
        count += 1
        wait()
    return (time.perf_counter() - start) / count


def covered(spans: list[tuple[float, float]]) -> float | None:
    """Return the share of the time from the first start to the last stop that spans cover, overlaps counted once."""
    if not spans:
        return None
    total, reached = 0.0, min(start for start, _ in spans)
    begin = reached
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total / (reached - begin)
