"""One network on one device, as fast as it goes there: memory format, precision, compilation, batch size.

Torch half.
"""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.transforms import Compose, Normalize

from d3s_dataset.errors import ModelError, one_line
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.cli import warn

BATCH_SIZES = {"cpu": 32, "cuda": 256}  # at first; halved where the memory is full
_PAYS = 0.15  # least share of the time that compilation is taken to save
_COMPILE_SECONDS = {"cpu": 40.0, "cuda": 30.0}  # what it costs: 9 to 38 s measured on two cores, nothing cached


class Forward:
    """A network on a device.

    Attributes:
        device: where.
        precision: `fp32`, `bf16` or, on a GPU, `tf32`; may be changed between calls.
        batch_size: the largest that fits, as far as tried.
        compiled: whether whole batches go through torch.compile.
    """

    def __init__(self, name: str, network: nn.Module, device: torch.device, finish: "Finish") -> None:
        self._name = name
        # A network's own copy, but for the first device of a kind, which costs no memory.
        self._network: nn.Module = network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._compiled: Callable[[torch.Tensor], torch.Tensor] | None = None
        self._finish = finish
        self.device = device
        self.precision = "fp32"
        self.batch_size = BATCH_SIZES.get(device.type, BATCH_SIZES["cpu"])

    @property
    def compiled(self) -> bool:
        """True if whole batches go through torch.compile."""
        return self._compiled is not None

    def logits(self, pixels: np.ndarray, done: Callable[[int], object] = lambda count: None) -> torch.Tensor:
        """Return the (n, 1000) float32 logits of n prepared images, on the device; (n, `outputs`) if that is given.

        Args:
            pixels: the prepared images.
            done: called after each batch with its number of images.

        Raises:
            ModelError: logits of another shape, or a single image does not fit into the memory.
        """
        answers, start = [], 0
        with torch.inference_mode(), _float32(self.precision == "tf32"):
            while start < len(pixels):
                try:
                    answers.append(self._batch(pixels[start : start + self.batch_size]))
                except (RuntimeError, MemoryError, OSError) as error:
                    if not _memory_full(error):
                        if self._compiled is None:
                            raise
                        self._compiled = None
                        warn(f"{self._name} cannot be compiled, so runs as it is: {one_line(error)}")
                        continue
                    shortage = one_line(error)
                else:
                    start += len(answers[-1])
                    done(len(answers[-1]))
                    continue
                self._halve(shortage)  # outside the handler, whose traceback keeps the batch alive
        return torch.cat(answers)

    def compile(self, pixels: np.ndarray, images: int) -> None:
        """Compile the network if that pays for so many images and makes a whole batch faster here."""
        whole = pixels[: self.batch_size]
        if len(whole) < self.batch_size:
            return
        plain = self._seconds(whole)
        if not pays(plain * images / len(whole), self.device):
            return
        self.use_compiled()
        if self._seconds(whole) >= plain:
            self._compiled = None

    def use_compiled(self) -> None:
        """Compile the network, as an earlier part of the same work did."""
        if self._compiled is None:  # a compiled module has no truth of its own
            self._compiled = torch.compile(self._network)

    def _seconds(self, pixels: np.ndarray) -> float:
        best = float("inf")
        for _ in range(3):  # the first compiles and warms up
            start = time.perf_counter()
            self.logits(pixels).cpu()
            best = min(best, time.perf_counter() - start)
        return best

    def _batch(self, pixels: np.ndarray) -> torch.Tensor:
        images = self._finish(torch.from_numpy(pixels).to(self.device, non_blocking=True))
        # Another batch size would be compiled again.
        whole = self._compiled is not None and len(pixels) == self.batch_size
        network = self._compiled if whole and self._compiled is not None else self._network
        with autocast(self.device, self.precision), _packed(self.device) if whole else nullcontext():
            said = network(images.contiguous(memory_format=torch.channels_last))
        if not isinstance(said, torch.Tensor):
            raise ModelError(
                f"{self._name} gave a {type(said).__name__}: expected a tensor of logits; wrap the network so that its "
                "forward returns them (`.logits` of transformers' outputs)"
            )
        answer = said.float()
        expected = (len(pixels), getattr(self._network, "outputs", len(classes())))
        if answer.shape != expected:
            raise ModelError(f"{self._name} gave an answer of shape {tuple(answer.shape)}: expected {expected}")
        return answer

    def _halve(self, shortage: str) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.batch_size == 1:
            raise ModelError(
                f"{self._name} does not fit into the memory of {self.device} even one image at a time: {shortage}"
            )
        self.batch_size //= 2


class Finish:
    """The end of a transform that is cheaper on a whole batch: (b, h, w, 3) uint8 to normalised (b, 3, h, w) float32.

    `ToTensor` and `Normalize` by the same operations on the same numbers, so the same to the last bit (tested); images
    travel as bytes, a quarter of the size.
    """

    def __init__(self, normalize: Normalize | None) -> None:
        self._normalize = normalize

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the network takes; a tensor that the transform has finished passes."""
        if self._normalize is None:
            return images
        # A view, whose memory is in channels-last order already.
        values = images.permute(0, 3, 1, 2).to(torch.float32).div_(255)
        mean, std = (
            torch.as_tensor(each, dtype=torch.float32, device=images.device).view(-1, 1, 1)
            for each in (self._normalize.mean, self._normalize.std)
        )
        return values.sub_(mean).div_(std)


def divide(transform: Callable[[Any], Any]) -> tuple[Callable[[Any], Any], Finish]:
    """Return a transform as its part for each image, in the workers, and its part for a batch, on the device."""
    steps = list(transform.transforms) if isinstance(transform, Compose) else []
    ends = len(steps) >= 2 and type(steps[-2]).__name__ in ("ToTensor", "MaybeToTensor")
    if ends and isinstance(steps[-1], Normalize):
        return Compose(steps[:-2]), Finish(steps[-1])
    return transform, Finish(None)


def forwards(name: str, network: nn.Module, devices: list[torch.device], finish: Finish) -> list[Forward]:
    """Return the network on each device, a copy for each but the first."""
    copies = [network, *(copy.deepcopy(network) for _ in devices[1:])]
    return [Forward(name, each, device, finish) for each, device in zip(copies, devices, strict=True)]


def pays(seconds: float, device: torch.device) -> bool:
    """Return whether compilation is worth trying for work that takes this long without."""
    return seconds * _PAYS > _COMPILE_SECONDS.get(device.type, _COMPILE_SECONDS["cpu"])


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs in this precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


class _Float32:
    """TF32 on or off in the float32 products of GPUs: a setting of the process, so threads that run at once share it.

    Off unless asked for: it is cuDNN's default for "fp32" convolutions, with ten bits of mantissa.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = ExitStack()

    @contextmanager
    def __call__(self, tf32: bool) -> Iterator[None]:
        matmul = torch.backends.cuda.matmul
        with self._lock:
            if not self._users:
                self._before.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32))
                self._before.callback(setattr, matmul, "allow_tf32", matmul.allow_tf32)
                matmul.allow_tf32 = tf32
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._before.close()


_float32 = _Float32()


def _packed(device: torch.device) -> AbstractContextManager[object]:
    """On a CPU compile with weights as constants, which oneDNN packs and fuses with what follows.

    The setting counts while a network is traced, so torch.compile's own `options` come too late; and code compiled
    without it would serve as well, so it holds at every call.
    """
    if device.type != "cpu":
        return nullcontext()
    import torch._inductor.config as inductor  # a second of imports, for who compiles

    return inductor.patch(freezing=True)


def _memory_full(error: BaseException) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
